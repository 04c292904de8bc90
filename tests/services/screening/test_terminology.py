"""Promises of $expand, $validate-code and $lookup over our own code systems, those of R4 and those of a tenant."""

from typing import Any

import httpx
import pytest
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.canonical import CANONICAL
from stepwell_shared.fhir.code_systems import own_resources
from stepwell_shared.runtime import Runtime

from tests.services.screening.submitting import EHR, SOUTH_EHR, Resource
from tests.support.runtime import NORTH, SOUTH, stored, token

TIERS, R4 = f"{CANONICAL}/CodeSystem/tier", "http://hl7.org/fhir"
GENDER, INTENT = f"{R4}/ValueSet/administrative-gender", f"{R4}/ValueSet/request-intent"
MALE = {"system": f"{R4}/administrative-gender", "code": "male"}
RACES = {"compose": {"include": [{"valueSet": ["http://terminology.hl7.org/ValueSet/v3-Race"]}]}}
LARGE = {
    "compose": {
        "include": [
            {"valueSet": ["http://terminology.hl7.org/ValueSet/v3-Race"]},
            {"valueSet": ["http://terminology.hl7.org/ValueSet/v3-ActReason"]},
        ]
    }
}
COLOURS: Resource = {
    "resourceType": "CodeSystem",
    "id": "colours",
    "url": "https://site.example/CodeSystem/colours",
    "version": "1",
    "name": "Colours",
    "status": "active",
    "content": "complete",
    "concept": [
        {
            "code": "warm",
            "display": "Warm",
            "definition": "Towards red.",
            "concept": [
                {
                    "code": "red",
                    "display": "Red",
                    "designation": [{"language": "de", "value": "Rot"}, {"language": "fr", "value": "Rouge"}],
                }
            ],
        },
        {"code": "blue", "display": "Blue"},
    ],
}
WARM: Resource = {
    "resourceType": "ValueSet",
    "id": "warm",
    "url": "https://site.example/ValueSet/warm",
    "status": "active",
    "compose": {
        "include": [{"system": COLOURS["url"], "filter": [{"property": "concept", "op": "is-a", "value": "warm"}]}]
    },
}


def value_set(**members: Any) -> Resource:
    return {"resourceType": "ValueSet", "status": "active", **members}


def parameters(**values: Any) -> Resource:
    """Parameters; the JSON name of a value is told from what it is."""
    return {"resourceType": "Parameters", "parameter": [_parameter(name, value) for name, value in values.items()]}


def _parameter(name: str, value: Any) -> Resource:
    if isinstance(value, dict) and "resourceType" in value:
        return {"name": name, "resource": value}
    kinds = {"coding": "valueCoding", "codeableConcept": "valueCodeableConcept", "code": "valueCode"}
    uris = {"url": "valueUri", "system": "valueUri"}
    default = "valueInteger" if isinstance(value, int) else "valueString"
    return {"name": name, {**kinds, **uris}.get(name, default): value}


async def ask(http: httpx.AsyncClient, address: str, headers: dict[str, str] = EHR, **query: Any) -> httpx.Response:
    return await http.get(address, params=query, headers=headers)


async def codes(http: httpx.AsyncClient, headers: dict[str, str] = EHR, **query: Any) -> list[str]:
    answer = await ask(http, "ValueSet/$expand", headers, **query)
    assert answer.status_code == 200, answer.text
    return [each["code"] for each in answer.json()["expansion"].get("contains", [])]


async def verdict(http: httpx.AsyncClient, address: str, **query: Any) -> dict[str, Any]:
    answer = await ask(http, address, **query)
    assert answer.status_code == 200, answer.text
    return {each["name"]: each[next(k for k in each if k.startswith("value"))] for each in answer.json()["parameter"]}


