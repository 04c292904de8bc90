"""An EHR asks a running routing for cards: with its own signed tokens, over HTTP, about a person of the main job."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

from stepwell_routing.cds.clients import CdsClient, register_cds_client
from stepwell_shared.auth.keys import public_key_set
from stepwell_shared.auth.signatures import sign
from stepwell_shared.database.pool import Database
from stepwell_shared.http_client import HttpResponse, http_client

from tests.services.routing.cds.ehr import KEY, draft, orders, patient_view, rules
from tests.support.suite import NORTH, Suite

ISSUER = "https://ehr.journey.example"
PHQ_9_OF_16 = (2, 2, 2, 2, 2, 2, 2, 2, 0)
PSYCHOTHERAPY = {"coding": [{"system": "http://snomed.info/sct", "code": "394913002"}]}


def signed(address: str) -> dict[str, str]:
    """The header of a token for one call of this address."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": address, "iat": now, "exp": now + 60, "jti": str(uuid4())}
    return {"Authorization": f"Bearer {sign(claims, KEY)}"}


@asynccontextmanager
async def registered(suite: Suite) -> AsyncIterator[str]:
    """The address of the CDS services, where an EHR of north is known."""
    async with Database.open(suite.deployment.databases["routing"].runtime, connections_max=1) as database:
        client = CdsClient(ISSUER, "", NORTH, jwks=public_key_set([KEY]))
        assert await register_cds_client(database, client, datetime.now(UTC))
    yield suite.deployment.url_of("routing").removesuffix("/fhir") + "/cds-services"


async def test_an_ehr_reads_the_step_suggests_a_draft_and_says_what_became_of_the_card(suite: Suite) -> None:
    async with registered(suite) as base, suite.clinic() as clinic, http_client() as http:

        async def post(path: str, body: object) -> HttpResponse:
            return await http.post(f"{base}/{path}", json=body, headers=signed(f"{base}/{path}"))

        listed = (await http.get(base)).json()["services"]
        assert {each["hook"] for each in listed} == {"patient-view", "order-select", "order-sign"}
        patient = await clinic.patient()
        await clinic.submit(await clinic.form("phq-9", PHQ_9_OF_16, patient))
        await clinic.requests_for(patient)

        opened = await post("care-step", patient_view(patient["id"]))
        assert opened.status_code == 200
        assert rules(opened.json()["cards"]) == ["care-step-proposed"]

        call = orders(draft(performerType=PSYCHOTHERAPY), patientId=patient["id"])
        (card,) = (await post("referral-step", call)).json()["cards"]
        suggestion = card["suggestions"][0]
        assert suggestion["actions"][0]["resource"]["category"][0]["coding"][0]["code"] == "tier-3"

        accepted = {"outcome": "accepted", "acceptedSuggestions": [{"id": suggestion["uuid"]}]}
        feedback = {"card": card["uuid"], "outcomeTimestamp": datetime.now(UTC).isoformat(), **accepted}
        kept = await post("referral-step/feedback", {"feedback": [feedback]})
        assert (kept.status_code, kept.json()) == (200, {})


async def test_a_token_for_another_address_or_of_our_own_issuer_opens_nothing(suite: Suite) -> None:
    async with registered(suite) as base, suite.clinic() as clinic, http_client() as http:
        call = patient_view("somebody")
        refused = await http.post(f"{base}/care-step", json=call, headers=signed(f"{base}/referral-step"))
        assert refused.status_code == 401
        ours = {"Authorization": f"Bearer {await clinic.token()}"}
        own = await http.post(f"{base}/care-step", json=call, headers=ours)
        assert own.status_code == 401
        assert own.json()["resourceType"] == "OperationOutcome"
