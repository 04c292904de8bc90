"""Scopes that are narrowed to some resources hold on every way to read and to write; more in auth/test_scopes.py."""

import asyncio
from collections.abc import Awaitable

import pytest
from stepwell_shared.auth.caller import Caller
from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.outcome import FhirError

from tests.support.engine import NORTH, Bench, FakeAccess, json_of, patient, response, scoped

WOMEN = scoped("system/Patient.cruds?gender=female")
MINE = scoped("patient/QuestionnaireResponse.cruds patient/Patient.rs", patient="p1")


async def status_of(call: Awaitable[Response]) -> int:
    try:
        return (await call).status
    except FhirError as error:
        return error.status


@pytest.fixture
async def bench(bench: Bench) -> Bench:
    """Two patients and a response of each."""
    await bench.update(patient(id="p1", gender="female"))
    await bench.update(patient(id="p2", gender="male"))
    for number in ("1", "2"):
        await bench.update(response(id=f"r{number}", subject={"reference": f"Patient/p{number}"}))
    return bench


class TestReading:
    async def test_g13_what_is_not_granted_is_refused(self, bench: Bench) -> None:
        for interaction, call in {
            "read": bench.read("Patient", "p1", access=FakeAccess(denied=frozenset({"Patient.read"}))),
            "vread": bench.vread("Patient", "p1", "1", access=FakeAccess(denied=frozenset({"Patient.vread"}))),
            "search": bench.read("Patient", "p1", access=scoped("system/Patient.s")),
            "create": bench.create(patient(), access=scoped("system/Patient.rs")),
            "update": bench.update(patient(id="p1"), access=scoped("system/Patient.rs")),
            "delete": bench.delete("Patient", "p1", access=scoped("system/Patient.rs")),
        }.items():
            assert await status_of(call) == 403, interaction

    async def test_g13_outside_of_the_scope_there_is_nothing_to_read(self, bench: Bench) -> None:
        assert await status_of(bench.read("Patient", "p2", access=WOMEN)) == 404
        assert await status_of(bench.vread("Patient", "p2", "1", access=WOMEN)) == 404
        with pytest.raises(FhirError, match="no Patient"):
            await bench.history("Patient", "p2", access=WOMEN)
        assert await bench.found("Patient", access=WOMEN) == ["p1"]
        assert (await bench.search("Patient", "_total=accurate&_count=0", access=WOMEN))["total"] == 1

    async def test_g13_a_deletion_is_not_told_to_whom_it_was_hidden(self, bench: Bench) -> None:
        await bench.delete("Patient", "p2")
        for call in (
            bench.read("Patient", "p2", access=WOMEN),
            bench.vread("Patient", "p2", "2", access=WOMEN),
            bench.vread("Patient", "p2", "1", access=WOMEN),
        ):
            assert await status_of(call) == 404
        with pytest.raises(FhirError, match="no Patient"):
            await bench.history("Patient", "p2", access=WOMEN)

    async def test_the_right_to_search_everything_widens_no_read(self, bench: Bench) -> None:
        reader = scoped("system/Patient.r?gender=female system/Patient.s")
        assert await status_of(bench.read("Patient", "p2", access=reader)) == 404
        assert await bench.found("Patient", access=reader) == ["p1", "p2"]

    async def test_a_narrowed_read_needs_no_right_to_search(self, bench: Bench) -> None:
        reader = scoped("system/Patient.r?gender=female")
        assert await status_of(bench.read("Patient", "p1", access=reader)) == 200
        assert await status_of(bench.read("Patient", "p2", access=reader)) == 404

    async def test_a_scope_with_a_parameter_that_is_not_served_reaches_nothing(self, bench: Bench) -> None:
        reader = scoped("system/Patient.rs?deceased=true")
        assert await bench.found("Patient", access=reader) == []
        both = scoped("system/Patient.rs?deceased=true system/Patient.rs?gender=male")
        assert await bench.found("Patient", access=both) == ["p2"]

    async def test_a_search_cannot_widen_its_scope(self, bench: Bench) -> None:
        for query in ("gender=male", "_id=p2", "gender:not=female", "gender=male,female&_id=p2"):
            assert await bench.found("Patient", query, access=WOMEN) == []

    async def test_a_patient_sees_its_own(self, bench: Bench) -> None:
        assert await bench.found("QuestionnaireResponse", access=MINE) == ["r1"]
        assert await bench.found("Patient", access=MINE) == ["p1"]
        assert await status_of(bench.read("QuestionnaireResponse", "r2", access=MINE)) == 404
        assert await status_of(bench.read("QuestionnaireResponse", "r1", access=MINE)) == 200


