"""Conditional update, delete and read: I7, I11, G6, refusals first."""

import asyncio
from dataclasses import replace

import pytest
from stepwell_shared.fhir.registry import READ_ONLY, Interaction, Registry

from tests.conftest import DatabaseOf
from tests.shared.fhir.interactions.refusing import EAST, refused, status_of
from tests.support.engine import BASE_URL, Bench, FakeAccess, json_of, patient, plain_registry
from tests.support.engine import bench as open_bench

IDENTIFIER = [{"system": "urn:ids", "value": "7"}]
SEVEN = "identifier=urn:ids|7"


class TestUpdate:
    async def test_i7_several_matches_are_refused(self, bench: Bench) -> None:
        await bench.update(patient(id="p1", gender="female"))
        await bench.update(patient(id="p2", gender="female"))
        error = await refused(bench.update_match(patient(gender="male"), "gender=female"))
        assert (error.status, error.issues[0].code) == (412, "multiple-matches")

    @pytest.mark.parametrize("query", ["", "_format=json", "shoe-size=9", "_count=1", "gender:fuzzy=male"])
    async def test_i7_criteria_must_name_something(self, bench: Bench, query: str) -> None:
        await bench.update(patient(id="p1", gender="female"))
        assert await status_of(bench.update_match(patient(), query)) == 400

    async def test_i7_another_id_than_the_match_is_refused(self, bench: Bench) -> None:
        await bench.update(patient(id="p1", identifier=IDENTIFIER))
        error = await refused(bench.update_match(patient(id="p2", identifier=IDENTIFIER), SEVEN))
        assert (error.status, error.issues[0].expression) == (400, "Patient.id")

    async def test_i7_an_id_that_is_there_but_does_not_match_is_a_conflict(self, bench: Bench) -> None:
        await bench.update(patient(id="p1"))
        assert await status_of(bench.update_match(patient(id="p1", identifier=IDENTIFIER), SEVEN)) == 409

    async def test_i7_what_is_not_created_by_clients_needs_a_match(self, database_of: DatabaseOf) -> None:
        registry = Registry("screening")
        plain = plain_registry("screening").types["Patient"]
        registry.add(replace(plain, interactions=READ_ONLY | {Interaction.UPDATE}))
        async with open_bench(await database_of("screening"), registry=registry) as bench:
            assert await status_of(bench.update_match(patient(), "gender=male")) == 405

    async def test_i7_searching_must_be_granted_too(self, bench: Bench) -> None:
        denied = FakeAccess(denied=frozenset({"Patient.search-type"}))
        assert await status_of(bench.update_match(patient(), SEVEN, access=denied)) == 403

    async def test_i7_one_match_is_updated_with_or_without_its_id(self, bench: Bench) -> None:
        await bench.update(patient(id="p1", identifier=IDENTIFIER))
        response = await bench.update_match(patient(identifier=IDENTIFIER, gender="male"), SEVEN)
        assert (response.status, response.id, response.headers["ETag"]) == (200, "p1", 'W/"2"')
        assert json_of(response)["id"] == "p1"
        response = await bench.update_match(patient(id="p1", identifier=IDENTIFIER), SEVEN)
        assert (response.status, response.headers["ETag"]) == (200, 'W/"3"')

    async def test_i7_no_match_creates_at_the_id_or_at_a_new_one(self, bench: Bench) -> None:
        response = await bench.update_match(patient(id="mine", identifier=IDENTIFIER), SEVEN)
        assert (response.status, response.headers["Location"]) == (201, f"{BASE_URL}/Patient/mine/_history/1")
        response = await bench.update_match(patient(gender="other"), "gender=other")
        assert response.status == 201
        assert await bench.found("Patient", "gender=other") == [response.id]

    async def test_i7_if_match_holds_for_the_match(self, bench: Bench) -> None:
        await bench.update(patient(id="p1", identifier=IDENTIFIER))
        sent = patient(identifier=IDENTIFIER)
        assert await status_of(bench.update_match(sent, SEVEN, headers={"if-match": 'W/"2"'})) == 412
        assert (await bench.update_match(sent, SEVEN, headers={"if-match": 'W/"1"'})).status == 200

    async def test_i7_another_tenant_matches_nothing(self, bench: Bench) -> None:
        await bench.update(patient(id="p1", identifier=IDENTIFIER))
        assert (await bench.update_match(patient(identifier=IDENTIFIER), SEVEN, access=EAST)).status == 201
        assert json_of(await bench.read("Patient", "p1"))["meta"]["versionId"] == "1"

    async def test_i7_of_64_at_once_one_creates_and_the_others_update(self, bench: Bench) -> None:
        async def send() -> int:
            try:
                return (await bench.update_match(patient(identifier=IDENTIFIER), SEVEN)).status
            except Exception as error:  # noqa: BLE001  contention may refuse, never duplicate
                return getattr(error, "status", 500)

        statuses = await asyncio.gather(*(send() for _ in range(64)))
        assert statuses.count(201) == 1
        assert set(statuses) <= {200, 201, 409}
        assert len(await bench.found("Patient", SEVEN)) == 1


