"""An EHR that calls the CDS services: it signs its own tokens, and says otherwise when a test wants it to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import httpx
from joserfc.jwk import ECKey
from starlette.types import Receive, Scope, Send
from stepwell_routing.cds import cds_services
from stepwell_routing.cds.clients import CdsClient, register_cds_client
from stepwell_routing.cds.routes import base_url
from stepwell_shared.auth.keys import SigningKey, public_key_set
from stepwell_shared.auth.signatures import sign
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.http_client import http_client
from stepwell_shared.runtime import Runtime

from tests.support.runtime import NORTH, START

ISSUER = "https://ehr.example/cds"
BASE = base_url("https://stepwell.example/routing/fhir")

Json = dict[str, Any]


def new_key() -> ECKey:
    return ECKey.generate_key("P-384", {"use": "sig", "alg": "ES384"}, auto_kid=True)


KEY = new_key()


@dataclass(frozen=True)
class Ehr:
    """One EHR with its key. `claims` and `headers` replace what its tokens and requests would say; None leaves out."""

    http: httpx.AsyncClient
    runtime: Runtime
    key: SigningKey = field(default_factory=lambda: KEY)
    issuer: str = ISSUER
    organisation: str = ""
    claims: Json = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def but(self, **claims: Any) -> "Ehr":
        """The same EHR whose tokens say something else."""
        return replace(self, claims={**self.claims, **claims})

    def token(self, address: str) -> str:
        now = int(self.runtime.clock().timestamp())
        own = {"tenant": self.organisation} if self.organisation else {}
        said = {"iss": self.issuer, "aud": address, "iat": now, "exp": now + 300, "jti": str(uuid4()), **own}
        return sign({name: value for name, value in (said | self.claims).items() if value is not None}, self.key)

    async def post(self, path: str, body: object, token: str | None = None) -> httpx.Response:
        """Calls an address below the CDS services."""
        bearer = {"Authorization": f"Bearer {token or self.token(f'{BASE}/{path}')}"}
        return await self.http.post(f"{BASE}/{path}", json=body, headers={**bearer, **self.headers})

    async def cards(self, service: str, body: Json) -> list[Json]:
        """The cards of a call that is answered."""
        answer = await self.post(service, body)
        assert answer.status_code == 200, answer.text
        cards: list[Json] = answer.json()["cards"]
        return cards


@asynccontextmanager
async def ehr_of(runtime: Runtime, **client: Any) -> AsyncIterator[Ehr]:
    """A registered EHR of north before routing's CDS services; `client` are members of its registration."""
    async with http_client() as outside:
        runtime._http = outside
        _, page = cds_services(runtime)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await page(Exchange(scope, receive, send))

        given = {"issuer": ISSUER, "organisation": "", "serves": NORTH, "jwks": public_key_set([KEY]), **client}
        registered = CdsClient(**given)
        assert await register_cds_client(runtime.database, registered, START)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
            yield Ehr(http, runtime, issuer=registered.issuer, organisation=registered.organisation)


def patient_view(patient: str = "p1", **more: Any) -> Json:
    """A chart is opened; shaped like the specification's example."""
    return {
        "hookInstance": str(uuid4()),
        "fhirServer": "https://ehr.example/fhir",
        "hook": "patient-view",
        "context": {"userId": "Practitioner/dr-1", "patientId": patient, "encounterId": "89284"},
        "prefetch": {"patient": {"resourceType": "Patient", "id": patient, "gender": "female"}},
        **more,
    }


def orders(*drafts: Json, hook: str = "order-sign", prefetch: Json | None = None, **context: Any) -> Json:
    """Orders are chosen or signed; shaped like the specification's example."""
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in drafts]}
    chosen = {"selections": [f"ServiceRequest/{each['id']}" for each in drafts]} if hook == "order-select" else {}
    given = {"userId": "Practitioner/dr-1", "patientId": "p1", "draftOrders": bundle, **chosen, **context}
    return patient_view(hook=hook, context=given, prefetch=prefetch or {})


def draft(id_: str = "draft-1", **more: Any) -> Json:
    """A draft ServiceRequest without saying what for."""
    subject = {"reference": "Patient/p1"}
    return {
        "resourceType": "ServiceRequest",
        "id": id_,
        "status": "draft",
        "intent": "order",
        "subject": subject,
        "requester": {"reference": "Practitioner/dr-1"},
        **more,
    }


def concept(system: str, code: str, text: str = "") -> Json:
    return {"coding": [{"system": system, "code": code}], **({"text": text} if text else {})}


def rules(cards: list[Json]) -> list[str]:
    """The rules that spoke, in order."""
    return [each["source"]["topic"]["code"] for each in cards]
