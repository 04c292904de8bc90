"""In an emergency one person is seen whatever no Consent permits; nobody else is, nothing is changed, and it shows."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.break_glass import EMERGENCY_SCOPES, BrokenGlass
from stepwell_shared.auth.verification import caller_of
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.routes import Door, FhirApplication
from stepwell_shared.runtime import Runtime

from tests.services.screening.submitting import EHR, accept, form, patient
from tests.support.runtime import NORTH, URLS, token

HUB = token(NORTH, "outside-organisation", "Organization/hub")
AUDITOR = token(NORTH, "auditor", "Practitioner/officer")


@pytest.fixture
async def emergency(runtime: Runtime, http: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """The door for Organization/hub with a token that the issuer gave it for p1; p2 has answers too."""
    await http.put("Patient/p2", json=patient("p2"), headers=EHR)
    await accept(http, form(id="r1"), form(id="r2", subject={"reference": "Patient/p2"}))
    claims: dict[str, Any] = {"tenant": NORTH, "client_id": "north.hub", "fhirUser": "Organization/hub"}
    caller = caller_of({**claims, "scope": str(EMERGENCY_SCOPES), **BrokenGlass("p1", "ETREAT").claims("n")})

    async def authenticate(_header: str | None) -> Access:
        return caller

    def record(access: Any, interaction: str, type_: str, id_: str, status: int, request_id: str) -> Any:
        of = {"resource_type": type_ or None, "resource_id": id_ or None}
        return audit_effect(
            access, recorded=runtime.clock(), interaction=interaction, request_id=request_id, status=status, **of
        )

    app = FhirApplication(Door(runtime.engine, authenticate, record), "/screening/fhir")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URLS["screening"] + "/") as client:
        yield client


async def found(client: httpx.AsyncClient, query: str, headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    answer = await client.get(query, headers=headers)
    assert answer.status_code == 200, answer.text
    return [each["resource"] for each in answer.json().get("entry", [])]


async def test_what_no_consent_permits_is_read_and_searched_in_an_emergency_and_of_one_person_alone(
    http: httpx.AsyncClient, emergency: httpx.AsyncClient
) -> None:
    assert (await http.get("QuestionnaireResponse/r1", headers=HUB)).status_code == 404
    assert await found(http, "QuestionnaireResponse", HUB) == []
    for path in ("Patient/p1", "QuestionnaireResponse/r1", "QuestionnaireResponse/r1/_history"):
        assert (await emergency.get(path)).status_code == 200
    for path in ("Patient/p2", "QuestionnaireResponse/r2", "QuestionnaireResponse/r2/_history/1"):
        assert (await emergency.get(path)).status_code == 404
    for query in (
        "QuestionnaireResponse?_include=QuestionnaireResponse:subject",
        "Patient?_revinclude=QuestionnaireResponse:subject",
        "QuestionnaireResponse?subject=Patient/p1,Patient/p2",
    ):
        assert {each["id"] for each in await found(emergency, query)} <= {"p1", "r1"}
    assert await found(emergency, "QuestionnaireResponse?subject=Patient/p2") == []


async def test_nothing_is_changed_in_an_emergency(emergency: httpx.AsyncClient) -> None:
    entry = {"resource": patient("p1"), "request": {"method": "PUT", "url": "Patient/p1"}}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    assert (await emergency.post("QuestionnaireResponse", json=form(id="r9"))).status_code == 403
    assert (await emergency.put("Patient/p1", json=patient("p1"))).status_code == 403
    inner = (await emergency.post("", json=batch)).json()["entry"][0]["response"]["status"]
    assert inner.startswith("403")
    assert (await emergency.get("$export")).status_code == 403
    assert (await emergency.post("Subscription", json={"resourceType": "Subscription"})).status_code == 403


async def test_every_access_says_that_the_glass_was_broken_and_why(
    http: httpx.AsyncClient, emergency: httpx.AsyncClient
) -> None:
    await emergency.get("QuestionnaireResponse/r1")
    await emergency.get("QuestionnaireResponse")
    await http.get("QuestionnaireResponse/r1", headers=EHR)
    events = await found(http, f"AuditEvent?altid={quote('north.hub')}", AUDITOR)
    assert len(events) == 2
    for event in events:
        codes = [purpose["coding"][0]["code"] for purpose in event["purposeOfEvent"]]
        assert codes == ["BTG", "ETREAT"]
        assert event["agent"][2]["who"] == {"reference": "Organization/hub"}
        validation.check(orjson.dumps(event), "AuditEvent")
    plain = await found(http, "AuditEvent?altid=north.client&subtype=read", AUDITOR)
    assert plain
    assert not any("purposeOfEvent" in event for event in plain)