class TestDelete:
    async def test_i11_several_matches_are_refused_and_nothing_is_deleted(self, bench: Bench) -> None:
        await bench.update(patient(id="p1", gender="female"))
        await bench.update(patient(id="p2", gender="female"))
        assert await status_of(bench.delete_match("Patient", "gender=female")) == 412
        assert len(await bench.found("Patient")) == 2

    @pytest.mark.parametrize("query", ["", "_format=json", "_summary=true", "shoe-size=9", "_count=5"])
    async def test_i11_without_criteria_nothing_is_deleted(self, bench: Bench, query: str) -> None:
        await bench.update(patient(id="p1"))
        assert await status_of(bench.delete_match("Patient", query)) == 400
        assert await bench.found("Patient") == ["p1"]

    async def test_i11_one_match_is_deleted_and_none_is_no_error(self, bench: Bench) -> None:
        await bench.update(patient(id="p1", identifier=IDENTIFIER))
        assert (await bench.delete_match("Patient", SEVEN, access=EAST)).status == 204
        assert await bench.found("Patient") == ["p1"]
        response = await bench.delete_match("Patient", SEVEN)
        assert (response.status, response.id) == (204, "p1")
        assert await status_of(bench.read("Patient", "p1")) == 410
        assert (await bench.delete_match("Patient", SEVEN)).status == 204
        assert [row for row in await bench.audit() if row[0] == "delete"] == [("delete", "Patient", "p1", 204)]

    async def test_i11_if_match_and_narrowed_scopes_hold(self, bench: Bench) -> None:
        await bench.update(patient(id="p1", identifier=IDENTIFIER))
        assert await status_of(bench.delete_match("Patient", SEVEN, headers={"if-match": 'W/"2"'})) == 412
        women = FakeAccess(narrowed={"Patient.delete": ["gender=female"]})
        assert await status_of(bench.delete_match("Patient", SEVEN, access=women)) == 404


class TestRead:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"if-modified-since": "Sat, 21 Nov 2026 20:53:59 GMT"}, 200),
            ({"if-modified-since": "Sat, 21 Nov 2026 20:54:00 GMT"}, 304),
            ({"if-modified-since": "Sun, 22 Nov 2026 20:54:00 GMT"}, 304),
            ({"if-modified-since": "2026-11-22"}, 200),
            ({"if-modified-since": ""}, 200),
            ({"if-none-match": 'W/"1"'}, 304),
            ({"if-none-match": '"1"'}, 304),
            ({"if-none-match": 'W/"7", W/"1"'}, 304),
            ({"if-none-match": "*"}, 304),
            ({"if-none-match": 'W/"2"', "if-modified-since": "Sun, 22 Nov 2026 20:54:00 GMT"}, 200),
        ],
    )
    async def test_g6_a_conditional_read_spares_what_the_client_has(
        self, bench: Bench, headers: dict[str, str], status: int
    ) -> None:
        bench.clock.advance(microseconds=400_000)
        await bench.update(patient(id="p1"))
        response = await bench.read("Patient", "p1", headers=headers)
        assert (response.status, bool(response.body)) == (status, status == 200)
        assert response.headers["ETag"] == 'W/"1"'
