"""Rows of the FHIR checklist on the exchange itself (G1, G3, G5, G8, G10, I2, S1, S19), over HTTP.

https://hl7.org/fhir/R4/http.html
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.routes import Door, FhirApplication

from tests.conftest import DatabaseOf
from tests.support.engine import BASE_URL, FakeAccess, access_record, ids_in, patient, response
from tests.support.engine import bench as open_bench

FHIR = {"content-type": "application/fhir+json"}
JSON_PATCH = {"content-type": "application/json-patch+json"}


async def authenticate(header: str | None) -> Access:
    return FakeAccess()


@pytest.fixture
async def http(database_of: DatabaseOf) -> AsyncIterator[httpx.AsyncClient]:
    """Screening's routes, with a Patient of two versions and a response of hers."""
    async with open_bench(await database_of("screening")) as bench:
        await bench.update(patient(id="Ann"))
        await bench.update(patient(id="Ann", gender="female"))
        await bench.update(response(id="r1", subject={"reference": "Patient/Ann"}))
        transport = httpx.ASGITransport(FhirApplication(Door(bench.engine, authenticate, access_record), "/fhir"))
        async with httpx.AsyncClient(transport=transport, base_url="http://test/fhir", headers=FHIR) as client:
            yield client


def outcome(answered: httpx.Response, status: int) -> dict[str, Any]:
    """The OperationOutcome of a refusal."""
    assert answered.status_code == status, answered.text
    body: dict[str, Any] = answered.json()
    assert (body["resourceType"], body["issue"][0]["severity"]) == ("OperationOutcome", "error")
    return body


async def test_g1_types_and_ids_are_case_sensitive(http: httpx.AsyncClient) -> None:
    assert (await http.get("/Patient/Ann")).status_code == 200
    for path in ("/Patient/ann", "/patient/Ann", "/PATIENT/Ann", "/Patient/Ann/", "/Patient/Ann/_HISTORY"):
        outcome(await http.get(path), 404)
    assert "entry" not in (await http.get("/Patient?_id=ann")).json()


async def test_g1_addresses_follow_a_base_without_a_slash_at_its_end(http: httpx.AsyncClient) -> None:
    assert not BASE_URL.endswith("/")
    (entry,) = (await http.get("/Patient")).json()["entry"]
    assert entry["fullUrl"] == f"{BASE_URL}/Patient/Ann"
    made = await http.post("/Patient", content=json.dumps(patient()))
    assert made.headers["location"].startswith(f"{BASE_URL}/Patient/{made.json()['id']}/_history/")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_g1_both_schemes_name_the_same_resource(http: httpx.AsyncClient, scheme: str) -> None:
    subject = f"{scheme}{BASE_URL.removeprefix('https')}/Patient/Ann"
    assert ids_in((await http.get(f"/QuestionnaireResponse?subject={subject}")).json()) == ["r1"]


async def test_g3_format_says_nothing_about_the_body_that_is_sent(http: httpx.AsyncClient) -> None:
    xml = {"content-type": "application/fhir+xml"}
    outcome(await http.post("/Patient?_format=json", content="<Patient/>", headers=xml), 415)
    outcome(await http.post("/Patient?_format=xml", content=json.dumps(patient(gender="male"))), 406)
    assert "entry" not in (await http.get("/Patient?gender=male")).json()


async def test_g3_without_a_wish_the_answer_is_fhir_json(http: httpx.AsyncClient) -> None:
    del http.headers["accept"]
    assert (await http.get("/Patient/Ann")).headers["content-type"] == "application/fhir+json"