@pytest.fixture
async def site(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """North has a code system and a value set of its own."""
    for resource in (COLOURS, WARM):
        answer = await http.put(f"{resource['resourceType']}/{resource['id']}", json=resource, headers=EHR)
        assert answer.status_code == 201, answer.text
    return http


REFUSED: list[tuple[str, Resource, int, str]] = [
    ("ValueSet/$expand", {}, 400, "required"),
    ("ValueSet/$expand", {"url": "urn:nobody"}, 404, "not-found"),
    ("ValueSet/$expand", {"url": f"{R4}/ValueSet/condition-stage"}, 404, "not-found"),
    ("ValueSet/$expand", {"url": f"{GENDER}|3.0"}, 404, "not-found"),
    ("ValueSet/$expand", {"url": GENDER, "valueSetVersion": "3.0"}, 404, "not-found"),
    ("ValueSet/$expand", {"url": "http://terminology.hl7.org/ValueSet/v3-ActCode"}, 422, "too-costly"),
    ("ValueSet/$expand", {"url": GENDER, "count": "1001"}, 422, "too-costly"),
    ("ValueSet/$expand", {"url": GENDER, "count": "-1"}, 400, "value"),
    ("ValueSet/$expand", {"url": GENDER, "offset": "a"}, 400, "value"),
    ("ValueSet/$expand", {"url": GENDER, "offset": "99999999999999999999"}, 400, "value"),
    ("ValueSet/$expand", {"url": GENDER, "includeDesignations": "maybe"}, 400, "value"),
    ("ValueSet/$expand", {"url": GENDER, "profile": "urn:p"}, 400, "not-supported"),
    ("ValueSet/$expand", {"url": GENDER, "valueSet": "x"}, 400, "value"),
    ("ValueSet/nobody/$expand", {}, 404, "not-found"),
    ("ValueSet/$validate-code", {"url": GENDER}, 400, "required"),
    ("ValueSet/$validate-code", {"url": GENDER, "coding": "male"}, 400, "value"),
    ("ValueSet/$validate-code", {"url": "urn:nobody", "code": "male"}, 404, "not-found"),
    (
        "ValueSet/$validate-code",
        {"url": f"{R4}/ValueSet/condition-stage", "code": "1", "system": "http://snomed.info/sct"},
        404,
        "not-found",
    ),
    ("CodeSystem/$validate-code", {"code": "tier-1"}, 400, "required"),
    ("CodeSystem/$validate-code", {"url": "http://loinc.org", "code": "44249-1"}, 404, "not-found"),
    ("CodeSystem/$validate-code", {"url": TIERS, "version": "9", "code": "tier-1"}, 404, "not-found"),
    ("CodeSystem/$validate-code", {"url": f"{CANONICAL}/CodeSystem/rule", "code": "X-1"}, 404, "not-found"),
    ("CodeSystem/$lookup", {"code": "tier-1"}, 400, "required"),
    ("CodeSystem/$lookup", {"system": TIERS, "code": "tier-9"}, 404, "not-found"),
    ("CodeSystem/$lookup", {"system": "http://loinc.org", "code": "44249-1"}, 404, "not-found"),
]


async def test_what_cannot_be_answered_truly_is_refused(http: httpx.AsyncClient) -> None:
    for address, query, status, code in REFUSED:
        answer = await ask(http, address, **query)
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (status, code), (address, query)


UNCLEAR: list[tuple[str, Resource, int]] = [
    ("ValueSet/$expand", parameters(url=GENDER, valueSet=value_set(**RACES)), 400),
    ("ValueSet/$expand", {"resourceType": "Patient"}, 400),
    ("ValueSet/$expand", parameters(valueSet={"resourceType": "Patient"}), 400),
    ("ValueSet/$expand", {"resourceType": "Parameters", "parameter": [_parameter("url", GENDER)] * 2}, 400),
    ("ValueSet/$expand", value_set(**LARGE), 422),
    ("ValueSet/$expand", value_set(), 400),
    ("ValueSet/$expand", value_set(compose={"include": [{"valueSet": [INTENT]}] * 101}), 400),
    ("ValueSet/$expand", value_set(compose={"include": [{"valueSet": ["#given"]}]}), 400),
    ("ValueSet/$validate-code", parameters(url=GENDER, code="male", coding={"code": "male"}), 400),
    ("ValueSet/$validate-code", parameters(url=GENDER, coding={"display": "Male"}), 400),
    ("ValueSet/$validate-code", parameters(url=GENDER, codeableConcept={"text": "Male"}), 400),
    ("ValueSet/$validate-code", parameters(url=GENDER, codeableConcept={"coding": [{"code": "male"}] * 51}), 400),
    ("CodeSystem/$lookup", COLOURS, 400),
]


async def test_a_body_that_asks_nothing_clear_or_too_much_is_refused(http: httpx.AsyncClient) -> None:
    for address, body, status in UNCLEAR:
        answer = await http.post(address, json=body, headers=EHR)
        assert answer.status_code == status, (address, body)


async def test_terminology_is_for_those_who_may_read_it(http: httpx.AsyncClient) -> None:
    assert not ROLES["patient"].permits("ValueSet", "read")
    for address in ("ValueSet/$expand", "ValueSet/$validate-code", "CodeSystem/$lookup"):
        query = {"url": GENDER} if "expand" in address else {"system": TIERS, "code": "tier-1"}
        assert (await ask(http, address, token(NORTH, "patient", "Patient/p1"), **query)).status_code == 403


async def test_what_r4_or_we_define_cannot_be_replaced(http: httpx.AsyncClient) -> None:
    new = {**WARM, "url": f"{CANONICAL}/ValueSet/new"}
    for resource in ({**COLOURS, "url": TIERS}, {**WARM, "url": GENDER}, new):
        assert (await http.post(resource["resourceType"], json=resource, headers=EHR)).status_code == 422


async def test_the_other_tenants_code_systems_are_not_known(site: httpx.AsyncClient) -> None:
    for query in ({"url": WARM["url"]}, {"url": COLOURS["url"]}):
        assert (await ask(site, "ValueSet/$expand", SOUTH_EHR, **query)).status_code == 404
    assert (await ask(site, "ValueSet/warm/$expand", SOUTH_EHR)).status_code == 404
    lookup = await ask(site, "CodeSystem/$lookup", SOUTH_EHR, system=COLOURS["url"], code="red")
    assert lookup.status_code == 404


async def test_our_code_systems_and_their_value_sets_are_shipped_and_expand(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    for tenant in (NORTH, SOUTH):
        shipped = {each["url"] for each in await stored(runtime, tenant, "CodeSystem")}
        assert shipped == {each["url"] for each in own_resources("CodeSystem")}
    for resource in await stored(runtime, NORTH, "ValueSet"):
        by_url = await codes(http, url=resource["url"])
        assert by_url
        by_id = (await ask(http, f"ValueSet/{resource['id']}/$expand")).json()["expansion"]
        assert [each["code"] for each in by_id["contains"]] == by_url
        assert all(each["display"] for each in by_id["contains"])


async def test_an_expansion_is_a_valid_value_set_in_the_order_of_its_system_with_its_names(
    http: httpx.AsyncClient,
) -> None:
    body = (await ask(http, "ValueSet/$expand", url=f"{INTENT}|4.0.1")).json()
    checked = await http.post("ValueSet/$validate", json=body, headers=EHR)
    assert {each["severity"] for each in checked.json()["issue"]} == {"information"}, checked.text
    assert (body["url"], body["status"], body["expansion"]["total"]) == (INTENT, "draft", 9)
    assert [each["code"] for each in body["expansion"]["contains"]][:4] == ["proposal", "plan", "directive", "order"]
    assert body["expansion"]["contains"][0]["display"] == "Proposal"


async def test_pages_and_a_filter_lead_through_a_value_set_too_large_for_one_answer(http: httpx.AsyncClient) -> None:
    url = "http://terminology.hl7.org/ValueSet/v3-ActCode"
    pages = [await codes(http, url=url, count=400, offset=offset) for offset in (0, 400, 800, 1200)]
    assert [len(page) for page in pages[-2:]] == [len({code for page in pages for code in page}) - 800, 0]
    found = await codes(http, url=url, filter="ambULATory")
    assert "AMB" in found
    assert len(found) < 50


async def test_a_tenants_value_set_expands_over_its_own_code_system_in_the_language_that_is_asked_for(
    site: httpx.AsyncClient,
) -> None:
    assert await codes(site, url=WARM["url"]) == ["warm", "red"]
    everything = value_set(compose={"include": [{"system": COLOURS["url"]}]})
    body = parameters(valueSet=everything)
    body["parameter"].append({"name": "displayLanguage", "valueCode": "de-CH"})
    body["parameter"].append({"name": "includeDesignations", "valueBoolean": True})
    answer = await site.post("ValueSet/$expand", json=body, headers=EHR)
    contains = answer.json()["expansion"]["contains"]
    assert [each["display"] for each in contains] == ["Warm", "Rot", "Blue"]
    assert [each["value"] for each in contains[1]["designation"]] == ["Rot", "Rouge"]
    assert await codes(site, url=WARM["url"], filter="rouge") == ["red"]


JUDGED: list[tuple[str, Resource, bool, Any]] = [
    ("ValueSet/$validate-code", {"url": GENDER, "code": "male"}, True, "Male"),
    ("ValueSet/$validate-code", {"url": GENDER, "code": "man"}, False, None),
    ("ValueSet/$validate-code", {"url": GENDER, "code": "male", "system": TIERS}, False, None),
    ("ValueSet/$validate-code", {"url": INTENT, "code": "plan", "system": f"{R4}/request-intent"}, True, "Plan"),
    ("ValueSet/$validate-code", {"url": GENDER, "code": "male", "display": "MALE"}, True, "Male"),
    ("ValueSet/$validate-code", {"url": GENDER, "code": "male", "display": "Female"}, False, "Male"),
    ("CodeSystem/$validate-code", {"url": TIERS, "code": "tier-1"}, True, ...),
    ("CodeSystem/$validate-code", {"url": TIERS, "code": "tier-9"}, False, None),
    ("CodeSystem/$validate-code", {"url": TIERS, "code": "tier-1", "display": "Nonsense"}, False, ...),
    ("CodeSystem/$validate-code", {"url": f"{CANONICAL}/CodeSystem/rule", "code": "SAF-1"}, True, ...),
]


async def test_a_code_is_told_from_one_that_is_none(http: httpx.AsyncClient) -> None:
    for address, query, result, display in JUDGED:
        found = await verdict(http, address, **query)
        assert found["result"] is result, query
        assert result or found["message"]
        assert found.get("display") == display or (display is ... and found["display"])


CODED: list[tuple[str, Resource, bool]] = [
    ("ValueSet/$validate-code", {"url": GENDER, "coding": MALE}, True),
    ("ValueSet/$validate-code", {"url": GENDER, "coding": {"system": TIERS, "code": "male"}}, False),
    (
        "ValueSet/$validate-code",
        {
            "url": GENDER,
            "codeableConcept": {"coding": [{"system": TIERS, "code": "tier-1"}, MALE]},
        },
        True,
    ),
    ("CodeSystem/$validate-code", {"coding": {"system": TIERS, "code": "tier-2"}}, True),
    ("CodeSystem/$validate-code", {"url": TIERS, "coding": {"system": GENDER, "code": "tier-2"}}, False),
]


async def test_a_coding_or_any_of_a_concept_is_validated(http: httpx.AsyncClient) -> None:
    for address, body, result in CODED:
        answer = await http.post(address, json=parameters(**body), headers=EHR)
        assert answer.json()["parameter"][0] == {"name": "result", "valueBoolean": result}, answer.text


async def test_a_tenants_codes_are_validated_and_looked_up_where_they_are_kept(site: httpx.AsyncClient) -> None:
    assert (await verdict(site, "CodeSystem/colours/$validate-code", code="red", display="rot"))["result"] is True
    assert (await verdict(site, "ValueSet/warm/$validate-code", code="blue", system=COLOURS["url"]))["result"] is False
    answer = await ask(site, "CodeSystem/$lookup", system=COLOURS["url"], code="red", displayLanguage="fr")
    found = answer.json()["parameter"]
    assert {"name": "display", "valueString": "Rouge"} in found
    parent = [{"name": "code", "valueCode": "parent"}, {"name": "value", "valueCode": "warm"}]
    assert {"name": "property", "part": parent} in found
