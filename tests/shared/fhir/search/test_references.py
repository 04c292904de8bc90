"""S8, S12 and S13 for references that take more than an address: canonical ones, hierarchies, ids of several types."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.outcome import FhirError

from tests.conftest import DatabaseOf
from tests.shared.fhir.search.refusing import refusal
from tests.support.engine import BASE_URL, SOUTH, Bench, FakeAccess, ids_in, patient, response
from tests.support.engine import bench as open_bench

PHQ, GAD = "https://q.org/phq", "https://q.org/gad"


def questionnaire(id_: str, url: str, version: str | None, title: str) -> dict[str, Any]:
    versioned = {"version": version} if version else {}
    return {"resourceType": "Questionnaire", "id": id_, "status": "active", "url": url, "title": title, **versioned}


def service_request(id_: str, *policies: str) -> dict[str, Any]:
    known = {"status": "active", "intent": "plan", "subject": {"reference": "Patient/p"}}
    return {"resourceType": "ServiceRequest", "id": id_, "instantiatesCanonical": list(policies), **known}


@pytest.fixture
async def forms(database_of: DatabaseOf) -> AsyncIterator[Bench]:
    """Questionnaires in several versions, and responses that name them in every way."""
    async with open_bench(await database_of("screening")) as opened:
        for each in (
            questionnaire("phq1", PHQ, "1.0", "Old mood"),
            questionnaire("phq2", PHQ, "1.1", "Mood"),
            questionnaire("phq10", PHQ, "10.0", "New mood"),
            questionnaire("gad", GAD, None, "Worry"),
            patient(id="p", name=[{"family": "Ng"}]),
            response(id="any", questionnaire=PHQ, subject={"reference": "Patient/p"}),
            response(id="v1", questionnaire=f"{PHQ}|1.0"),
            response(id="v11", questionnaire=f"{PHQ}|1.1", subject={"reference": "Patient/p"}),
            response(id="v10", questionnaire=f"{PHQ}|10.0"),
            response(id="worry", questionnaire=GAD),
            response(id="address", questionnaire=f"{BASE_URL}/Questionnaire/gad"),
            response(id="longer", questionnaire=f"{PHQ}-a|1.0"),
        ):
            opened.clock.advance(seconds=1)
            await opened.update(each)
        yield opened


@pytest.fixture
async def organizations(database_of: DatabaseOf) -> AsyncIterator[Bench]:
    """A hospital with a clinic with a ward, another one beside it, and two that are part of each other."""
    async with open_bench(await database_of("referral"), "referral") as opened:
        parents = {"hospital": None, "clinic": "hospital", "ward": "clinic", "other": None, "egg": "hen", "hen": "egg"}
        for id_, parent in parents.items():
            part = {"partOf": {"reference": f"Organization/{parent}"}} if parent else {}
            await opened.update({"resourceType": "Organization", "id": id_, "name": id_, **part})
        for id_, provider in (("s-ward", "ward"), ("s-hospital", "hospital"), ("s-other", "other")):
            provided = {"providedBy": {"reference": f"Organization/{provider}"}}
            await opened.update({"resourceType": "HealthcareService", "id": id_, "name": id_, **provided})
        yield opened


async def test_s8_a_canonical_takes_no_modifier_but_below(forms: Bench) -> None:
    for query in (f"questionnaire:above={PHQ}", "questionnaire:identifier=a|b", f"questionnaire:Questionnaire={PHQ}"):
        await refusal(forms, "QuestionnaireResponse", query)


async def test_s8_a_canonical_is_found_with_any_version_with_one_and_below_one(forms: Bench) -> None:
    for query, expected in (
        (f"questionnaire={PHQ}", "any v1 v10 v11"), (f"questionnaire:below={PHQ}", "any v1 v10 v11"),
        (f"questionnaire={PHQ}|1.0", "v1"), (f"questionnaire={PHQ}|1", ""),
        (f"questionnaire:below={PHQ}|1", "v1 v11"), (f"questionnaire:below={PHQ}|1.0", "v1"),
        (f"questionnaire:below={PHQ}|10", "v10"), (f"questionnaire={PHQ}|1.0,{GAD}", "v1 worry"),
        ("questionnaire=https://q.org/ph", ""),
        (f"questionnaire={BASE_URL}/Questionnaire/gad", "address"), ("questionnaire=Questionnaire/gad", "address"),
    ):  # fmt: skip
        assert " ".join(await forms.found("QuestionnaireResponse", query)) == expected, query


async def test_s12_chains_lead_over_canonical_references(forms: Bench) -> None:
    for resource_type, query, expected in (
        ("QuestionnaireResponse", "questionnaire.title=mood", "any v11"),  # without a version any of them will do
        ("QuestionnaireResponse", "questionnaire:Questionnaire.title=old", "any v1"),
        ("QuestionnaireResponse", "questionnaire.version=10.0", "any v10"),
        ("QuestionnaireResponse", "questionnaire.title=worry", "address worry"),
        ("QuestionnaireResponse", "questionnaire.title=nothing", ""),
        ("QuestionnaireResponse", "questionnaire.title=mood&questionnaire.version=10.0", "any"),
        ("Questionnaire", "_has:QuestionnaireResponse:questionnaire:_id=v11", "phq2"),
        ("Questionnaire", "_has:QuestionnaireResponse:questionnaire:_id=any,worry", "gad phq1 phq10 phq2"),
        ("Questionnaire", "_has:QuestionnaireResponse:questionnaire:_id=address", "gad"),
        ("Questionnaire", "_has:QuestionnaireResponse:questionnaire:patient.name=ng&version=1.1", "phq2"),
        ("Patient", "_has:QuestionnaireResponse:patient:questionnaire.title=old", "p"),
    ):
        assert " ".join(await forms.found(resource_type, query)) == expected, query
    await refusal(forms, "QuestionnaireResponse", "questionnaire.nonsense=a")
    await refusal(forms, "Patient", "_has:QuestionnaireResponse:questionnaire:status=completed")


async def test_s12_chains_lead_over_canonical_references_that_repeat(database_of: DatabaseOf) -> None:
    async with open_bench(await database_of("routing"), "routing") as bench:
        for version in ("1", "2"):
            plan = {"status": "active", "url": "https://p.org/p", "version": version, "name": f"Policy{version}"}
            await bench.update({"resourceType": "PlanDefinition", "id": f"p{version}", **plan})
        await bench.update(service_request("s1", "urn:x", "https://p.org/p|1"))
        await bench.update(service_request("s2", "https://p.org/p|2"))
        assert await bench.found("ServiceRequest", "instantiates-canonical.name=Policy1") == ["s1"]
        assert await bench.found("ServiceRequest", "instantiates-canonical:PlanDefinition.name=Policy") == ["s1", "s2"]
        has = "_has:ServiceRequest:instantiates-canonical:_id"
        assert await bench.found("PlanDefinition", f"{has}=s2") == ["p2"]
        assert await bench.found("PlanDefinition", f"{has}=s1,s2") == ["p1", "p2"]
        assert await bench.found("PlanDefinition", f"{has}=s1&{has}=s2") == []
        await refusal(bench, "ServiceRequest", "instantiates-canonical:Measure.name=x")  # no target


async def test_s12_a_chain_over_a_canonical_reaches_what_the_scopes_of_the_hop_reach(forms: Bench) -> None:
    narrowed = FakeAccess(narrowed={"Questionnaire.search-type": ["version=1.0"]})
    assert await forms.found("QuestionnaireResponse", "questionnaire.title=mood", access=narrowed) == []
    denied = FakeAccess(denied=frozenset({"Questionnaire.search-type"}))
    with pytest.raises(FhirError) as caught:
        await forms.found("QuestionnaireResponse", "questionnaire.title=mood", access=denied)
    assert caught.value.status == 403


async def test_s13_includes_follow_canonical_references_in_both_directions(forms: Bench) -> None:
    for resource_type, query, expected in (
        ("QuestionnaireResponse", "_id=v1&_include=QuestionnaireResponse:questionnaire", "phq1"),
        ("QuestionnaireResponse", "_id=any&_include=QuestionnaireResponse:questionnaire", "phq10"),  # the newest
        ("QuestionnaireResponse", "_id=address&_include=QuestionnaireResponse:questionnaire:Questionnaire", "gad"),
        ("QuestionnaireResponse", "_id=longer&_include=QuestionnaireResponse:questionnaire", ""),
        ("QuestionnaireResponse", "_id=v11&_include=*", "p phq2"),
        ("Questionnaire", "_id=phq2&_revinclude=QuestionnaireResponse:questionnaire", "any v11"),
        ("Questionnaire", "_id=phq2&_revinclude=*", "any v11"),
        ("Questionnaire", "_id=phq2&_revinclude=QuestionnaireResponse:*&_include:iterate=QuestionnaireResponse:*",
         "any p phq10 v11"),
        ("Patient", "_id=p&_revinclude=*", "any v11"),
        ("Patient", "_id=p&_revinclude=QuestionnaireResponse:*:Patient", "any v11"),
    ):  # fmt: skip
        bundle = await forms.search(resource_type, query)
        along = sorted(each["resource"]["id"] for each in bundle["entry"] if each["search"]["mode"] == "include")
        assert " ".join(along) == expected, query


async def test_s13_a_page_has_the_includes_of_its_own_matches(forms: Bench) -> None:
    query = [("_id", "any,v1,v11"), ("_count", "2"), ("_include", "QuestionnaireResponse:patient")]
    request = forms.request("QuestionnaireResponse", parameters=query)
    first = ids_in(await forms.search("QuestionnaireResponse", "&".join(f"{name}={value}" for name, value in query)))
    assert first == ["any", "v1", "p"]
    assert (await interactions.search(forms.engine, request)).status == 200


async def test_s13_includes_are_repeated_not_listed_and_not_for_text_alone(forms: Bench) -> None:
    both = "QuestionnaireResponse:patient,QuestionnaireResponse:questionnaire"
    for query in (f"_include={both}", "_include=*&_summary=text", "_revinclude=QuestionnaireResponse:patient:Group"):
        await refusal(forms, "QuestionnaireResponse", query)


async def test_s8_above_and_below_follow_a_hierarchy_of_resources(organizations: Bench) -> None:
    for resource_type, query, expected in (
        ("HealthcareService", "organization:below=Organization/hospital", "s-hospital s-ward"),
        ("HealthcareService", "organization:below=hospital", "s-hospital s-ward"),
        ("HealthcareService", "organization:below=Organization/clinic", "s-ward"),
        ("HealthcareService", "organization:above=Organization/ward", "s-hospital s-ward"),
        ("HealthcareService", "organization:above=ward,other", "s-hospital s-other s-ward"),
        ("HealthcareService", "organization:below=nobody", ""),
        ("Organization", "partof:below=hospital", "clinic ward"),
        ("Organization", "partof:above=clinic", "clinic ward"),
        ("Organization", "partof:below=egg", "egg hen"),
    ):  # fmt: skip
        assert " ".join(await organizations.found(resource_type, query)) == expected, query
    south = FakeAccess(tenant=SOUTH)
    assert await organizations.found("HealthcareService", "organization:below=hospital", access=south) == []


async def test_s8_who_may_not_find_a_part_is_not_led_through_it(organizations: Bench) -> None:
    narrowed = FakeAccess(narrowed={"Organization.search-type": ["name=hospital", "name=ward"]})
    query = "organization:below=Organization/hospital"
    assert await organizations.found("HealthcareService", query, access=narrowed) == ["s-hospital"]
    denied = FakeAccess(denied=frozenset({"Organization.search-type"}))
    with pytest.raises(FhirError) as caught:
        await organizations.found("HealthcareService", query, access=denied)
    assert caught.value.status == 403


async def test_s8_a_reference_without_a_hierarchy_here_is_refused(organizations: Bench, forms: Bench) -> None:
    await refusal(organizations, "Task", "part-of:below=Task/1")  # a Task can be part of several
    await refusal(organizations, "HealthcareService", "organization:below=Patient/1")
    await refusal(forms, "QuestionnaireResponse", "subject:below=Patient/p")


async def test_s8_an_id_that_means_several_types_is_refused_and_never_mixed(bench: Bench) -> None:
    for id_, subject in (("r1", "Patient/a"), ("r2", "Organization/a"), ("r3", "Patient/b"), ("r4", "Organization/c")):
        await bench.update(response(id=id_, subject={"reference": subject}, source={"reference": "Patient/a"}))
    await bench.update(patient(id="a"))
    for query in ("subject=a", "subject=b,a", "subject:not-a-type=a", "status=completed&subject=a"):
        await refusal(bench, "QuestionnaireResponse", query)
    await refusal(bench, "Patient", "_has:QuestionnaireResponse:source:subject=a")
    for query, expected in (
        ("subject=Patient/a", ["r1"]), ("subject:Organization=a", ["r2"]), ("subject=b", ["r3"]), ("subject=c", ["r4"]),
        ("source=a", ["r1", "r2", "r3", "r4"]), ("patient=a", ["r1"]), ("subject=nobody", []),
        ("subject:missing=false", ["r1", "r2", "r3", "r4"]),
    ):  # fmt: skip
        assert await bench.found("QuestionnaireResponse", query) == expected, query
    narrow = FakeAccess(narrowed={"QuestionnaireResponse.search-type": ["subject=a"]})
    assert await bench.found("QuestionnaireResponse", "status=completed", access=narrow) == ["r1", "r2"]
    with pytest.raises(FhirError) as caught:
        await bench.update_match(response(), "subject=a")
    assert caught.value.status == 400


async def test_s8_an_id_is_looked_for_among_all_types_where_any_is_allowed(bench: Bench) -> None:
    task = {"resourceType": "Task", "status": "requested", "intent": "order"}
    await bench.update({**task, "id": "t1", "focus": {"reference": "RiskAssessment/x"}})
    await bench.update({**task, "id": "t2", "focus": {"reference": "Flag/y"}})
    assert await bench.found("Task", "focus=x") == ["t1"]
    assert await bench.found("Task", "focus:Flag=y") == ["t2"]
    await refusal(bench, "Task", "focus:Nonsense=y")


async def test_s8_versioned_references_are_compared_by_identity(bench: Bench) -> None:
    await bench.update(response(id="r1", subject={"reference": "Patient/a/_history/1"}))
    for query in ("subject=Patient/a/_history/2", "subject=Patient/a", "subject=a", "subject:Patient=a"):
        assert await bench.found("QuestionnaireResponse", query) == ["r1"], query
