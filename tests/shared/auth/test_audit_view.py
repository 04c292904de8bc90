"""AuditEvent: who had access, as FHIR. It is rendered from the audit's rows, and is the tenant's own."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from stepwell_shared.auth.audit import LOGIN
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.routes import Door, FhirApplication
from stepwell_shared.fhir.unit import UnitOfWork

from tests.conftest import DatabaseOf
from tests.support.engine import NORTH, SOUTH, Bench, FakeAccess, access_record, patient
from tests.support.engine import bench as open_bench

PREFIX = "/fhir"


async def authenticate(header: str | None) -> Access:
    tenant, _, user = (header or NORTH).partition(" ")
    return FakeAccess(tenant=tenant, fhir_user=user or None)


@pytest.fixture
async def bench(database_of: DatabaseOf) -> AsyncIterator[Bench]:
    async with open_bench(await database_of("screening")) as opened:
        yield opened


def served(engine: Engine) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(FhirApplication(Door(engine, authenticate, access_record), PREFIX))
    return httpx.AsyncClient(transport=transport, base_url=f"http://test{PREFIX}")


@pytest.fixture
async def http(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    async with served(bench.engine) as client:
        yield client


async def found(http: httpx.AsyncClient, query: str = "", tenant: str = NORTH) -> list[dict[str, Any]]:
    bundle = (await http.get(f"/AuditEvent?{query}", headers={"Authorization": tenant})).raise_for_status().json()
    return [entry["resource"] for entry in bundle.get("entry", [])]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["subtype"][0]["code"] for event in events]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nobody_writes_to_the_audit(http: httpx.AsyncClient, method: str) -> None:
    answer = await http.request(method, "/AuditEvent/1" if method != "POST" else "/AuditEvent", json={})
    assert answer.status_code == 405


@pytest.mark.parametrize("id_", ["0", "99", "x", "99999999999999999999", "-1", "1.0"])
async def test_what_is_no_number_of_an_entry_is_not_found(http: httpx.AsyncClient, id_: str) -> None:
    await http.get("/Patient")
    assert (await http.get(f"/AuditEvent/{id_}")).status_code == 404


async def test_another_tenants_entries_are_neither_found_nor_read(http: httpx.AsyncClient) -> None:
    await http.get("/Patient")
    (event,) = await found(http)
    assert await found(http, f"_id={event['id']}", SOUTH) == []
    assert (await http.get(f"/AuditEvent/{event['id']}", headers={"Authorization": SOUTH})).status_code == 404
    assert (await http.get(f"/AuditEvent/{event['id']}")).json() == event


async def test_every_access_is_an_event_that_says_who_did_what_to_what(http: httpx.AsyncClient) -> None:
    headers = {"Authorization": f"{NORTH} Practitioner/dr-a", "X-Request-Id": "request-7"}
    created = (await http.post("/Patient", json=patient(active=True), headers=headers)).json()
    (event,) = await found(http, "action=C")
    assert event["action"] == "C"
    assert event["outcome"] == "0"
    assert event["subtype"] == [{"system": "http://hl7.org/fhir/restful-interaction", "code": "create"}]
    assert event["entity"][0]["what"] == {"reference": f"Patient/{created['id']}"}
    assert event["entity"][1]["what"] == {"identifier": {"value": "request-7"}}
    client, server, person = event["agent"]
    assert (client["altId"], client["requestor"]) == ("test-client", False)
    assert server["who"] == {"display": "Stepwell screening"}
    assert (person["who"], person["requestor"]) == ({"reference": "Practitioner/dr-a"}, True)
    validation.check(orjson.dumps(event), "AuditEvent")


async def test_refused_accesses_are_events_too(http: httpx.AsyncClient) -> None:
    assert (await http.get("/Patient/none")).status_code == 404
    (event,) = await found(http, "outcome=4")
    assert event["entity"][0]["what"] == {"reference": "Patient/none"}
    assert [each["requestor"] for each in event["agent"]] == [True, False]
    validation.check(orjson.dumps(event), "AuditEvent")


async def test_events_are_found_by_what_they_say_and_looking_is_on_record_too(http: httpx.AsyncClient) -> None:
    await http.post("/Patient", json=patient(), headers={"Authorization": f"{NORTH} Practitioner/dr-a"})
    await http.get("/Patient/p1", headers={"Authorization": NORTH})
    await http.post("/", json={"resourceType": "Bundle", "type": "batch"})
    assert kinds(await found(http, "agent=Practitioner/dr-a")) == ["create"]
    assert kinds(await found(http, "patient=p1")) == ["read"]
    assert kinds(await found(http, "entity=Patient/p1&altid=test-client")) == ["read"]
    assert await found(http, "altid=another") == []
    assert await found(http, "date=lt2020") == []
    assert kinds(await found(http, "subtype=http://hl7.org/fhir/restful-interaction|create")) == ["create"]
    assert await found(http, "subtype=http://example.org|create") == []
    assert await found(http, "type=object") == []
    newest = await found(http, "_count=2&_total=accurate")
    assert kinds(newest) == ["search-type", "search-type"]
    assert kinds(await found(http, "subtype:not=search-type&_sort=-date")).count("transaction") == 1


async def test_pages_of_events_follow_each_other_without_a_gap(http: httpx.AsyncClient) -> None:
    for number in range(7):
        await http.get(f"/Patient/p{number}")
    seen: list[str] = []
    url: str | None = "/AuditEvent?_count=3&outcome=4"
    while url is not None:
        bundle = (await http.get(url)).raise_for_status().json()
        seen += [entry["resource"]["entity"][0]["what"]["reference"] for entry in bundle.get("entry", [])]
        url = next(
            (link["url"].partition("/screening/fhir")[2] for link in bundle["link"] if link["relation"] == "next"), None
        )
    assert seen == [f"Patient/p{number}" for number in reversed(range(7))]


async def test_a_token_is_an_event_of_its_own_type_given_or_refused(bench: Bench, http: httpx.AsyncClient) -> None:
    for status in (200, 401):
        caller = FakeAccess(token_id="t" if status == 200 else "", fhir_user=None)
        await bench.engine.store.commit(
            UnitOfWork(NORTH, effects=[access_record(caller, LOGIN, "", "", status, f"r{status}")])
        )
    await http.get("/Patient")
    dicom = "http://dicom.nema.org/resources/ontology/DCM"
    events = await found(http, f"type={dicom}|110114")
    assert [event["outcome"] for event in events] == ["4", "0"]
    for event in events:
        assert event["type"]["code"] == "110114"
        assert event["subtype"] == [{"system": dicom, "code": "110122", "display": "Login"}]
        assert event["action"] == "E"
        assert [each["requestor"] for each in event["agent"]] == [True, False]
        validation.check(orjson.dumps(event), "AuditEvent")
    assert await found(http, "subtype=110122&outcome=4") == events[:1]
    assert kinds(await found(http, "type=rest")) == ["search-type"] * 3
