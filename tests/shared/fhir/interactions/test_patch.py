"""PATCH as an interaction: I8 and I9 on stored resources, refusals first."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import READ_ONLY, Interaction, Registry, Write

from tests.conftest import DatabaseOf
from tests.shared.fhir.interactions.refusing import EAST, refused, status_of
from tests.support.engine import Bench, FakeAccess, json_of, patient, plain_registry
from tests.support.engine import bench as open_bench

MALE = [{"op": "replace", "path": "/gender", "value": "male"}]


def fhirpath(type_: str, path: str, **value: Any) -> dict[str, Any]:
    parts = [{"name": "type", "valueCode": type_}, {"name": "path", "valueString": path}]
    if value:
        parts.append({"name": "value", **value})
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}


async def test_i8_an_unknown_id_is_not_found_and_a_deleted_one_is_gone(bench: Bench) -> None:
    assert await status_of(bench.patch("Patient", "nobody", MALE)) == 404
    await bench.update(patient(id="p1", gender="female"))
    assert await status_of(bench.patch("Patient", "p1", MALE, access=EAST)) == 404
    await bench.delete("Patient", "p1")
    assert await status_of(bench.patch("Patient", "p1", MALE)) == 410


async def test_i8_a_patch_needs_the_right_to_update_and_a_type_that_is_updated(database_of: DatabaseOf) -> None:
    plain, registry = plain_registry("screening").types, Registry("screening")
    registry.add(plain["Patient"])
    registry.add(replace(plain["Task"], interactions=READ_ONLY))
    async with open_bench(await database_of("screening"), registry=registry) as bench:
        assert await status_of(bench.patch("Task", "t", MALE)) == 405
        await bench.update(patient(id="p1", gender="female"))
        denied = FakeAccess(denied=frozenset({"Patient.patch"}))
        assert await status_of(bench.patch("Patient", "p1", MALE, access=denied)) == 403


async def test_i8_a_patch_that_fails_changes_nothing(bench: Bench) -> None:
    await bench.update(patient(id="p1", gender="female"))
    before = (await bench.read("Patient", "p1")).body
    for patch, status in (
        ([*MALE, {"op": "test", "path": "/gender", "value": "female"}], 422),
        ([*MALE, {"op": "remove", "path": "/nothing"}], 422),
        ([*MALE, {"op": "replace", "path": "/id", "value": "p2"}], 400),
        ([*MALE, {"op": "add", "path": "/active", "value": "yes"}], 400),
        ({"op": "replace"}, 400),
        (fhirpath("replace", "Patient.gender", valueString="male"), 400),
        (fhirpath("replace", "Patient.photo", valueAttachment={"title": "x"}), 422),
    ):
        assert await status_of(bench.patch("Patient", "p1", patch)) == status
    assert (await bench.read("Patient", "p1")).body == before


async def test_i8_if_match_holds_for_patches(bench: Bench) -> None:
    await bench.update(patient(id="p1", gender="female"))
    assert await status_of(bench.patch("Patient", "p1", MALE, headers={"if-match": 'W/"2"'})) == 412
    assert await status_of(bench.patch("Patient", "p1", MALE, headers={"if-match": "2"})) == 400
    response = await bench.patch("Patient", "p1", MALE, headers={"if-match": 'W/"1"'})
    assert (response.status, response.headers["ETag"]) == (200, 'W/"2"')


async def test_i8_a_patch_is_a_new_version_found_by_search_and_on_record(bench: Bench) -> None:
    await bench.update(patient(id="p1", gender="female"))
    bench.clock.advance(minutes=1)
    response = await bench.patch("Patient", "p1", MALE)
    found = json_of(response)
    assert (found["gender"], found["meta"]["versionId"]) == ("male", "2")
    assert found["meta"]["lastUpdated"] == "2026-11-21T20:55:00.000Z"
    assert await bench.found("Patient", "gender=male") == ["p1"]
    assert await bench.found("Patient", "gender=female") == []
    assert (await bench.audit())[-1] == ("patch", "Patient", "p1", 200)
    entries = (await bench.history("Patient", "p1"))["entry"]
    assert [entry["request"]["method"] for entry in entries] == ["PUT", "PUT"]


async def test_i9_a_fhirpath_patch_is_parameters(bench: Bench) -> None:
    await bench.update(patient(id="p1", gender="female"))
    response = await bench.patch("Patient", "p1", fhirpath("replace", "Patient.gender", valueCode="male"))
    assert json_of(response)["gender"] == "male"


async def test_i8_a_conditional_patch_needs_exactly_one_match(bench: Bench) -> None:
    await bench.update(patient(id="p1", gender="female"))
    await bench.update(patient(id="p2", gender="female"))
    assert await status_of(bench.patch("Patient", "", MALE, "gender=other")) == 404
    assert await status_of(bench.patch("Patient", "", MALE, "gender=female")) == 412
    assert await status_of(bench.patch("Patient", "", MALE, "_id=p1", access=EAST)) == 404
    assert await status_of(bench.patch("Patient", "", MALE)) == 400
    assert await status_of(bench.patch("Patient", "", MALE, "shoe-size=9")) == 400
    response = await bench.patch("Patient", "", MALE, "_id=p1")
    assert (response.status, response.id) == (200, "p1")
    assert await bench.found("Patient", "gender=female") == ["p2"]


async def test_i8_patches_at_once_are_applied_one_after_the_other(bench: Bench) -> None:
    await bench.update(patient(id="p1", telecom=[{"system": "sms", "value": "0"}]))

    async def add(number: int) -> None:
        value = {"system": "sms", "value": str(number)}
        await bench.patch("Patient", "p1", [{"op": "add", "path": "/telecom/-", "value": value}])

    await asyncio.gather(*(add(number) for number in range(1, 7)))
    telecom = json_of(await bench.read("Patient", "p1"))["telecom"]
    assert sorted(each["value"] for each in telecom) == [str(number) for number in range(7)]


async def test_i8_the_rules_of_a_type_hold_for_patches(database_of: DatabaseOf) -> None:
    seen: list[Write] = []

    async def refuse_men(write: Write) -> None:
        seen.append(write)
        if write.resource and write.resource.get("gender") == "male":
            raise FhirError(Category.BUSINESS_RULE, [Issue("not today", "business-rule", "Patient.gender")])

    registry = Registry("screening")
    registry.add(replace(plain_registry("screening").types["Patient"], on_write=refuse_men))
    async with open_bench(await database_of("screening"), registry=registry) as bench:
        await bench.update(patient(id="p1", gender="female"))
        assert (await refused(bench.patch("Patient", "p1", MALE))).issues[0].diagnostics == "not today"
    assert seen[-1].interaction is Interaction.UPDATE
    assert seen[-1].previous is not None


async def test_narrowed_scopes_reach_the_resource_before_and_after_a_patch(bench: Bench) -> None:
    narrowed = {f"Patient.{verb}": ["gender=female"] for verb in ("read", "patch", "search-type")}
    women = FakeAccess(narrowed=narrowed)
    await bench.update(patient(id="p1", gender="female"))
    await bench.update(patient(id="p2", gender="male"))
    assert await status_of(bench.patch("Patient", "p2", MALE, access=women)) == 404
    assert await status_of(bench.patch("Patient", "p1", MALE, access=women)) == 403
    active = [{"op": "add", "path": "/active", "value": True}]
    assert (await bench.patch("Patient", "p1", active, access=women)).status == 200


@pytest.mark.parametrize("wanted", ["minimal", "representation", "OperationOutcome"])
async def test_g7_a_patch_answers_as_the_client_prefers(bench: Bench, wanted: str) -> None:
    await bench.update(patient(id="p1", gender="female"))
    response = await bench.patch("Patient", "p1", MALE, headers={"prefer": f"return={wanted}"})
    kind = "" if wanted == "minimal" else json_of(response)["resourceType"]
    assert kind == {"minimal": "", "representation": "Patient"}.get(wanted, wanted)
