"""The rows of the requirements on search, by their ids, on Observations and what they refer to."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.interactions.everywhere import search_types
from stepwell_shared.fhir.outcome import FhirError

from tests.conftest import DatabaseOf
from tests.support.engine import NORTH, SOUTH, Bench, FakeAccess, ids_in, json_of, link, patient
from tests.support.engine import bench as open_bench

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
MERCURY = {"system": UCUM, "code": "mm[Hg]", "unit": "mmHg"}


def observation(id_: str, **members: Any) -> dict[str, Any]:
    code = {"coding": [{"system": LOINC, "code": "44261-6", "display": "PHQ-9 total"}], "text": "Depression score"}
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": code, **members}


def component(code: str, value: float) -> dict[str, Any]:
    return {"code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": {"value": value, **MERCURY}}


def score(value: Any, **members: Any) -> dict[str, Any]:
    return {"value": value, "unit": "score", "system": UCUM, "code": "{score}", **members}


PEOPLE = [
    patient(
        id="ann",
        name=[{"family": "Müller", "given": ["Ann"]}],
        gender="female",
        meta={"tag": [{"system": "urn:t", "code": "demo"}], "profile": ["http://a/p"], "source": "urn:s"},
        identifier=[{"type": {"coding": [{"system": "urn:v2", "code": "MR"}]}, "system": "urn:mrn", "value": "7"}],
        generalPractitioner=[{"identifier": {"system": "urn:gp", "value": "9"}}],
        managingOrganization={"reference": "Organization/o"},
    ),
    patient(id="bob", name=[{"family": "Mull"}, {"family": "Abel"}], gender="male", telecom=[
        {"system": "email", "value": "b@example.org"}, {"system": "phone", "value": "123"}
    ], deceasedBoolean=True),
    patient(id="cyd", deceasedBoolean=False),
]  # fmt: skip
OBSERVATIONS = [
    observation("o1", subject={"reference": "Patient/ann"}, valueQuantity=score(12), effectiveDateTime="2026-01-01"),
    observation("o2", subject={"reference": "Patient/ann"}, valueQuantity=score(20), effectiveDateTime="2026-02-01"),
    observation("o3", subject={"reference": "Patient/bob"}, valueQuantity=score(5.4), effectiveDateTime="2026-03-01",
        hasMember=[{"reference": "Observation/o1"}]),
    observation("o4", valueQuantity={"value": 12, "unit": "points"}),
    observation("o5", valueQuantity={"value": 60, "comparator": ">"}),
    observation("bp", component=[component("8480-6", 140), component("8462-4", 80)],
        subject={"reference": "Patient/bob"}),
    observation("text", valueString="Feels Better", status="amended", derivedFrom=[{"reference": "Observation/bp"}],
        code={"text": "Impression"}),
]  # fmt: skip


@pytest.fixture
async def bench(database_of: DatabaseOf) -> AsyncIterator[Bench]:
    """Measurement with three people and their Observations, and the same ids with nothing in them in another tenant."""
    async with open_bench(await database_of("measurement"), "measurement") as opened:
        for each in [*PEOPLE, *OBSERVATIONS]:
            opened.clock.advance(seconds=1)
            await opened.update(each)
        south = FakeAccess(tenant=SOUTH)
        await opened.update(patient(id="ann", name=[{"family": "South"}]), access=south)
        await opened.update(observation("o1", subject={"reference": "Patient/ann"}), access=south)
        yield opened


async def check(bench: Bench, resource_type: str, query: str, expected: str) -> None:
    """`expected` are the ids in their order."""
    assert " ".join(await bench.found(resource_type, query)) == expected, query


async def refused(bench: Bench, resource_type: str, query: str, **given: Any) -> str:
    with pytest.raises(FhirError) as caught:
        await bench.found(resource_type, query, **given)
    assert caught.value.status == 400, query
    return caught.value.issues[0].code


async def everywhere(bench: Bench, query: str, **given: Any) -> dict[str, Any]:
    parameters = parse_qsl(query)
    return json_of(await search_types(bench.engine, bench.request("", parameters=parameters, **given)))


async def test_s5_missing_of_every_parameter_parts_the_resources_in_two(bench: Bench) -> None:
    for served_type in bench.engine.registry:
        everything = await bench.found(served_type.name, "_count=100")
        for name, parameter in served_type.parameters.items():
            if parameter.type == "composite":
                assert await refused(bench, served_type.name, f"{name}:missing=true") == "value"
                continue
            there = await bench.found(served_type.name, f"{name}:missing=false&_count=100")
            away = await bench.found(served_type.name, f"{name}:missing=true&_count=100")
            assert sorted(there + away) == sorted(everything), name
    await check(bench, "Patient", "general-practitioner:missing=false", "ann")
    await check(bench, "Observation", "combo-value-quantity:missing=true", "text")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("family=mul", "ann bob"), ("family=MÜLLER", "ann"), ("name=ab", "bob"), ("family:exact=Mull", "bob"),
        ("family:exact=mull", ""), ("family:contains=ULL", "ann bob"), ("family:contains=_", ""),
        ("family:contains=%", ""), ("family=ull", ""), ("name:exact=Müller", "ann"),
    ],
)  # fmt: skip
async def test_s6_strings_start_with_are_exact_or_contain(bench: Bench, query: str, expected: str) -> None:
    await check(bench, "Patient", query, expected)


@pytest.mark.parametrize(
    ("resource_type", "query", "expected"),
    [
        ("Observation", "code:text=phq", "bp o1 o2 o3 o4 o5"),
        ("Observation", "code:text=DEPRESSION", "bp o1 o2 o3 o4 o5"),
        ("Observation", "code:text=impress", "text"), ("Observation", "code:text=score", ""),
        ("Observation", "code:not=http://loinc.org|44261-6", "text"), ("Observation", "status:not=final", "text"),
        ("Patient", "identifier:of-type=urn:v2|MR|7", "ann"), ("Patient", "identifier:of-type=urn:v2|MR|8", ""),
        ("Patient", "identifier:of-type=urn:x|MR|7", ""), ("Patient", "identifier=urn:mrn|7", "ann"),
        ("Patient", "identifier:not=7", "bob cyd"), ("Patient", "email=b@example.org", "bob"),
        ("Patient", "phone=123", "bob"),
        ("Patient", "deceased=true", "bob"), ("Patient", "deceased=false", "ann cyd"),
        ("Patient", "gender:in=http://hl7.org/fhir/ValueSet/administrative-gender", "ann bob"),
        ("Patient", "gender:not-in=http://hl7.org/fhir/ValueSet/administrative-gender", "cyd"),
        ("Observation", "combo-code=8462-4", "bp"),
        ("Observation", "combo-code=44261-6&status=final", "bp o1 o2 o3 o4 o5"),
    ],
)  # fmt: skip
async def test_s7_tokens_and_their_modifiers(bench: Bench, resource_type: str, query: str, expected: str) -> None:
    await check(bench, resource_type, query, expected)


@pytest.mark.parametrize(
    ("resource_type", "query", "expected"),
    [
        ("Patient", "general-practitioner:identifier=urn:gp|9", "ann"),
        ("Patient", "general-practitioner:identifier=8", ""),
        ("Observation", "subject:Patient=ann", "o1 o2"), ("Observation", "subject=Patient/ann/_history/1", "o1 o2"),
        ("Observation", "has-member=o1", "o3"), ("Observation", "derived-from:Observation=bp", "text"),
    ],
)  # fmt: skip
async def test_s8_references_and_their_identifiers(bench: Bench, resource_type: str, query: str, expected: str) -> None:
    await check(bench, resource_type, query, expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("value-quantity=12", "o1 o4"), ("value-quantity=12.0", "o1 o4"), ("value-quantity=1e1", "o1 o3 o4"),
        ("value-quantity=5", "o3"), ("value-quantity=5.0", ""), ("value-quantity=5.4", "o3"),
        ("value-quantity=ne12", "o2 o3 o5"), ("value-quantity=gt12", "o2 o5"), ("value-quantity=ge12", "o1 o2 o4 o5"),
        ("value-quantity=lt12", "o3"), ("value-quantity=le12", "o1 o3 o4"), ("value-quantity=sa12", "o2 o5"),
        ("value-quantity=eb12", "o3"), ("value-quantity=ap11", "o1 o4"), ("value-quantity=gt1000", "o5"),
        ("value-quantity=12|http://unitsofmeasure.org|{score}", "o1"), ("value-quantity=12||points", "o4"),
        ("value-quantity=12||score", "o1"), ("value-quantity=12||{score}", "o1"),
        ("value-quantity=12|urn:x|{score}", ""),
        ("component-value-quantity=gt100", "bp"), ("combo-value-quantity=80,20", "bp o2"),
        ("value-quantity=12,20", "o1 o2 o4"),
    ],
)  # fmt: skip
async def test_s10_numbers_have_the_precision_they_are_written_with(bench: Bench, query: str, expected: str) -> None:
    await check(bench, "Observation", query, expected)


@pytest.mark.parametrize("value", ["a", "1|2", "12|a|b|c", "gt", "1e999", "NaN", "1,x", "x1", "٣"])
async def test_s10_what_is_no_number_is_refused(bench: Bench, value: str) -> None:
    assert await refused(bench, "Observation", f"value-quantity={value}") == "value"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("code-value-quantity=44261-6$gt15", "o2 o5"),
        ("code-value-quantity=http://loinc.org|44261-6$12||points", "o4"),
        ("component-code-value-quantity=8480-6$140", "bp"), ("component-code-value-quantity=8480-6$80", ""),
        ("component-code-value-quantity=http://loinc.org|8462-4$lt90", "bp"),
        ("combo-code-value-quantity=8462-4$80", "bp"),
        ("code-value-string=Impression$feels", ""), ("combo-code-value-quantity=8480-6$1,8462-4$80", "bp"),
    ],
)  # fmt: skip
async def test_s12_composites_hold_in_one_element(bench: Bench, query: str, expected: str) -> None:
    await check(bench, "Observation", query, expected)


@pytest.mark.parametrize(
    "query", ["code-value-quantity=a", "code-value-quantity=a$", "code-value-quantity=a$1$2",
        "code-value-quantity:not=a$1"]
)  # fmt: skip
async def test_s12_a_composite_takes_two_values_and_no_modifier(bench: Bench, query: str) -> None:
    await refused(bench, "Observation", query)


@pytest.mark.parametrize(
    ("resource_type", "query", "expected"),
    [
        ("Observation", "subject:Patient.family=mull", "bp o1 o2 o3"),
        ("Observation", "patient.gender=male", "bp o3"),
        ("Observation", "subject.family:exact=Müller", "o1 o2"), ("Observation", "subject:Patient.family=South", ""),
        ("Observation", "has-member:Observation.subject:Patient.name=ann", "o3"),
        ("Observation", "has-member.patient.name=ann&patient.gender=male", "o3"),
        ("Observation", "derived-from:Observation.patient.gender=male", "text"),
        ("Patient", "_has:Observation:patient:value-quantity=gt15", "ann"),
        ("Patient", "_has:Observation:patient:code=44261-6", "ann bob"),
        ("Patient", "_has:Observation:patient:code=nothing", ""),
        ("Patient", "_has:Observation:patient:_id=o1,o3", "ann bob"),
        ("Patient", "_has:Observation:patient:_has:Observation:has-member:status=final", "ann"),
        ("Patient", "_has:Observation:patient:_id=o1&_has:Observation:patient:_id=o3", ""),
        ("Observation", "_has:Observation:derived-from:status=amended", "bp"),
    ],
)  # fmt: skip
async def test_s12_chains_in_both_directions(bench: Bench, resource_type: str, query: str, expected: str) -> None:
    await check(bench, resource_type, query, expected)


async def test_s12_a_chain_reaches_what_the_scopes_of_each_hop_reach(bench: Bench) -> None:
    narrowed = FakeAccess(narrowed={"Patient.search-type": ["gender=male"]})
    assert await bench.found("Observation", "patient.name:missing=false", access=narrowed) == ["bp", "o3"]
    seen = FakeAccess(narrowed={"Observation.search-type": ["status=amended"]})
    assert await bench.found("Patient", "_has:Observation:patient:status=final", access=seen) == []
    for query in ("patient.name=ann", "_has:Observation:has-member:patient.name=ann"):
        with pytest.raises(FhirError) as caught:
            await bench.found("Observation", query, access=FakeAccess(denied=frozenset({"Patient.search-type"})))
        assert caught.value.status == 403


async def test_s12_a_long_chain_is_too_costly(bench: Bench) -> None:
    chain = "has-member.has-member.has-member.has-member.has-member.status"
    assert await refused(bench, "Observation", f"{chain}=final") == "too-costly"


def modes(bundle: dict[str, Any]) -> list[str]:
    return [f"{entry['resource']['id']}:{entry['search']['mode']}" for entry in bundle.get("entry", [])]


@pytest.mark.parametrize(
    ("resource_type", "query", "expected"),
    [
        ("Observation", "_id=o1,o2&_include=Observation:patient", "o1:match o2:match ann:include"),
        ("Observation", "_id=o3&_include=Observation:has-member", "o3:match o1:include"),
        ("Observation", "_id=o3&_include=Observation:has-member&_include:iterate=Observation:subject",
         "o3:match o1:include bob:include ann:include"),
        ("Observation", "_id=o3&_include=Observation:subject:Patient", "o3:match bob:include"),
        ("Observation", "_id=o3&_include=*", "o3:match bob:include o1:include"),
        ("Patient", "_id=bob&_revinclude=Observation:subject", "bob:match bp:include o3:include"),
        ("Patient", "_id=bob&_revinclude=Observation:subject&_revinclude:iterate=Observation:derived-from",
         "bob:match bp:include o3:include text:include"),
        ("Observation", "_id=o4&_include=Observation:subject", "o4:match"),
    ],
)  # fmt: skip
async def test_s13_includes_come_along(bench: Bench, resource_type: str, query: str, expected: str) -> None:
    found = await bench.search(resource_type, f"{query}&_total=accurate")
    assert sorted(modes(found)) == sorted(expected.split())
    assert found["total"] == expected.count(":match")


async def test_s13_includes_stay_within_scopes_and_tenant(bench: Bench) -> None:
    denied = FakeAccess(denied=frozenset({"Patient.search-type"}))
    assert modes(await bench.search("Observation", "_id=o1&_include=Observation:patient", access=denied)) == [
        "o1:match"
    ]
    narrowed = FakeAccess(narrowed={"Patient.search-type": ["gender=male"]})
    query = "_id=o1,o3&_include=Observation:patient"
    assert "ann:include" not in modes(await bench.search("Observation", query, access=narrowed))
    south = await bench.search("Observation", "_id=o1&_include=Observation:patient", access=FakeAccess(tenant=SOUTH))
    assert south["entry"][1]["resource"]["name"] == [{"family": "South"}]


@pytest.mark.parametrize(
    "query", ["_include=Observation", "_include=Observation:code", "_include=Nonsense:x",
        "_include:nonsense=Observation:subject",
              "_revinclude=Observation:subject:Nonsense", "&".join(["_include=*"] * 21)]
)  # fmt: skip
async def test_s13_an_include_that_is_not_served_is_refused(bench: Bench, query: str) -> None:
    await refused(bench, "Observation", query)


@pytest.mark.parametrize(
    ("resource_type", "query", "expected"),
    [
        ("Observation", "_sort=value-quantity&value-quantity:missing=false", "o3 o1 o4 o2 o5"),
        ("Observation", "_sort=-date&date:missing=false", "o3 o2 o1"),
        ("Observation", "_sort=-status,_id", "bp o1 o2 o3 o4 o5 text"),
        ("Patient", "_sort=family", "bob ann cyd"), ("Patient", "_sort=-family", "ann bob cyd"),
        ("Patient", "_sort=gender,-_id", "ann bob cyd"),
        ("Observation", "_sort=patient,-date", "o2 o1 o3 bp text o5 o4"),
    ],
)  # fmt: skip
async def test_s14_sorting_by_any_parameter_and_page_by_page(
    bench: Bench, resource_type: str, query: str, expected: str
) -> None:
    wanted = expected.split()
    assert await bench.found(resource_type, query) == wanted
    found: list[str] = []
    page = await bench.search(resource_type, f"{query}&_count=2")
    while True:
        assert len(page["entry"]) <= 2
        found += ids_in(page)
        following = link(page, "next")
        if following is None:
            break
        request = bench.request(resource_type, parameters=parse_qsl(urlsplit(following).query))
        page = json_of(await interactions.search(bench.engine, request))
    assert found == wanted


@pytest.mark.parametrize(
    ("query", "expected"),
    [("_tag=urn:t|demo", "ann"), ("_tag=other", ""), ("_profile=http://a/p", "ann"), ("_source=urn:s", "ann"),
     ("_security:missing=true", "ann bob cyd"), ("_tag:missing=false", "ann")],
)  # fmt: skip
async def test_s18_every_type_is_searched_by_its_meta(bench: Bench, query: str, expected: str) -> None:
    await check(bench, "Patient", query, expected)


async def test_s19_several_types_are_searched_by_what_all_have(bench: Bench) -> None:
    found = await everywhere(bench, "_type=Patient,Observation&_id=ann,o1&_total=accurate")
    assert (ids_in(found), found["total"]) == (["ann", "o1"], 2)
    assert ids_in(await everywhere(bench, "_tag=urn:t|demo")) == ["ann"]
    for query in ("name=ann", "_type=Patient,Observation&name=ann", "_type=Patient&_sort=name", "nonsense=1"):
        with pytest.raises(FhirError) as caught:
            await everywhere(bench, query)
        assert caught.value.status == 400


async def test_s19_pages_over_several_types_never_repeat_nor_leave_out(bench: Bench) -> None:
    everything = ids_in(await everywhere(bench, "_type=Patient,Observation&_count=100"))
    assert len(everything) == len(PEOPLE) + len(OBSERVATIONS)
    page = await everywhere(bench, "_type=Patient,Observation&_count=3")
    found = ids_in(page)
    while following := link(page, "next"):
        page = await everywhere(bench, urlsplit(following).query)
        found += ids_in(page)
    assert found == everything


async def test_s19_a_compartment_holds_what_concerns_the_patient(bench: Bench) -> None:
    query = "-compartment=Patient/ann"
    assert await bench.found("Observation", query) == ["o1", "o2"]
    assert await bench.found("Observation", f"{query}&value-quantity=gt15") == ["o2"]
    assert ids_in(await everywhere(bench, query)) == ["o1", "o2", "ann"]
    await refused(bench, "Subscription", query)
    await refused(bench, "Observation", "-compartment=Nonsense/1")


async def test_two_tenants_never_see_each_other(bench: Bench) -> None:
    south = FakeAccess(tenant=SOUTH)
    assert await bench.found("Observation", "subject:Patient.family=South", access=south) == ["o1"]
    assert await bench.found("Patient", "_has:Observation:patient:status=final", access=south) == ["ann"]
    assert len(ids_in(await everywhere(bench, "_count=50", access=south))) == 2
    assert await bench.found("Patient", "family=South", access=FakeAccess(tenant=NORTH)) == []
