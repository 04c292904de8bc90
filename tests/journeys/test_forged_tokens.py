"""Forged tokens at every door of every service: pages, notifications, exports, subscriptions and all FHIR addresses."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from itertools import cycle
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey
from stepwell_shared.auth.keys import SigningKey, load_private_key, new_private_key
from stepwell_shared.http_client import HttpClient, http_client
from stepwell_shared.settings import SERVICES

from tests.support.suite import NORTH, Suite

AT_ONCE = 16
ADDRESSES_MIN = 400
FORGERIES_AT_EACH = 1
METHODS = ("get", "post", "put", "patch", "delete")
# What is open to everybody, by its end or its part: none of it says anything about a person to whoever has no link.
OPEN_ENDS = ("/metadata", "/.well-known/smart-configuration", "/cds-services", "/$validate", "/jwks.json")
OPEN_PARTS = ("/auth/", "/forms/", "/forms", "/suggestions/", "/dashboard/public/", "/cds-services/")
# Doors that no document of FHIR has, or of which one kind of address stands for many.
DOORS = [
    *(("POST", f"/{service}/notifications") for service in SERVICES),
    *(("POST", f"/{service}/fhir") for service in SERVICES),
    *(("POST", f"/{service}/fhir/Subscription") for service in SERVICES),
    *(("GET", f"/{service}/fhir/Subscription/x/$events") for service in SERVICES),
    *(("GET", f"/{service}/fhir/$export") for service in SERVICES),
    *(("GET", f"/{service}/exports/x") for service in SERVICES),
    *(("GET", f"/{service}/fhir/AuditEvent") for service in SERVICES),
    ("POST", "/referral/partners/notifications"),
    ("GET", "/referral/worklist"),
    ("POST", "/referral/worklist/sign-in"),
    ("GET", "/referral/worklist/lines/x"),
    ("GET", "/measurement/dashboard"),
    ("POST", "/measurement/dashboard/sign-in"),
]

Address = tuple[str, str]


def forgeries(good: str, key: SigningKey) -> dict[str, str]:
    """What a token must not be, each made from a good one and, where it is harder to see, with the issuer's own key."""
    token = jwt.decode(good, key, algorithms=["ES384"])
    header, claims, now = dict(token.header), dict(token.claims), int(time.time())
    own = new_private_key()

    def signed(by: SigningKey = key, head: dict[str, Any] | None = None, **changed: Any) -> str:
        said = {name: value for name, value in {**claims, **changed}.items() if value is not None}
        registry = {"alg": "ES384", "kid": key.kid, "typ": "at+jwt", **(head or {})}
        return jwt.encode(registry, said, by, algorithms=["ES384"])

    public = key.as_pem(private=False)
    return {
        "unsigned": _packed({**header, "alg": "none"}, claims) + ".",
        "unsigned, in other letters": _packed({**header, "alg": "nOnE"}, claims) + ".",
        "without its signature": good.rpartition(".")[0] + ".",
        "signed with the public key as a secret": _hs256({**header, "alg": "HS256"}, claims, public),
        "for another audience": signed(aud="https://elsewhere.example/fhir"),
        "for nobody": signed(aud=None),
        "expired": signed(iat=now - 900, nbf=now - 900, exp=now - 300),
        "without an end": signed(exp=None),
        "of the future": signed(iat=now + 900, nbf=now + 900, exp=now + 1200),
        "of another issuer": signed(iss="https://elsewhere.example/auth"),
        "of another key under the same kid": signed(own),
        "of an unknown kid": signed(own, {"kid": "unknown"}),
        "with its own key in the header": signed(own, {"jwk": own.as_dict(private=False)}),
        "with its keys elsewhere": signed(own, {"jku": "http://127.0.0.1:9/jwks.json", "kid": own.kid}),
        "with a critical extension": signed(head={"crit": ["b64"], "b64": True}),
        "of another tenant by a changed payload": _swapped(good, {**claims, "tenant": "south"}),
        "without a tenant": signed(tenant=None),
    }


def _packed(*parts: dict[str, Any]) -> str:
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


def _hs256(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    text = _packed(header, claims)
    made = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(made).decode().rstrip('=')}"


def _swapped(good: str, claims: dict[str, Any]) -> str:
    head, _, signature = good.split(".")
    return f"{head}.{_packed(claims)}.{signature}"


async def addresses(suite: Suite, http: HttpClient) -> list[Address]:
    """Each method of each address that the services document, and the doors beside them, without what is open."""
    found = dict.fromkeys(DOORS)
    for service in SERVICES:
        origin = suite.deployment.url_of(service).rpartition(f"/{service}/")[0]
        document = (await http.get(f"{origin}/{service}/openapi.json")).json()
        found.update(dict.fromkeys(_documented(document)))
    return [each for each in found if not _is_open(each[1])]


def _documented(document: dict[str, Any]) -> Iterator[Address]:
    for template, item in document["paths"].items():
        path = template.replace("{", "").replace("}", "").replace("*", "Observation")
        yield from ((method.upper(), path) for method in METHODS if method in item)


def _is_open(path: str) -> bool:
    return path.endswith(OPEN_ENDS) or any(part in path for part in OPEN_PARTS)


async def test_every_forged_token_is_refused_at_every_door_of_every_service(suite: Suite) -> None:
    async with suite.clinic() as clinic, http_client(timeout_seconds=60) as http:
        key = load_private_key(suite.deployment.home / "keys" / "issuer.jwk")
        assert isinstance(key, ECKey)
        forged = forgeries(await clinic.token(), key)
        every = await addresses(suite, http)
        rotating = cycle(forged)
        cases = [(each, kind) for each in DOORS for kind in forged]
        cases += [(each, next(rotating)) for each in every if each not in DOORS for _ in range(FORGERIES_AT_EACH)]
        cases += [(each, "") for each in every]
        at_once = asyncio.Semaphore(AT_ONCE)

        async def status(address: Address, kind: str) -> int:
            method, path = address
            service = path.split("/")[1]
            origin = suite.deployment.url_of(service).rpartition(f"/{service}/")[0]
            headers = {"Authorization": f"Bearer {forged[kind]}"} if kind else {}
            body = b"" if method in {"GET", "DELETE"} else b"{}"
            if body:
                headers["Content-Type"] = "application/fhir+json"
            async with at_once:
                return (await http.request(method, f"{origin}{path}", content=body, headers=headers)).status_code

        statuses = await asyncio.gather(*(status(*case) for case in cases))
        assert (await clinic.call("GET", "screening", "Patient")).status_code == 200
    let_in = sorted(
        f"{method} {path} {kind or 'nobody'}: {found}"
        for ((method, path), kind), found in zip(cases, statuses, strict=True)
        if found != 401
    )
    assert let_in == []
    assert len(every) >= ADDRESSES_MIN
    print(f"\n{len(cases)} requests with forged tokens or none, {NORTH}: 0 let in")