async def test_g5_whatever_answers_with_a_version_names_it(http: httpx.AsyncClient) -> None:
    answers = [
        await http.get("/Patient/Ann"),
        await http.get("/Patient/Ann/_history/1"),
        await http.post("/Patient", content=json.dumps(patient())),
        await http.put("/Patient/Ann", content=json.dumps(patient(id="Ann", gender="other"))),
        await http.patch("/Patient/Ann", content='[{"op":"remove","path":"/gender"}]', headers=JSON_PATCH),
    ]
    assert [each.headers["etag"] for each in answers] == ['W/"2"', 'W/"1"', 'W/"1"', 'W/"3"', 'W/"4"']
    for each in answers:
        meta = each.json()["meta"]
        assert each.headers["etag"] == f'W/"{meta["versionId"]}"'
        assert (meta["lastUpdated"], each.headers["last-modified"]) == (
            "2026-11-21T20:54:00.000Z",
            "Sat, 21 Nov 2026 20:54:00 GMT",
        )


async def test_g5_a_searchset_has_no_etag(http: httpx.AsyncClient) -> None:
    found = await http.get("/Patient")
    assert "etag" not in found.headers
    assert [set(entry) for entry in found.json()["entry"]] == [{"fullUrl", "resource", "search"}]


async def test_g8_a_search_that_fails_says_why(http: httpx.AsyncClient) -> None:
    for failed in (await http.get("/Patient?birthdate=x"), await http.post("/Patient/_search?birthdate=x")):
        (issue,) = outcome(failed, 400)["issue"]
        assert (issue["code"], issue["expression"]) == ("value", ["http.birthdate"])


async def test_g10_a_request_without_an_id_gets_one_of_its_own(http: httpx.AsyncClient) -> None:
    answers = [await http.get(path) for path in ("/Patient", "/Patient", "/Patient/nobody")]
    assert len({each.headers["x-request-id"] for each in answers}) == 3


async def test_g10_no_origin_is_let_in_as_metadata_says(http: httpx.AsyncClient) -> None:
    asked = {"origin": "https://app.example", "access-control-request-method": "GET"}
    for method, status in (("GET", 200), ("OPTIONS", 405)):
        answered = await http.request(method, "/Patient", headers=asked)
        assert answered.status_code == status
        assert not [name for name in answered.headers if name.startswith("access-control")]


async def test_i2_a_version_is_read_with_its_own_content(http: httpx.AsyncClient) -> None:
    first, second = await http.get("/Patient/Ann/_history/1"), await http.get("/Patient/Ann/_history/2")
    assert [each.json()["meta"]["versionId"] for each in (first, second)] == ["1", "2"]
    assert ("gender" in first.json(), second.json()["gender"]) == (False, "female")
    outcome(await http.get("/Patient/Ann/_history/3"), 404)


async def test_s1_post_search_finds_what_get_finds(http: httpx.AsyncClient) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    got = await http.get("/Patient?gender=female")
    posted = await http.post("/Patient/_search", content="gender=female", headers=form)
    assert got.json()["entry"] == posted.json()["entry"]
    assert (posted.status_code, posted.json()["resourceType"], posted.json()["type"]) == (200, "Bundle", "searchset")
    assert posted.json()["link"] == got.json()["link"]
    merged = await http.post("/Patient/_search?gender=female", content="gender=male", headers=form)
    assert "entry" not in merged.json()


async def test_s19_compartments_and_all_types_are_searched_at_their_addresses(http: httpx.AsyncClient) -> None:
    for path, expected in (
        ("/Patient/Ann/QuestionnaireResponse", ["r1"]),
        ("/Patient/Ann/QuestionnaireResponse?status=in-progress", []),
        ("/Patient/Bob/QuestionnaireResponse", []),
        ("/Patient/Ann/*", ["Ann", "r1"]),
        ("?_type=Patient,QuestionnaireResponse", ["Ann", "r1"]),
        ("?_type=Patient", ["Ann"]),
    ):
        assert sorted(ids_in((await http.get(path)).json())) == expected, path
    outcome(await http.get("?_type=Patient,QuestionnaireResponse&gender=female"), 400)
    outcome(await http.get("/Patient/Ann/Questionnaire"), 400)
