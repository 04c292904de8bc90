"""Rows G12, I3 to I6, I10 and I13 of the FHIR checklist over HTTP, refusals first. https://hl7.org/fhir/R4/http.html"""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import READ_ONLY, Interaction, Operation, Registry, Write
from stepwell_shared.fhir.routes import Door, FhirApplication

from tests.conftest import DatabaseOf
from tests.support.engine import FakeAccess, access_record, patient, plain_registry
from tests.support.engine import bench as open_bench

FHIR = {"content-type": "application/fhir+json"}
BASE = "https://screening.example.org/screening/fhir"
MRN = [{"system": "urn:x", "value": "1"}]


async def authenticate(header: str | None) -> Access:
    return FakeAccess()


async def forbid_others(write: Write) -> None:
    """A business rule of the type."""
    if write.resource is not None and write.resource.get("gender") == "other":
        raise FhirError(Category.BUSINESS_RULE, [Issue("not today", "business-rule", "Patient.gender")])


async def count(request: Request) -> Response:
    return Response(200, b'{"resourceType":"Patient","id":"answer"}')


def registry() -> Registry:
    """Patient with a rule and operations, Flag that clients only read, Task that they do not delete."""
    plain = plain_registry("screening").types
    operations = (
        Operation("count", count, Interaction.READ, "Counts.", instance=False, affects_state=False),
        Operation("change", count, Interaction.UPDATE, "Changes.", instance=False),
    )
    found = Registry("screening")
    found.add(replace(plain["Patient"], on_write=forbid_others, operations=operations))
    found.add(replace(plain["Flag"], interactions=READ_ONLY))
    found.add(replace(plain["Task"], interactions=READ_ONLY | {Interaction.UPDATE}))
    return found


@pytest.fixture
async def http(database_of: DatabaseOf) -> AsyncIterator[httpx.AsyncClient]:
    async with open_bench(await database_of("screening"), registry=registry()) as bench:
        transport = httpx.ASGITransport(FhirApplication(Door(bench.engine, authenticate, access_record), "/fhir"))
        async with httpx.AsyncClient(transport=transport, base_url="http://test/fhir", headers=FHIR) as client:
            yield client


async def put(http: httpx.AsyncClient, id_: str = "p1", tag: str = "", **members: Any) -> httpx.Response:
    headers = {"if-match": tag} if tag else {}
    return await http.put(f"/Patient/{id_}", content=json.dumps(patient(id=id_, **members)), headers=headers)


def codes(answer: httpx.Response) -> set[str]:
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    return {issue["code"] for issue in body["issue"]}


@pytest.mark.parametrize(
    "body",
    [
        '{"resourceType":"Patient","active":true,"active":true}',
        '{"resourceType":"Patient","active":null}',
        '{"resourceType":"Patient","name":[{"given":["a",null]}]}',
        '{"resourceType":"Patient","name":[{"given":[null],"_given":[null]}]}',
        '{"resourceType":"Patient","name":[]}',
        '{"resourceType":"Patient","maritalStatus":{}}',
        '{"resourceType":"Patient","language":""}',
        '{"resourceType":"Patient","extension":[{"url":"urn:x","valueDecimal":"1"}]}',
        '{"resourceType":"Patient","extension":[{"url":"urn:x","valueDecimal":NaN}]}',
    ],
)
async def test_g12_what_json_may_say_and_fhir_may_not_is_refused(http: httpx.AsyncClient, body: str) -> None:
    answer = await http.post("/Patient", content=body)
    assert answer.status_code == 400
    assert codes(answer) <= {"structure", "value", "invariant"}


@pytest.mark.parametrize(
    "member",
    [
        '"extension":[{"url":"urn:x","valueDecimal":72.50}]',
        '"extension":[{"url":"urn:x","valueDecimal":1.00000000000000000000000001}]',
        '"extension":[{"url":"urn:x","valueDecimal":1e-7}]',
        '"extension":[{"url":"urn:x","valueDateTime":"2026-11-21T10:00:00.120+02:00"}]',
        '"extension":[{"url":"urn:x","valueDateTime":"2026-11"}]',
        '"extension":[{"url":"urn:x","valueTime":"10:00:00.000"}]',
        '"name":[{"given":["b",null,"a"],"_given":[null,{"id":"x","extension":[{"url":"urn:x","valueCode":"y"}]},null]}]',
        '"name":[{"family":"Grüße \\u00e9 \\"x\\""}]',
    ],
)
async def test_g12_precision_zones_order_and_padding_come_back_as_they_were_sent(
    http: httpx.AsyncClient, member: str
) -> None:
    sent = f'{{"resourceType":"Patient","id":"p1",{member}}}'
    assert (await http.put("/Patient/p1", content=sent)).status_code == 201
    for path in ("/Patient/p1", "/Patient/p1/_history/1", "/Patient?_id=p1"):
        assert member in (await http.get(path)).text


async def test_i3_what_cannot_be_created_is_refused_by_its_kind(http: httpx.AsyncClient) -> None:
    invalid = await http.post("/Patient", content=json.dumps(patient(gender="x")))
    unparsable = await http.post("/Patient", content="{")
    rule = await http.post("/Patient", content=json.dumps(patient(gender="other")))
    assert [each.status_code for each in (invalid, unparsable, rule)] == [400, 400, 422]
    assert [codes(each) for each in (invalid, unparsable, rule)] == [{"code-invalid"}, {"structure"}, {"business-rule"}]
    assert (await http.post("/Flag", content="{}")).status_code == 405
    assert (await http.post("/Medication", content="{}")).status_code == 404


