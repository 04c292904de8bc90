"""Tokens, retries and refusals for a system that speaks to Stepwell. One file: copy it into yours and change it.

    pip install httpx joserfc

`BackendServices` is the token source, for any httpx client. `Stepwell` adds what every caller needs beside it: a
request that got no answer is sent again under the same Idempotency-Key, so that nothing happens twice.
"""

import json
import secrets
import time
import uuid
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

FHIR_JSON = "application/fhir+json"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
RENEW_SECONDS_BEFORE = 60
TRY_AGAIN = frozenset({429, 502, 503, 504})

Resource = dict[str, Any]


class RefusedError(Exception):
    """What was asked cannot be had; the text names each problem with its place. Sent again, it is refused again."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        try:
            self.issues: list[Resource] = response.json().get("issue", [])
        except ValueError:
            self.issues = []
        told = [f"{', '.join(each.get('expression', []))}: {each.get('diagnostics', '')}" for each in self.issues]
        super().__init__(f"{self.status} {'; '.join(told) or response.text[:200]}")


class BackendServices(httpx.Auth):
    """SMART Backend Services: `httpx.Client(auth=BackendServices(...))` has a token whenever it sends.

    One token is good at all four services of a Stepwell; `base_url` is any of them, and says where tokens come from.
    """

    requires_response_body = True

    def __init__(self, base_url: str, client_id: str, key_file: str | Path, scope: str = "") -> None:
        self.base_url, self.client_id, self.scope = base_url.rstrip("/"), client_id, scope
        self._key = read_key(key_file)
        self._token_url = self._token = ""
        self._renew_at = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Asks for a token first when there is none that is good for a minute, and again when one is not taken."""
        if time.monotonic() > self._renew_at:
            yield from self._ask()
        request.headers["Authorization"] = f"Bearer {self._token}"
        response = yield request
        if response.status_code == 401:
            yield from self._ask()
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _ask(self) -> Generator[httpx.Request, httpx.Response, None]:
        if not self._token_url:
            found = yield httpx.Request("GET", f"{self.base_url}/.well-known/smart-configuration")
            self._token_url = _answered(found)["token_endpoint"]
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": signed(self._key, self.client_id, self._token_url),
            **({"scope": self.scope} if self.scope else {}),
        }
        answer = _answered((yield httpx.Request("POST", self._token_url, data=form)))
        self._token = answer["access_token"]
        self._renew_at = time.monotonic() + answer["expires_in"] - RENEW_SECONDS_BEFORE


def read_key(path: str | Path) -> ECKey | RSAKey:
    """The private key of a file that holds one JWK."""
    content = json.loads(Path(path).read_text(encoding="ascii"))
    return ECKey.import_key(content) if content["kty"] == "EC" else RSAKey.import_key(content)


def signed(key: ECKey | RSAKey, issuer: str, audience: str) -> str:
    """A JWT that is good for one use within five minutes: for the token endpoint, and for each call of CDS Hooks."""
    now = int(time.time())
    algorithm = "ES384" if key.key_type == "EC" else "RS384"
    header = {"alg": algorithm, "typ": "JWT", "kid": key.kid}
    claims = {"iss": issuer, "sub": issuer, "aud": audience, "iat": now, "exp": now + 240, "jti": secrets.token_hex(16)}
    return jwt.encode(header, claims, key, algorithms=[algorithm])


def _answered(response: httpx.Response) -> Any:
    if response.is_error:
        raise RefusedError(response)
    return response.json()


