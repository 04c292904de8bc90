"""In an emergency one person is seen whatever no Consent permits; nobody else is, nothing is changed, and it shows."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from joserfc.jwk import ECKey
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.break_glass import EMERGENCY_SCOPES, BrokenGlass
from stepwell_shared.auth.client_keys import ClientKeys
from stepwell_shared.auth.clients import Client, register_client
from stepwell_shared.auth.issuer import Issuer, issue_token
from stepwell_shared.auth.key_ring import FixedKeys
from stepwell_shared.auth.keys import public_key_set
from stepwell_shared.auth.roles import BREAK_GLASS_ROLE, ROLES
from stepwell_shared.auth.verification import caller_of
from stepwell_shared.emergencies import GLASS_BROKEN, telling_of_emergencies
from stepwell_shared.events.outbox import decode_payload
from stepwell_shared.events.subscriptions import CONTENT_URL
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.routes import Door, FhirApplication
from stepwell_shared.runtime import Runtime

from tests.services.screening.submitting import EHR, accept, form, patient
from tests.shared.auth.parties import ISSUER, NOW, SERVICES, assertion_claims, ec_key, signed, token_form
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


@pytest.fixture
async def issuing(runtime: Runtime) -> AsyncIterator[tuple[Issuer, ECKey]]:
    """The issuer as screening hosts it, with a hospital that may break the glass, and the key of both."""
    key = ec_key()
    made = Client("north.er", ROLES["outside-organisation"], jwks=public_key_set([key]), roles=(BREAK_GLASS_ROLE,),
                  fhir_user="Organization/er")  # fmt: skip
    await register_client(runtime.database, made, runtime.clock())
    telling = telling_of_emergencies(runtime.engine.base_url)
    async with httpx.AsyncClient(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as outside:
        yield Issuer(ISSUER, FixedKeys([key]), SERVICES, runtime.database, ClientKeys(outside), telling=telling), key


async def broken(issuing: tuple[Issuer, ECKey], jti: str) -> dict[str, Any]:
    issuer, key = issuing
    form = token_form(signed(assertion_claims("north.er", jti=jti), key), "")
    return await issue_token(
        issuer, {**form, "purpose_of_use": "BTG", "purpose_of_use_reason": "THREAT", "patient": "p1"}, NOW
    )


async def told(runtime: Runtime) -> list[tuple[str, str, dict[str, Any]]]:
    """Subject, focus and resource of what is announced of broken glass."""
    async with runtime.database.transaction(NORTH) as connection:
        statement = "SELECT subject, focus, payload FROM outbox WHERE topic = $1 ORDER BY position"
        rows = await connection.fetch(statement, GLASS_BROKEN.canonical)
    return [
        (row["subject"], row["focus"], orjson.loads(bytes(decode_payload(row["payload"])[0].resource))) for row in rows
    ]


async def test_whoever_may_read_the_record_is_told_of_broken_glass_with_the_record_itself(
    runtime: Runtime, http: httpx.AsyncClient, issuing: tuple[Issuer, ECKey]
) -> None:
    await broken(issuing, "1")
    ((subject, focus, event),) = await told(runtime)
    assert (subject, focus) == ("Patient/p1", f"AuditEvent/{event['id']}")
    assert (await http.get(focus, headers=AUDITOR)).json() == event
    assert event["entity"][0]["what"] == {"reference": "Patient/p1"}
    assert event["agent"][2]["who"] == {"reference": "Organization/er"}
    assert [each["coding"][0]["code"] for each in event["purposeOfEvent"]] == ["BTG", "THREAT"]


async def test_if_it_cannot_be_told_there_is_no_token_and_no_record_of_one(
    runtime: Runtime, issuing: tuple[Issuer, ECKey]
) -> None:
    async def away(*_: object) -> None:
        raise ConnectionRefusedError

    issuer, key = issuing
    with pytest.raises(ConnectionRefusedError):
        await broken((replace(issuer, telling=away), key), "1")
    assert await told(runtime) == []
    async with runtime.database.transaction(NORTH) as connection:
        assert await connection.fetchval("SELECT count(*) FROM audit WHERE interaction = '$break-glass'") == 0


async def test_only_who_may_read_the_record_subscribes_to_broken_glass(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    subscription = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "Privacy",
        "criteria": GLASS_BROKEN.canonical,
        "channel": {
            "type": "rest-hook",
            "endpoint": "https://privacy.example.org/notify",
            "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": CONTENT_URL, "valueCode": "full-resource"}]},
        },
    }
    answer = await http.post("Subscription", json=subscription, headers=HUB)
    assert answer.status_code == 403
    answer = await http.post("Subscription", json=subscription, headers=EHR)
    assert answer.status_code == 201, answer.text
