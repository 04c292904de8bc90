"""I12 under granular scopes: a version is shown when it matches them itself and its resource still does."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.shared.fhir.interactions.refusing import status_of
from tests.shared.fhir.interactions.test_histories import versions
from tests.support.engine import SOUTH, Bench, FakeAccess, link, patient, response, scoped
from tests.support.engine import bench as open_bench
from tests.support.horizon import settled

WOMEN = FakeAccess(narrowed={f"Patient.history-{of}": ["gender=female"] for of in ("type", "instance")})


@pytest.fixture
async def bench(bench: Bench) -> Bench:
    """left: no longer a woman; stayed: always; came: one now; gone: deleted; each version a second apart."""
    for id_, genders in (
        ("left", ["female", "male"]),
        ("stayed", ["female", "female"]),
        ("came", ["male", "female"]),
        ("gone", ["female"]),
    ):
        for gender in genders:
            name = [{"family": "A"}] if len(genders) > 1 else []
            await bench.update(patient(id=id_, gender=gender, **({"name": name} if name else {})))
            bench.clock.advance(seconds=1)
        await bench.update(response(id=f"of-{id_}", subject={"reference": f"Patient/{id_}"}))
    await bench.delete("Patient", "gone")
    await settled(bench.database)
    return bench


async def test_i12_what_is_out_of_reach_now_or_was_then_is_not_shown(bench: Bench) -> None:
    assert versions(await bench.history("Patient", access=WOMEN)) == ["came/2", "stayed/2", "stayed/1"]
    assert versions(await bench.history("Patient", "stayed", access=WOMEN)) == ["stayed/2", "stayed/1"]
    assert versions(await bench.history("Patient", "came", access=WOMEN)) == ["came/2"]
    for id_ in ("left", "gone", "nobody"):
        assert await status_of(bench.history("Patient", id_, access=WOMEN)) == 404
    south = FakeAccess(tenant=SOUTH, narrowed=WOMEN.narrowed)
    assert versions(await bench.history("Patient", access=south)) == []


async def test_i2_a_version_that_is_out_of_reach_is_not_read(bench: Bench) -> None:
    reads = FakeAccess(narrowed={f"Patient.{of}": ["gender=female"] for of in ("read", "vread")})
    assert (await bench.vread("Patient", "came", "2", access=reads)).status == 200
    for id_, version in (("came", "1"), ("left", "1"), ("left", "2")):
        assert await status_of(bench.vread("Patient", id_, version, access=reads)) == 404


async def test_i12_how_much_there_is_beyond_reach_is_not_told(bench: Bench) -> None:
    assert "total" not in await bench.history("Patient", "came", access=WOMEN)
    assert (await bench.history("Patient", "came"))["total"] == 2
    assert await status_of(bench.history("Patient", "came", "_summary=count", access=WOMEN)) == 400


@pytest.mark.parametrize("address", [("Patient", ""), ("Patient", "stayed"), ("Patient", "came")])
async def test_i12_pages_of_a_narrowed_history_leave_nothing_out(bench: Bench, address: tuple[str, str]) -> None:
    expected = versions(await bench.history(*address, access=WOMEN))
    page = await bench.history(*address, query="_count=1", access=WOMEN)
    found = versions(page)
    for _ in range(20):
        following = link(page, "next")
        if following is None:
            break
        page = await bench.history(*address, query=urlsplit(following).query, access=WOMEN)
        assert len(versions(page)) <= 1
        found += versions(page)
    assert found == expected


async def test_i12_a_caller_who_is_reached_by_little_gets_short_pages_and_a_link(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell_shared.fhir.interactions.histories.LOOKS_MAX", 1)
    narrow = FakeAccess(narrowed={"Patient.history-type": ["_id=stayed&gender=female"]})
    page = await bench.history("Patient", query="_count=2", access=narrow)
    assert versions(page) == []
    found: list[str] = []
    while following := link(page, "next"):
        page = await bench.history("Patient", query=urlsplit(following).query, access=narrow)
        found += versions(page)
    assert found == ["stayed/2", "stayed/1"]


async def test_i12_the_history_of_the_whole_service_is_that_of_one_patient_for_a_patients_app(bench: Bench) -> None:
    access: Any = scoped("patient/*.rs", patient="stayed")
    assert sorted(versions(await bench.history(access=access))) == ["of-stayed/1", "stayed/1", "stayed/2"]


async def test_i12_every_kind_of_search_value_narrows_a_history(bench: Bench) -> None:
    for query, expected in (
        ("family=a", ["came/2", "came/1", "stayed/2", "stayed/1", "left/2", "left/1"]),
        ("_lastUpdated=ge2026&family:missing=true", []),
        ("gender=female,male&_id=left", ["left/2", "left/1"]),
        ("birthdate=1980", []),
    ):
        narrow = FakeAccess(narrowed={"Patient.history-type": [query]})
        assert versions(await bench.history("Patient", access=narrow)) == expected, query
    everyone = FakeAccess(narrowed={"QuestionnaireResponse.history-type": ["patient=came&patient.gender=female"]})
    assert versions(await bench.history("QuestionnaireResponse", access=everyone)) == ["of-came/1"]


async def test_i12_numbers_narrow_a_history_too(database_of: Any) -> None:
    async with open_bench(await database_of("measurement"), "measurement") as bench:
        for value in (5, 12, 20):
            score = {"status": "final", "code": {"text": "S"}, "valueQuantity": {"value": value, "comparator": ">"}}
            await bench.update({"resourceType": "Observation", "id": "o", **score})
        await settled(bench.database)
        access = FakeAccess(narrowed={"Observation.history-type": ["value-quantity:missing=false&value-quantity=sa10"]})
        assert versions(await bench.history("Observation", access=access)) == ["o/3", "o/2"]