class Stepwell:
    """One service: `Stepwell("https://host/screening/fhir", auth)`. Raises RefusedError, and httpx.TransportError
    when there is no answer for longer than `patience_seconds`."""

    def __init__(
        self,
        base_url: str,
        auth: httpx.Auth,
        *,
        patience_seconds: float = 120.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.http = httpx.Client(auth=auth, timeout=30.0, headers={"Accept": FHIR_JSON}, transport=transport)
        self.patience_seconds = patience_seconds

    def create(self, resource: Resource, *, unless: str = "") -> Resource:
        """What is stored now. `unless` is a search (`identifier=system|value`): what it finds is taken instead."""
        headers = {"If-None-Exist": unless} if unless else {}
        return self.send("POST", resource["resourceType"], resource, headers)

    def read(self, reference: str) -> Resource:
        """`Patient/123`, or the absolute address of a resource that another service told of."""
        return self.send("GET", reference)

    def update(self, resource: Resource) -> Resource:
        """Replaces the version that was read: 412 when somebody else has changed it since."""
        where = f"{resource['resourceType']}/{resource['id']}"
        return self.send("PUT", where, resource, {"If-Match": f'W/"{resource["meta"]["versionId"]}"'})

    def search(self, resource_type: str, **parameters: str) -> Iterator[Resource]:
        """All matches, page by page. A `-` of a parameter is written `_` twice: `care__team`."""
        query = httpx.QueryParams({name.replace("__", "-"): value for name, value in parameters.items()})
        address: str | None = f"{resource_type}?{query}"
        while address:
            page = self.send("GET", address)
            yield from (entry["resource"] for entry in page.get("entry", []) if entry["search"]["mode"] == "match")
            address = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)

    def operate(self, path: str, **parameters: Any) -> Resource:
        """An operation, such as `ServiceRequest/1/$accept`; a parameter says its type: `{"valueCode": "x"}`."""
        given = [{"name": name, **value} for name, value in parameters.items()]
        return self.send("POST", path, {"resourceType": "Parameters", **({"parameter": given} if given else {})})

    def wait_for(self, resource_type: str, **parameters: str) -> Resource:
        """The first match as soon as there is one. For a first try: a Subscription is told without asking."""
        deadline = time.monotonic() + self.patience_seconds
        while time.monotonic() < deadline:
            found = next(self.search(resource_type, **parameters), None)
            if found is not None:
                return found
            time.sleep(0.2)
        raise TimeoutError(f"no {resource_type} within {self.patience_seconds:g} seconds")

    def send(
        self, method: str, path: str, resource: Resource | None = None, headers: Mapping[str, str] | None = None
    ) -> Resource:
        """One request, sent until it is answered; what was done already is answered the same and not done again."""
        address = path if "://" in path else f"{self.base_url}/{path}"
        sent = {"Content-Type": FHIR_JSON, "Idempotency-Key": str(uuid.uuid4()), **(headers or {})}
        content = None if resource is None else json.dumps(resource).encode()
        deadline, pause_seconds = time.monotonic() + self.patience_seconds, 0.5
        while True:
            try:
                response = self.http.request(method, address, content=content, headers=sent)
                if response.status_code not in TRY_AGAIN or time.monotonic() > deadline:
                    break
                wait_seconds = float(response.headers.get("Retry-After", pause_seconds))
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                wait_seconds = pause_seconds
            time.sleep(wait_seconds)
            pause_seconds = min(2 * pause_seconds, 30.0)
        if response.is_error:
            raise RefusedError(response)
        return response.json() if response.content else {}


@dataclass(frozen=True)
class Event:
    """One event of a notification: its number, what it is about, and the resources that came along by address."""

    number: int
    focus: str
    resources: Mapping[str, Resource]


def events_of(bundle: Resource) -> tuple[str, list[Event]]:
    """What kind of notification it is (handshake, heartbeat, event-notification, query-event), and its events."""
    status, *others = bundle["entry"]
    given = {entry["fullUrl"]: entry["resource"] for entry in others if "resource" in entry}
    kind, events = "", []
    for parameter in status["resource"]["parameter"]:
        if parameter["name"] == "type":
            kind = parameter["valueCode"]
        if parameter["name"] == "notification-event":
            parts = {part["name"]: part for part in parameter["part"]}
            focus = parts.get("focus", {}).get("valueReference", {}).get("reference", "")
            events.append(Event(int(parts["event-number"]["valueString"]), focus, given))
    return kind, events


def subscription(topic: str, endpoint: str, secret: str, *filters: str) -> Resource:
    """A Subscription that sends whole resources to `endpoint`, with `Authorization: Bearer` and the secret."""
    asked = [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": text} for text in filters]
    content = {"url": f"{BACKPORT}/backport-payload-content", "valueCode": "full-resource"}
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "tell the record system",
        "criteria": f"https://stepwell.health/fhir/SubscriptionTopic/{topic}",
        **({"_criteria": {"extension": asked}} if asked else {}),
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            "payload": FHIR_JSON,
            "_payload": {"extension": [content]},
            "header": [f"Authorization: Bearer {secret}"],
        },
    }
