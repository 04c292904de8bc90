"""S7: tokens by subsumption, by value set, without case where that is safe, and in their plain forms."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from stepwell_shared.canonical import CANONICAL
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.registry import served

from tests.conftest import DatabaseOf
from tests.shared.fhir.search.refusing import refusal
from tests.support.engine import ROUTING_URL, SOUTH, Bench, FakeAccess, patient
from tests.support.engine import bench as open_bench
from tests.support.registries import bench_of

R4 = "http://hl7.org/fhir"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ICD = "http://hl7.org/fhir/sid/icd-10"
RULE, TIER = f"{CANONICAL}/CodeSystem/rule", f"{CANONICAL}/CodeSystem/tier"


def observation(id_: str, *codings: tuple[str | None, str], **members: Any) -> dict[str, Any]:
    coding = [{"code": code} | ({"system": system} if system else {}) for system, code in codings]
    code = {"coding": coding} if coding else {"text": "in words"}
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": code, **members}


def task(id_: str, intent: str) -> dict[str, Any]:
    return {"resourceType": "Task", "id": id_, "status": "requested", "intent": intent}


@pytest.fixture
async def bench(database_of: DatabaseOf) -> AsyncIterator[Bench]:
    """Observations with codes of systems that are known, of some that are not, and with none."""
    async with open_bench(await database_of("measurement"), "measurement") as opened:
        for each in (
            observation("icd", (ICD, "F32.1")),
            observation("mixed", ("urn:lab", "aBc"), (CLINICAL, "resolved")),
            observation(
                "relapse", (CLINICAL, "relapse"), meta={"security": [{"system": CONFIDENTIALITY, "code": "V"}]}
            ),
            observation(
                "rule", (RULE, "SAF-1"), (TIER, "tier-3"), category=[{"coding": [{"system": "urn:c", "code": "Exam"}]}]
            ),
            observation("bare", (None, "X1")),
            observation("words"),
            patient(id="yes", active=True, telecom=[{"system": "email", "value": "Ann@Example.org"}]),
            patient(id="no", active=False, identifier=[{"system": "urn:mrn", "value": "aB"}]),
        ):
            await opened.update(each)
        yield opened


REFUSED = [
    ("Observation", "code:below=http://loinc.org|44261-6"), ("Observation", "code:above=urn:nobody|x"),
    ("Observation", "code:below=nobody-has-this-code"), ("Observation", f"code:below={CLINICAL}|"),
    ("Observation", "code:in=urn:nobody-knows"), ("Observation", "code:not-in=urn:nobody-knows"),
    ("Observation", "code:in=ValueSet/nobody"), ("Observation", f"code:in={R4}/ValueSet/body-site"),
    ("Observation", f"code:in={R4}/ValueSet/administrative-gender|9"),
    ("Observation", f"code:in={R4}/ValueSet/jurisdiction"),
    ("Observation", "code:of-type=a|b|c"), ("Observation", "code:exact=a"), ("Observation", "status:text=final"),
    ("Patient", "identifier:below=urn:mrn|aB"), ("Patient", "active:in=urn:x"), ("Patient", "email:above=a"),
    ("Patient", "active=urn:x|true"), ("Patient", "active=|true"), ("Patient", "active=maybe"),
    ("Patient", "email=email|ann@example.org"), ("Patient", "deceased=|true"), ("Patient", "deceased=1"),
    ("Patient", "_id:above=yes"), ("Patient", "_id:text=yes"),
]  # fmt: skip


async def test_s7_what_cannot_be_answered_truly_is_refused(bench: Bench) -> None:
    for resource_type, query in REFUSED:
        await refusal(bench, resource_type, query)


SUBSUMED = [
    (f"code:below={CLINICAL}|active", "relapse"), (f"code:below={CLINICAL}|inactive", "mixed"),
    ("code:below=inactive", "mixed"), (f"code:above={CLINICAL}|relapse", "relapse"),
    (f"code:below={CLINICAL}|relapse", "relapse"), (f"code:below={CLINICAL}|remission", ""),
    (f"code:below={CLINICAL}|active,{CLINICAL}|inactive", "mixed relapse"), (f"code:below={TIER}|tier-3", "rule"),
    (f"_security:below={CONFIDENTIALITY}|_Confidentiality", "relapse"),
    (f"_security:above={CONFIDENTIALITY}|V", "relapse"),
    (f"combo-code:below={CLINICAL}|active", "relapse"),
]  # fmt: skip


async def test_s7_above_and_below_follow_the_hierarchy_of_the_code_system(bench: Bench) -> None:
    for query, expected in SUBSUMED:
        assert " ".join(await bench.found("Observation", query)) == expected, query


IN_VALUE_SETS = [
    ("code:in=http://hl7.org/fhir/ValueSet/condition-clinical", "mixed relapse"),
    ("code:in=http://hl7.org/fhir/ValueSet/condition-clinical|4.0.1", "mixed relapse"),
    ("code:not-in=http://hl7.org/fhir/ValueSet/condition-clinical", "bare icd rule words"),
    ("code:in=http://hl7.org/fhir/ValueSet/condition-clinical,http://hl7.org/fhir/ValueSet/observation-codes",
     "mixed relapse"),
    ("code:in=http://hl7.org/fhir/ValueSet/observation-codes", ""),
    ("_security:in=http://hl7.org/fhir/ValueSet/security-labels", "relapse"),
    ("_security:not-in=http://hl7.org/fhir/ValueSet/security-labels", "bare icd mixed rule words"),
    ("status:in=http://hl7.org/fhir/ValueSet/observation-status", "bare icd mixed relapse rule words"),
    ("status:in=http://hl7.org/fhir/ValueSet/administrative-gender", ""),
    ("status:not-in=http://hl7.org/fhir/ValueSet/observation-status", ""),
]  # fmt: skip


async def test_s7_in_and_not_in_ask_the_value_set(bench: Bench) -> None:
    for query, expected in IN_VALUE_SETS:
        assert " ".join(await bench.found("Observation", query)) == expected, query


CASES = [
    ("Observation", "code=f32.1", "icd"), ("Observation", f"code={ICD}|f32.1", "icd"),
    ("Observation", f"code={ICD}|F32.1", "icd"), ("Observation", "code=urn:lab|ABC", "mixed"),
    ("Observation", f"code={CLINICAL}|RELAPSE", ""), ("Observation", f"code={RULE}|saf-1", ""),
    ("Observation", f"code={RULE}|SAF-1", "rule"), ("Observation", "code=SAF-1", "rule"),
    ("Observation", "code=|x1", "bare"), ("Observation", "code=URN:LAB|abc", ""),
    ("Observation", "category=exam", "rule"), ("Observation", "code:not=f32.1", "bare mixed relapse rule words"),
    ("Observation", "status=FINAL", ""),
    ("Patient", "email=ann@example.org", "yes"), ("Patient", "telecom=ANN@EXAMPLE.ORG", "yes"),
    ("Patient", "identifier=ab", ""), ("Patient", "identifier=aB", "no"), ("Patient", "_id=YES", ""),
]  # fmt: skip


async def test_s7_case_matters_for_ids_identifiers_and_systems_that_say_so(bench: Bench) -> None:
    for resource_type, query, expected in CASES:
        assert " ".join(await bench.found(resource_type, query)) == expected, query


PLAIN_CODES = [
    ("Observation", f"status={R4}/observation-status|final", "bare icd mixed relapse rule words"),
    ("Observation", f"status={R4}/observation-status|", "bare icd mixed relapse rule words"),
    ("Observation", "status=urn:other|final", ""), ("Observation", "status=urn:other|", ""),
    ("Observation", "code:missing=true", ""), ("Observation", "code:text=in w", "words"),
    ("Observation", "category:not=urn:c|Exam", "bare icd mixed relapse words"),
    ("Observation", "status:not=final", ""), ("Observation", "status:not=urn:other|final",
     "bare icd mixed relapse rule words"),
    ("Patient", "active=true", "yes"), ("Patient", "active=true,false", "no yes"), ("Patient", "active:not=true", "no"),
    ("Patient", "_id:not=yes", "no"), ("Patient", "_id:missing=true", ""), ("Patient", "_id:missing=false", "no yes"),
    ("Patient", "_lastUpdated:missing=true", ""),
]  # fmt: skip


async def test_s7_plain_codes_have_the_system_that_r4_binds_them_to(bench: Bench) -> None:
    for resource_type, query, expected in PLAIN_CODES:
        assert " ".join(await bench.found(resource_type, query)) == expected, query


async def test_s7_a_plain_code_has_the_hierarchy_of_its_system(database_of: DatabaseOf) -> None:
    async with open_bench(await database_of("screening")) as bench:
        for intent in ("order", "filler-order", "plan"):
            await bench.update(task(f"t-{intent}", intent))
        for query, expected in (
            ("intent:below=order", ["t-filler-order", "t-order"]),
            (f"intent:below={R4}/request-intent|order", ["t-filler-order", "t-order"]),
            ("intent:above=filler-order", ["t-filler-order", "t-order"]),
            ("intent:below=plan", ["t-plan"]),
            (f"intent:in={R4}/ValueSet/request-intent", ["t-filler-order", "t-order", "t-plan"]),
        ):
            assert await bench.found("Task", query) == expected, query
        await refusal(bench, "Task", "intent:below=nonsense")


@pytest.fixture
async def library(empty_database: Any) -> AsyncIterator[Bench]:
    """A service that serves ValueSet and CodeSystem beside Flags, with some of each in one tenant."""
    knowledge = ["url", "version", "status"]
    types = served("Flag", ["identifier"]), served("ValueSet", knowledge), served("CodeSystem", knowledge)
    async with bench_of(empty_database, *types) as opened:
        for code in ("red", "crimson", "blue"):
            tag = {"system": "urn:colours", "code": code}
            flag = {"status": "active", "code": {"text": "F"}, "subject": {"reference": "Patient/p"}}
            await opened.update({"resourceType": "Flag", "id": code, "meta": {"tag": [tag]}, **flag})
        concepts = [{"code": "red", "concept": [{"code": "crimson"}]}, {"code": "blue"}]
        code_system = {"url": "urn:colours", "status": "active", "content": "complete", "concept": concepts}
        await opened.update({"resourceType": "CodeSystem", "id": "colours", **code_system})
        reds = {"system": "urn:colours", "filter": [{"property": "concept", "op": "is-a", "value": "red"}]}
        for id_, version, include in (
            ("reds", "1", reds),
            ("blues", "2", {"system": "urn:colours", "concept": [{"code": "blue"}]}),
            ("both", "1", {"valueSet": ["https://v.org/reds|1"]}),
        ):
            url = "https://v.org/reds" if id_ != "both" else "https://v.org/both"
            value_set = {"url": url, "version": version, "status": "active", "compose": {"include": [include]}}
            opened.clock.advance(seconds=1)
            await opened.update({"resourceType": "ValueSet", "id": id_, **value_set})
        yield opened


OF_THE_TENANT = [
    ("_tag:in=https://v.org/reds|1", "crimson red"), ("_tag:in=https://v.org/reds|2", "blue"),
    ("_tag:in=https://v.org/reds", "blue"),  # without a version the newest
    ("_tag:in=ValueSet/reds", "crimson red"), ("_tag:in=https://v.org/both", "crimson red"),
    (f"_tag:in={ROUTING_URL}/ValueSet/reds", "crimson red"), ("_tag:not-in=ValueSet/reds", "blue"),
    ("_tag:in=ValueSet/reds,ValueSet/blues", "blue crimson red"),
    ("_tag:below=urn:colours|red", "crimson red"), ("_tag:above=urn:colours|crimson", "crimson red"),
]  # fmt: skip


async def test_s7_value_sets_and_code_systems_of_the_tenant_are_known(library: Bench) -> None:
    for query, expected in OF_THE_TENANT:
        assert " ".join(await library.found("Flag", query)) == expected, query


async def test_s7_what_another_tenant_keeps_or_the_caller_may_not_find_is_not_known(library: Bench) -> None:
    south = FakeAccess(tenant=SOUTH)
    await refusal(library, "Flag", "_tag:in=https://v.org/reds|1", access=south)
    await refusal(library, "Flag", "_tag:in=https://v.org/reds|3")
    await refusal(library, "Flag", "_tag:below=red")  # only a named system is looked for
    await refusal(library, "Flag", "_tag:in=https://v.org/both", access=FakeAccess(
        narrowed={"ValueSet.search-type": ["version=2"]}
    ))  # fmt: skip
    with pytest.raises(FhirError) as caught:
        await library.found(
            "Flag", "_tag:in=ValueSet/reds", access=FakeAccess(denied=frozenset({"ValueSet.search-type"}))
        )
    assert caught.value.status == 403