async def test_i3_a_create_ignores_id_and_version_of_the_client_and_says_where_it_is(http: httpx.AsyncClient) -> None:
    sent = patient(id="mine", meta={"versionId": "7", "lastUpdated": "2001-01-01T00:00:00Z", "source": "urn:kept"})
    answer = await http.post("/Patient", content=json.dumps(sent))
    body = answer.json()
    assert (answer.status_code, answer.headers["etag"]) == (201, 'W/"1"')
    assert body["id"] != "mine"
    assert answer.headers["location"] == f"{BASE}/Patient/{body['id']}/_history/1"
    assert body["meta"] == {"versionId": "1", "lastUpdated": "2026-11-21T20:54:00.000Z", "source": "urn:kept"}
    assert (await http.get("/Patient/mine")).status_code == 404


async def test_i4_none_creates_one_is_answered_and_several_are_refused(http: httpx.AsyncClient) -> None:
    async def create(criteria: str) -> httpx.Response:
        return await http.post(
            "/Patient", content=json.dumps(patient(identifier=MRN)), headers={"if-none-exist": criteria}
        )

    assert (await create("nonsense=1")).status_code == 400
    made, found = await create("identifier=urn:x|1"), await create("identifier=urn:x|1")
    assert (made.status_code, found.status_code) == (201, 200)
    assert (found.headers["location"], found.headers["etag"]) == (made.headers["location"], 'W/"1"')
    assert found.json() == made.json()
    await http.post("/Patient", content=json.dumps(patient(identifier=MRN)))
    several = await create("identifier=urn:x|1")
    assert (several.status_code, codes(several)) == (412, {"multiple-matches"})


async def test_i5_an_update_names_its_id_and_creates_changes_or_resurrects(http: httpx.AsyncClient) -> None:
    for body in (patient(), patient(id="other")):
        assert (await http.put("/Patient/p1", content=json.dumps(body))).status_code == 400
    assert (await put(http, gender="x")).status_code == 400
    assert (await put(http, gender="other")).status_code == 422
    task = {"resourceType": "Task", "id": "t1", "status": "requested", "intent": "order"}
    refused = await http.put("/Task/t1", content=json.dumps(task))
    assert (refused.status_code, "DELETE" in refused.headers["allow"]) == (405, False)
    answers = [await put(http), await put(http, gender="male")]
    await http.delete("/Patient/p1")
    answers.append(await put(http, gender="female"))
    assert [each.status_code for each in answers] == [201, 200, 201]
    assert [each.headers.get("location") for each in answers] == [
        f"{BASE}/Patient/p1/_history/1", None, f"{BASE}/Patient/p1/_history/4"
    ]  # fmt: skip


async def test_i6_a_version_that_is_not_current_is_not_changed(http: httpx.AsyncClient) -> None:
    assert (await put(http, "nobody", 'W/"1"')).status_code == 412
    await put(http)
    for tag, status in (('W/"2"', 412), ('"0"', 412), ("1", 400), ("W/1", 400), ('W/"x"', 400), ("*", 400)):
        assert (await put(http, tag=tag, gender="male")).status_code == status
    assert (await http.get("/Patient/p1")).headers["etag"] == 'W/"1"'
    assert (await put(http, tag='W/"1"')).status_code == 200
    assert (await put(http, tag='"2"')).status_code == 200


async def test_i10_what_is_deleted_is_gone_and_stays_in_its_history(http: httpx.AsyncClient) -> None:
    assert (await http.delete("/Flag/f1")).status_code == 405
    assert (await http.delete("/Patient/nobody")).status_code == 204
    await put(http, gender="male")
    assert (await http.delete("/Patient/p1", headers={"if-match": 'W/"9"'})).status_code == 412
    assert [(await http.delete("/Patient/p1")).status_code for _ in range(2)] == [204, 204]
    gone = await http.get("/Patient/p1")
    assert (gone.status_code, gone.headers["etag"], codes(gone)) == (410, 'W/"2"', {"deleted"})
    assert "entry" not in (await http.get("/Patient?gender=male")).json()
    assert (await http.get("/Patient/p1/_history/1")).json()["gender"] == "male"
    assert (await http.get("/Patient/p1/_history/2")).status_code == 410
    versions = (await http.get("/Patient/p1/_history")).json()["entry"]
    assert [each["request"]["method"] for each in versions] == ["DELETE", "PUT"]


async def test_i13_operations_answer_post_and_get_only_where_nothing_changes(http: httpx.AsyncClient) -> None:
    missing = await http.post("/Patient/$nothing")
    assert (missing.status_code, codes(missing)) == (404, {"not-found"})
    assert (await http.get("/Patient/$change")).status_code == 405
    assert [(await http.post(f"/Patient/${name}")).status_code for name in ("count", "change")] == [200, 200]
    assert (await http.get("/Patient/$count?of=all")).json() == {"resourceType": "Patient", "id": "answer"}
