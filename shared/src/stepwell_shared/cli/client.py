"""A client of the suite at the terminal: a registered client's token, FHIR calls, and forms filled in.

The journey of `stepwell run`, the journey tests and the bench speak to the services through it, over real HTTP.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stepwell_shared.auth.clients import Client
from stepwell_shared.auth.keys import load_private_keys, make_private_key, public_key_set
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.cli.access import add_client
from stepwell_shared.cli.asking import Token
from stepwell_shared.cli.deployment import LocalDeployment
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.http_client import HttpClient, HttpResponse

FHIR_JSON = "application/fhir+json"

Resource = dict[str, Any]


async def register(deployment: LocalDeployment, client_id: str, role: str, fhir_user: str | None = None) -> None:
    """Registers a client with a key of its own on this machine; doing it again changes nothing."""
    settings = deployment.access()
    key_file = settings.key_file(client_id)
    keys = load_private_keys(key_file) if key_file.exists() else (make_private_key(key_file),)
    jwks = public_key_set(keys)
    client = Client(client_id, ROLES[role], jwks=jwks, roles=(role,), fhir_user=fhir_user)
    await add_client(settings, client, replace=True)


@dataclass
class SuiteClient:
    """One registered client of a running suite; tokens are asked for when needed."""

    deployment: LocalDeployment
    http: HttpClient
    client_id: str
    _token: Token = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._token = Token(self.deployment.access(), self.client_id)

    async def call(
        self,
        method: str,
        service: str,
        path: str,
        *,
        resource: Resource | bytes | None = None,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        """One FHIR request with this client's token; `path` is relative to the service's base URL."""
        url = path if "://" in path else f"{self.deployment.url_of(service)}/{path}"
        sent = {"Authorization": f"Bearer {await self.token()}", **(headers or {})}
        if isinstance(resource, bytes):
            sent = {"Content-Type": FHIR_JSON, **sent}
            return await self.http.request(method, url, content=resource, params=parameters, headers=sent)
        if resource is not None:
            sent = {"Content-Type": FHIR_JSON, **sent}
        return await self.http.request(method, url, json=resource, params=parameters, headers=sent)

    async def create(self, service: str, resource: Resource) -> Resource:
        """The stored resource. Raises SetupError with the outcome when it is refused."""
        response = await self.call("POST", service, resource["resourceType"], resource=resource)
        if response.status_code not in {200, 201}:
            raise SetupError(f"{service} answered {response.status_code}: {response.text}")
        created: Resource = response.json()
        return created

    async def search(self, service: str, resource_type: str, **parameters: str) -> list[Resource]:
        """The first page of matches."""
        response = await self.call("GET", service, resource_type, parameters=parameters)
        if response.status_code != 200:
            raise SetupError(f"{service} answered {response.status_code}: {response.text}")
        return [entry["resource"] for entry in response.json().get("entry", [])]

    async def wait_for(
        self,
        service: str,
        resource_type: str,
        wanted: Callable[[Resource], bool] = lambda _: True,
        *,
        count: int = 1,
        seconds: float = 30.0,
        **parameters: str,
    ) -> list[Resource]:
        """Searches until `count` wanted matches are there. Raises SetupError when time is up."""
        deadline = time.monotonic() + seconds
        while True:
            found = [each for each in await self.search(service, resource_type, **parameters) if wanted(each)]
            if len(found) >= count:
                return found
            if time.monotonic() > deadline:
                raise SetupError(f"no {resource_type} came to {service} within {seconds:g} seconds")
            await asyncio.sleep(0.05)

    async def token(self) -> str:
        """A token that is good for at least a minute."""
        return await self._token.text()


def filled(
    questionnaire: Resource, weights: Sequence[int | None], *, patient: str, authored: datetime, identifier: str
) -> Resource:
    """A completed QuestionnaireResponse: for each scored question the option of this weight, None for blank."""
    remaining = iter(weights)
    items = []
    for item in questionnaire["item"]:
        options = {_weight(option): option["valueCoding"] for option in item.get("answerOption", [])}
        if not options or None in options:
            continue  # headings, totals and questions that do not count
        wanted = next(remaining)
        if wanted is not None:
            items.append({"linkId": item["linkId"], "answer": [{"valueCoding": options[wanted]}]})
    return {
        "resourceType": "QuestionnaireResponse",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": identifier},
        "questionnaire": f"{questionnaire['url']}|{questionnaire['version']}",
        "status": "completed",
        "subject": {"reference": patient},
        "authored": authored.isoformat(timespec="seconds"),
        "item": items,
    }


def _weight(option: Resource) -> int | None:
    weights = [each["valueDecimal"] for each in option.get("extension", []) if each["url"].endswith("/itemWeight")]
    return int(weights[0]) if weights else None
