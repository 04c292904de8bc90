"""I14: $validate, what it refuses to run on, what it finds, and that it stores nothing."""

from dataclasses import replace
from typing import Any

import pytest
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import READ_ONLY, Registry, Write

from tests.conftest import DatabaseOf
from tests.shared.fhir.interactions.refusing import EAST, refused, status_of
from tests.support.engine import Bench, FakeAccess, patient, plain_registry, response
from tests.support.engine import bench as open_bench

BASE = "http://hl7.org/fhir/StructureDefinition"


def parameters(resource: Any = None, **given: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [] if resource is None else [{"name": "resource", "resource": resource}]
    kinds = {"mode": "valueCode", "profile": "valueUri"}
    found += [{"name": name, kinds.get(name, "valueString"): value} for name, value in given.items()]
    return {"resourceType": "Parameters", "parameter": found}


def severities(outcome: dict[str, Any]) -> set[str]:
    assert outcome["resourceType"] == "OperationOutcome"
    return {issue["severity"] for issue in outcome["issue"]}


@pytest.mark.parametrize(
    ("body", "query"),
    [
        (None, ""),
        (b"{", ""),
        (b"[null, null]", ""),
        (b"7", "mode=create"),
        (b"\xff", "mode=delete"),
        ({"resourceType": "Parameters", "parameter": "x"}, "mode=delete"),
        (parameters(), ""),
        (parameters(patient(), mode="profile"), ""),
        (parameters(patient(), mode="create"), "mode=update"),
        (patient(), "mode=explode"),
        (None, "mode=delete"),
    ],
)
async def test_i14_what_cannot_run_is_refused(bench: Bench, body: Any, query: str) -> None:
    assert await status_of(bench.validate("Patient", body, query=query)) == 400


async def test_i14_an_unknown_profile_is_an_error(bench: Bench) -> None:
    for profile in ("http://example.org/profile", f"{BASE}/Observation"):
        assert await status_of(bench.validate("Patient", parameters(patient(), profile=profile))) == 404
        assert await status_of(bench.validate("Patient", patient(), query=f"profile={profile}")) == 404
    known = await bench.validate("Patient", parameters(patient(), profile=f"{BASE}/Patient|4.0.1"))
    assert severities(known) == {"information"}


async def test_i14_a_profile_that_is_asked_for_is_held_against_the_resource(bench: Bench) -> None:
    us_core = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"
    sent = patient(gender="x", name=[{"family": "Example"}])
    for body, query in ((parameters(sent, profile=f"{us_core}|7.0.0"), ""), (sent, f"profile={us_core}")):
        found = (await bench.validate("Patient", body, query=query))["issue"]
        assert [(issue["code"], issue["expression"]) for issue in found] == [
            ("code-invalid", ["Patient.gender"]), ("required", ["Patient.identifier"])
        ]  # fmt: skip
    assert await status_of(bench.validate("Patient", parameters(sent, profile=f"{us_core}|1.0.0"))) == 404


async def test_i14_profiles_that_the_resource_claims_are_looked_at_as_far_as_they_are_known(bench: Bench) -> None:
    known = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"
    found = (await bench.validate("Patient", patient(meta={"profile": [known, "http://example.org/p"]})))["issue"]
    assert [(issue["severity"], issue["expression"]) for issue in found] == [
        ("warning", ["Patient.meta.profile"]), ("error", ["Patient.identifier"]), ("error", ["Patient.name"])
    ]  # fmt: skip
    kept = patient(
        meta={"profile": [known]}, name=[{"family": "Example"}], identifier=[{"system": "urn:x", "value": "1"}]
    )
    assert severities(await bench.validate("Patient", kept)) == {"information"}
    for meta in ({"profile": known}, {"profile": [7]}, 7, {"profile": [f"{BASE}/Observation"]}):
        assert "error" in severities(await bench.validate("Patient", patient(meta=meta, gender="x")))


async def test_i14_a_flood_of_findings_is_told_at_length_but_not_without_end(bench: Bench) -> None:
    known = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"
    sent = patient(name=[{"text": "x"}] * 1000, identifier=[{"system": "urn:x", "value": "1"}])
    found = await bench.validate("Patient", parameters(sent, profile=known))
    assert len(found["issue"]) == 201
    assert "800 further" in found["issue"][-1]["diagnostics"]


async def test_i14_a_warning_leaves_the_resource_valid(bench: Bench) -> None:
    sdc = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaireresponse"
    sent = response(questionnaire="urn:x|1", authored="2026-11-21T10:00:00Z")
    sent.pop("subject", None)
    found = await bench.validate("QuestionnaireResponse", parameters(sent, profile=sdc))
    assert severities(found) == {"warning", "information"}


async def test_i14_validation_must_be_granted_on_a_served_type(bench: Bench) -> None:
    denied = FakeAccess(denied=frozenset({"Patient.$validate"}))
    assert await status_of(bench.validate("Patient", patient(), access=denied)) == 403
    assert await status_of(bench.validate("Observation", {"resourceType": "Observation"})) == 404


@pytest.mark.parametrize("wrap", [lambda resource: resource, parameters])
async def test_i14_every_finding_is_told_and_the_status_is_200(bench: Bench, wrap: Any) -> None:
    outcome = await bench.validate("Patient", wrap(patient(gender="x", birthDate="1980-02-30", name=[])))
    assert severities(outcome) == {"error"}
    assert {"Patient.name"} <= {issue["expression"][0] for issue in outcome["issue"]}
    outcome = await bench.validate("Patient", wrap(patient(gender="x", birthDate="1980-02-30")))
    assert {issue["expression"][0] for issue in outcome["issue"]} == {"Patient.gender", "Patient.birthDate"}
    assert severities(await bench.validate("Patient", wrap({"resourceType": "Task"}))) == {"error"}


async def test_i14_a_valid_resource_is_told_to_be_valid(bench: Bench) -> None:
    for body in (patient(), parameters(patient()), parameters(patient(), mode="create")):
        assert severities(await bench.validate("Patient", body)) == {"information"}
    assert await bench.found("Patient") == []


async def test_i14_mode_update_knows_what_is_there(bench: Bench) -> None:
    await bench.update(patient(id="p1"))
    assert severities(await bench.validate("Patient", patient(), query="mode=update")) == {"error"}
    assert severities(await bench.validate("Patient", patient(id="p2"), "p1", "mode=update")) == {"error"}
    assert severities(await bench.validate("Patient", patient(id="p1"), "p1", "mode=update")) == {"information"}
    assert severities(await bench.validate("Patient", patient(id="p1"), query="mode=update")) == {"information"}


async def test_i14_mode_delete_needs_no_resource(bench: Bench) -> None:
    await bench.update(patient(id="p1"))
    assert severities(await bench.validate("Patient", None, "nobody", "mode=delete")) == {"error"}
    assert severities(await bench.validate("Patient", None, "p1", "mode=delete", access=EAST)) == {"error"}
    assert severities(await bench.validate("Patient", None, "p1", "mode=delete")) == {"information"}
    assert severities(await bench.validate("Patient", parameters(mode="delete"), "p1")) == {"information"}
    assert await bench.found("Patient") == ["p1"]


async def test_i14_a_mode_that_the_type_does_not_allow_is_a_finding(database_of: DatabaseOf) -> None:
    registry = Registry("screening")
    registry.add(replace(plain_registry("screening").types["Patient"], interactions=READ_ONLY))
    async with open_bench(await database_of("screening"), registry=registry) as bench:
        assert severities(await bench.validate("Patient", patient(), query="mode=create")) == {"error"}
        assert severities(await bench.validate("Patient", patient())) == {"information"}


async def test_i14_the_rules_of_the_type_are_asked_and_nothing_of_theirs_is_kept(database_of: DatabaseOf) -> None:
    async def rule(write: Write) -> None:
        if write.resource and write.resource.get("gender") == "other":
            raise FhirError(Category.BUSINESS_RULE, [Issue("not today", "business-rule", "Patient.gender")])
        if write.resource and write.resource.get("gender") == "unknown":
            raise FhirError(Category.UNAVAILABLE, "away")
        write.unit.effects.append(write.unit)  # type: ignore[arg-type]  # would break any commit

    registry = Registry("screening")
    registry.add(replace(plain_registry("screening").types["Patient"], on_write=rule))
    async with open_bench(await database_of("screening"), registry=registry) as bench:
        found = await bench.validate("Patient", patient(gender="other"), query="mode=create")
        assert [issue["code"] for issue in found["issue"]] == ["business-rule"]
        assert severities(await bench.validate("Patient", patient(), query="mode=create")) == {"information"}
        unavailable = await refused(bench.validate("Patient", patient(gender="unknown"), query="mode=create"))
        assert unavailable.status == 503
