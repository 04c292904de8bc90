"""The interactions at their addresses: content types, headers, HEAD, `_pretty`, operations, the record of accesses."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import orjson
import pytest
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.registry import Interaction, Operation, Registry
from stepwell_shared.fhir.routes import Door, FhirApplication
from stepwell_shared.fhir.wire import joined

from tests.conftest import DatabaseOf
from tests.support.engine import NORTH, Bench, FakeAccess, access_record, patient, plain_registry
from tests.support.engine import bench as open_bench

FHIR, JSON_PATCH, PREFIX = "application/fhir+json", "application/json-patch+json", "/fhir"
ACTIVE = [{"op": "add", "path": "/active", "value": True}]


async def authenticate(header: str | None) -> Access:
    return FakeAccess(tenant=header or NORTH)


async def echo(request: Request) -> Response:
    said = [[name, value] for name, value in request.parameters]
    return Response(200, orjson.dumps({"said": said, "type": request.resource_type}), id=request.id)


def registry() -> Registry:
    """Patient with an operation that changes nothing, and two operations of the service."""
    plain = plain_registry("screening").types
    asked = Operation("ask", echo, Interaction.READ, "Echoes.", instance=False, affects_state=False)
    operations = (
        Operation("tell", echo, Interaction.READ, "Echoes.", instance=False, affects_state=False),
        Operation("act", echo, Interaction.UPDATE, "Acts.", instance=False),
    )
    found = Registry("screening", operations=operations)
    found.add(replace(plain["Patient"], operations=(asked, replace(asked, instance=True))))
    found.add(plain["Provenance"])
    return found


@pytest.fixture
async def bench(database_of: DatabaseOf) -> AsyncIterator[Bench]:
    async with open_bench(await database_of("screening"), registry=registry()) as opened:
        yield opened


@pytest.fixture
async def http(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(FhirApplication(Door(bench.engine, authenticate, access_record), PREFIX))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://test{PREFIX}") as client:
        yield client


@pytest.mark.parametrize(
    "kind", ["application/xml", "application/fhir+xml", "text/plain", f"{JSON_PATCH}; charset=latin1"]
)
async def test_i8_g2_other_patch_formats_are_refused(bench: Bench, http: httpx.AsyncClient, kind: str) -> None:
    await bench.update(patient(id="p1"))
    answered = await http.patch("/Patient/p1", content=json.dumps(ACTIVE), headers={"content-type": kind})
    assert answered.status_code == 415


async def test_i8_a_json_patch_is_no_resource(http: httpx.AsyncClient) -> None:
    for method in ("PUT", "POST"):
        path = "/Patient/p1" if method == "PUT" else "/Patient"
        answered = await http.request(method, path, content=b"[]", headers={"content-type": JSON_PATCH})
        assert answered.status_code == 415


@pytest.mark.parametrize("kind", [JSON_PATCH, f"{JSON_PATCH}; charset=utf-8", "Application/JSON-Patch+JSON"])
async def test_i8_a_patch_is_answered_with_the_new_version(bench: Bench, http: httpx.AsyncClient, kind: str) -> None:
    await bench.update(patient(id="p1"))
    answered = await http.patch("/Patient/p1", content=json.dumps(ACTIVE), headers={"content-type": kind})
    assert (answered.status_code, answered.headers["etag"], answered.json()["active"]) == (200, 'W/"2"', True)


async def test_i7_i8_i11_criteria_stand_in_place_of_an_id(http: httpx.AsyncClient) -> None:
    headers = {"content-type": FHIR}
    made = await http.put(
        "/Patient?identifier=a|1",
        content=json.dumps(patient(identifier=[{"system": "a", "value": "1"}])),
        headers=headers,
    )
    assert made.status_code == 201
    patched = await http.patch(
        "/Patient?identifier=a|1", content=json.dumps(ACTIVE), headers={"content-type": JSON_PATCH}
    )
    assert patched.json()["active"] is True
    assert (await http.delete("/Patient")).status_code == 400
    assert (await http.delete("/Patient?identifier=a|1")).status_code == 204
    assert (await http.get(f"/Patient/{made.json()['id']}")).status_code == 410


async def test_g9_head_answers_wherever_get_does(bench: Bench, http: httpx.AsyncClient) -> None:
    await bench.update(patient(id="p1"))
    for path in (
        "/Patient",
        "/Patient/p1",
        "/Patient/p1/_history",
        "/Patient/p1/_history/1",
        "/Patient/_history",
        "/_history",
        "/Patient/$ask",
        "/Patient/p1/$ask",
        "/$tell",
        "/Patient/nobody",
        "/Patient?_summary=true",
        "/Patient/p1?_pretty=true",
    ):
        get, head = await http.get(path), await http.head(path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-length"] == str(len(get.content))
        assert head.headers.get("etag") == get.headers.get("etag")


async def test_g3_pretty_is_for_people_and_keeps_every_number(bench: Bench, http: httpx.AsyncClient) -> None:
    extension = b'[{"url":"http://example.org/x","valueDecimal":72.50}]'
    body = b'{"resourceType":"Patient","id":"p1","extension":' + extension + b"}"
    await bench.update(patient(id="p1"))
    await http.put("/Patient/p1", content=body, headers={"content-type": FHIR})
    plain, pretty = await http.get("/Patient/p1"), await http.get("/Patient/p1?_pretty=true")
    assert plain.json() == pretty.json()
    assert b"\n" not in plain.content
    assert b'\n      "valueDecimal": 72.50\n' in pretty.content
    assert b"\n" in (await http.get("/Patient/nobody?_pretty=true")).content
    assert (await http.get("/Patient/p1?_pretty=false")).content == plain.content


async def test_g7_preferences_may_come_in_one_or_many_headers(http: httpx.AsyncClient) -> None:
    wanted = [("prefer", "handling=strict"), ("prefer", "return=minimal"), ("content-type", FHIR)]
    answered = await http.post("/Patient", content=json.dumps(patient()), headers=wanted)
    assert (answered.status_code, answered.content) == (201, b"")
    strict = [("prefer", "return=minimal"), ("prefer", "handling=strict")]
    assert (await http.get("/Patient?nonsense=1", headers=strict)).status_code == 400
    one = {"prefer": "return=OperationOutcome, handling=strict", "content-type": FHIR}
    answered = await http.post("/Patient", content=json.dumps(patient()), headers=one)
    assert answered.json()["resourceType"] == "OperationOutcome"
    assert {issue["severity"] for issue in answered.json()["issue"]} == {"information"}


def test_headers_that_repeat_are_one_list() -> None:
    assert joined([("prefer", "a"), ("accept", "b"), ("prefer", "c")]) == {"prefer": "a, c", "accept": "b"}


async def test_i4_criteria_in_the_url_of_a_create_are_refused_instead_of_ignored(http: httpx.AsyncClient) -> None:
    body, headers = json.dumps(patient()), {"content-type": FHIR}
    refused = await http.post("/Patient?identifier=a", content=body, headers=headers)
    assert (refused.status_code, "If-None-Exist" in refused.text) == (400, True)
    assert (await http.post("/Patient?_pretty=true&_format=json", content=body, headers=headers)).status_code == 201


async def test_g11_provenance_comes_in_a_header(http: httpx.AsyncClient) -> None:
    given = {"resourceType": "Provenance", "recorded": "2026-11-21T20:00:00Z", "agent": [{"who": {"display": "x"}}]}
    headers = {"content-type": FHIR, "x-provenance": json.dumps(given)}
    made = await http.post("/Patient", content=json.dumps(patient()), headers=headers)
    found = (await http.get(f"/Provenance?target=Patient/{made.json()['id']}")).json()
    assert found["entry"][0]["resource"]["target"] == [{"reference": f"Patient/{made.json()['id']}/_history/1"}]


async def test_i13_operations_that_change_nothing_answer_get(bench: Bench, http: httpx.AsyncClient) -> None:
    await bench.update(patient(id="p1"))
    for path, kind in (("/$tell", ""), ("/Patient/$ask", "Patient"), ("/Patient/p1/$ask", "Patient")):
        answered = await http.get(f"{path}?a=1")
        assert answered.json() == {"said": [["a", "1"]], "type": kind}
        assert (await http.post(path)).status_code == 200
    assert (await http.get("/$act")).status_code == 405
    assert (await http.post("/$act")).status_code == 200
    assert (await http.post("/$nonsense")).status_code == 404


async def test_i12_i14_histories_and_validation_are_on_record(bench: Bench, http: httpx.AsyncClient) -> None:
    await http.get("/_history")
    await http.get("/Patient/_history")
    await http.post("/Patient/$validate", content=json.dumps(patient()), headers={"content-type": FHIR})
    await http.post("/Patient/p1/$validate?mode=delete")
    await http.post("/$act")
    assert await bench.audit() == [
        ("history-system", None, None, 200),
        ("history-type", "Patient", None, 200),
        ("$validate", "Patient", None, 200),
        ("$validate", "Patient", "p1", 200),
        ("$act", None, None, 200),
    ]