class TestWriting:
    @pytest.mark.parametrize(
        ("caller", "member"),
        [(MINE, {"subject": {"reference": "Patient/p2"}}), (MINE, {}), (MINE, {"subject": {"display": "p1"}})],
    )
    async def test_nothing_is_created_outside_of_the_scope(
        self, bench: Bench, caller: Caller, member: dict[str, object]
    ) -> None:
        identified = {"identifier": {"value": "1"}}
        assert await status_of(bench.create(response(**member), access=caller)) == 403
        assert await status_of(bench.create(response(**member, **identified), access=caller)) == 403
        headers = {"if-none-exist": "status=stopped"}
        assert await status_of(bench.create(response(**member), access=caller, headers=headers)) == 403
        assert await status_of(bench.update(response(id="new", **member), access=caller)) == 403
        assert await bench.found("QuestionnaireResponse") == ["r1", "r2"]

    async def test_nothing_is_changed_into_or_out_of_the_scope(self, bench: Bench) -> None:
        assert await status_of(bench.update(patient(id="p1", gender="male"), access=WOMEN)) == 403
        assert await status_of(bench.update(patient(id="p2", gender="female"), access=WOMEN)) == 404
        assert json_of(await bench.read("Patient", "p2"))["gender"] == "male"

    async def test_nothing_is_deleted_outside_of_the_scope(self, bench: Bench) -> None:
        assert await status_of(bench.delete("Patient", "p2", access=WOMEN)) == 404
        assert await status_of(bench.read("Patient", "p2")) == 200

    async def test_the_right_to_read_everything_widens_no_write(self, bench: Bench) -> None:
        writer = scoped("system/Patient.u?gender=female system/Patient.r system/Patient.s")
        assert await status_of(bench.update(patient(id="p2", gender="female"), access=writer)) == 404

    async def test_within_the_scope_everything_works(self, bench: Bench) -> None:
        mine = {"subject": {"reference": "https://screening.example.org/screening/fhir/Patient/p1"}}
        assert await status_of(bench.create(response(**mine), access=MINE)) == 201
        assert await status_of(bench.update(response(id="r1", **mine, status="amended"), access=MINE)) == 200
        assert await status_of(bench.update(patient(id="p3", gender="female"), access=WOMEN)) == 201
        assert await status_of(bench.delete("Patient", "p3", access=WOMEN)) == 204

    @pytest.mark.parametrize(
        ("query", "reached"),
        [
            ("identifier=urn:x|1", True),
            ("identifier=urn:y|1", False),
            ("family=smi", True),
            ("family=smy", False),
            ("birthdate=ge1980", True),
            ("birthdate=lt1980", False),
            ("_id=p9,p8", True),
            ("_id=p8", False),
            ("_lastUpdated=ge2026", True),
            ("active=true&gender=other", True),
            ("active=true&gender=male", False),
        ],
    )
    async def test_what_will_be_stored_is_held_to_the_conditions_of_search(
        self, bench: Bench, query: str, reached: bool
    ) -> None:
        sent = patient(
            id="p9",
            identifier=[{"system": "urn:x", "value": "1"}, {"value": "2"}],
            name=[{"family": "Smith"}],
            birthDate="1980-02-03",
            active=True,
            gender="other",
        )
        narrowed = {"Patient.update": (query,)}
        assert await status_of(bench.update(sent, access=FakeAccess(narrowed=narrowed))) == (201 if reached else 403)
        await bench.update(sent)
        assert (await bench.found("Patient", f"{query}") == ["p9"]) is reached or query.startswith("_lastUpdated")

    async def test_many_values_are_no_obstacle(self, bench: Bench) -> None:
        sent = patient(id="p9", gender="female", identifier=[{"value": str(number)} for number in range(3000)])
        assert await status_of(bench.update(sent, access=WOMEN)) == 201

    async def test_of_another_tenant_nothing_is_reached(self, bench: Bench) -> None:
        south = scoped("system/Patient.cruds?gender=female", tenant="south")
        statuses = await asyncio.gather(
            status_of(bench.read("Patient", "p1", access=south)), status_of(bench.read("Patient", "p1", access=WOMEN))
        )
        assert list(statuses) == [404, 200]
        assert WOMEN.tenant == NORTH
