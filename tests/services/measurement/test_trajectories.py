"""Promises of trajectories as they are stored: one row each, true whatever arrives when, whoever posts it."""

import itertools
import random
from typing import Any

import httpx
import pytest
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.runtime import Runtime

from tests.services.measurement.scoring import NORTH, SOUTH, finalized, hear, score_id
from tests.support.runtime import URLS, announced, stored, token

Resource = dict[str, Any]

EHR = token(NORTH, "ehr")
OF_THE_WAY = ("person", "recorded", "number", "series")


async def rows(runtime: Runtime, tenant: str = NORTH) -> dict[tuple[str, str], dict[str, Any]]:
    """Each trajectory by person and code."""
    async with runtime.database.transaction(tenant) as connection:
        found = await connection.fetch("SELECT * FROM trajectory ORDER BY person, code")
    return {(row["person"], row["code"]): dict(row) for row in found}


async def results(runtime: Runtime) -> dict[str, Resource]:
    """The results that stand, by the score that they are about."""
    found = [each for each in await stored(runtime, NORTH, "Observation") if "method" in each]
    standing = [each for each in found if each["status"] != "entered-in-error"]
    return {each["derivedFrom"][-1]["reference"]: each for each in standing}


def facts(result: Resource) -> dict[str, Any]:
    """The components of a result by their codes."""
    return {
        each["code"]["coding"][0]["code"]: next(value for name, value in each.items() if name != "code")
        for each in result["component"]
    }


def own_score(value: float, day: str, code: str = "wsas", **more: Any) -> Resource:
    """A score of an instrument that an EHR keeps itself."""
    system = "http://loinc.org" if code[0].isdigit() else "https://stepwell.health/fhir/CodeSystem/instrument"
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": day,
        "valueQuantity": {"value": value},
        **more,
    }


def of_person(number: int) -> list[ReceivedEvent]:
    """Five scores of somebody, with an amendment, a withdrawal and one with filled-in answers."""
    subject = {"reference": f"{URLS['screening']}/Patient/p{number}"}

    def made(name: str, total: int, week: int, **more: Any) -> ReceivedEvent:
        return finalized(f"{name}-{number}", total, week=week, subject=subject, **more)

    return [
        made("r1", 20, 0),
        made("r2", 17, 2),
        made("r2", 12, 2, version=2, status="amended"),
        made("r3", 4, 4),
        made("r3", 4, 4, version=2, status="entered-in-error"),
        made("r4", 6, 6, blank_items=1),
        made("r5", 9, 8),
        made("r1", 19, 0, version=2, status="amended"),
    ]


async def test_order_copies_and_corrections_never_change_the_rows_or_the_results(runtime: Runtime) -> None:
    chance, orders = random.Random(7), 4
    for number in range(orders):
        events = of_person(number)
        if number:
            events += chance.sample(events, 3)
            chance.shuffle(events)
        await hear(runtime, *events)
    found = await rows(runtime)
    assert len(found) == orders
    told = [{name: value for name, value in row.items() if name not in OF_THE_WAY} for row in found.values()]
    assert all(each == told[0] for each in told)
    assert (told[0]["baseline"], told[0]["best"], told[0]["last"], told[0]["measures"]) == (19, 9, 9, 3)
    assert (told[0]["standing"], told[0]["reliable_change"], told[0]["left_out"]) == ("recovery", "improvement", 1)
    standing = await results(runtime)
    assert len(standing) == 2 * orders
    for name in ("r2", "r5"):
        of_name = [facts(standing[f"Observation/{score_id(f'{name}-{number}')}"]) for number in range(orders)]
        assert all(each == of_name[0] for each in of_name)


async def test_what_an_earlier_release_left_is_brought_up_to_date_by_the_next_score(runtime: Runtime) -> None:
    await hear(runtime, finalized("r1", 20), finalized("r2", 9, week=4))
    async with runtime.database.transaction(NORTH) as connection:
        ids = f'["{score_id("r1")}","{score_id("r2")}"]'
        await connection.execute("UPDATE trajectory SET measures = NULL, series = $1, told = 'improvement'", ids)
    await hear(runtime, finalized("r3", 8, week=5))
    ((_, row),) = (await rows(runtime)).items()
    assert (row["measures"], row["baseline"], row["last"], row["number"]) == (3, 20, 8, 3)
    assert len(await results(runtime)) == 2


async def test_subscribers_hear_of_each_turn_once(runtime: Runtime) -> None:
    totals = [20, 20, 20, 20, 20, 20, 20, 9, 9, 16]
    await hear(runtime, *(finalized(f"r{week}", total, week=week) for week, total in enumerate(totals)))
    told = [facts(each.focus)["standing"]["coding"][0]["code"] for each in await announced(runtime, NORTH)]
    assert told == ["no-reliable-change", "stalled", "recovery", "deterioration"]


async def test_a_score_that_an_ehr_posts_joins_its_series_at_once_and_its_corrections_too(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    for value, day in ((24, "2026-08-01"), (20, "2026-09-01")):
        assert (await http.post("Observation", json=own_score(value, day), headers=EHR)).status_code == 201
    last = (await http.post("Observation", json=own_score(12, "2026-10-01"), headers=EHR)).json()
    standing = await results(runtime)
    assert facts(standing[f"Observation/{last['id']}"])["change"]["value"] == -12
    assert (await rows(runtime))["Patient/p1", "wsas"]["standing"] == "improvement"
    wrong = {**last, "status": "entered-in-error"}
    assert (await http.put(f"Observation/{last['id']}", json=wrong, headers=EHR)).status_code == 200
    assert f"Observation/{last['id']}" not in await results(runtime)
    row = (await rows(runtime))["Patient/p1", "wsas"]
    assert (row["measures"], row["last"], row["standing"]) == (2, 20, "no-reliable-change")
    moved = {**last, "subject": {"reference": "Patient/p2"}, "status": "corrected"}
    assert (await http.put(f"Observation/{last['id']}", json=moved, headers=EHR)).status_code == 200
    assert (await rows(runtime))["Patient/p2", "wsas"]["last"] == 12
    assert await rows(runtime, SOUTH) == {}


async def test_several_scores_of_one_person_in_one_bundle_are_one_trajectory(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    scores = [own_score(value, day) for value, day in ((12, "2026-10-01"), (30, "2026-08-01"), (20, "2026-09-01"))]
    entries = [{"resource": each, "request": {"method": "POST", "url": "Observation"}} for each in scores]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await http.post("", json=bundle, headers=EHR)
    assert answer.status_code == 200, answer.text
    ((_, row),) = (await rows(runtime)).items()
    assert (row["measures"], row["baseline"], row["last"], row["number"]) == (3, 30, 12, 1)
    assert sorted(facts(each)["change"]["value"] for each in (await results(runtime)).values()) == [-18, -10]
    assert len(await stored(runtime, NORTH, "Provenance")) == 2


@pytest.mark.parametrize(
    "more",
    [
        {"valueQuantity": {"value": 41}},
        {"valueQuantity": {"value": -1e300}},
        {"valueQuantity": {"unit": "points"}},
        {"status": "preliminary"},
        {"effectiveDateTime": None},
        {"effectiveDateTime": None, "effectivePeriod": {"end": "2026-08-01"}},
        {"code": {"coding": [{"system": "https://stepwell.health/fhir/CodeSystem/instrument"}]}},
        {"code": {"coding": [{"code": "wsas"}]}},
        {"code": {"coding": [{"code": "42950004"}]}},
        {"subject": {"display": "Somebody"}},
    ],
)
async def test_what_is_no_score_on_the_scale_is_kept_and_not_compared(
    runtime: Runtime, http: httpx.AsyncClient, more: Resource
) -> None:
    body = {name: value for name, value in (own_score(20, "2026-08-01") | more).items() if value is not None}
    assert (await http.post("Observation", json=body, headers=EHR)).status_code == 201
    assert all(row["measures"] == 0 for row in (await rows(runtime)).values())


async def test_each_instrument_of_the_data_has_its_own_row(runtime: Runtime, http: httpx.AsyncClient) -> None:
    codes = ("wsas", "91147-9", "isi", "pseq")
    for code, (value, day) in itertools.product(codes, ((8, "2026-08-01"), (4, "2026-09-01"))):
        assert (await http.post("Observation", json=own_score(value, day, code), headers=EHR)).status_code == 201
    found = await rows(runtime)
    assert {code: found["Patient/p1", code]["response"] for code in codes} == {
        "wsas": None, "91147-9": True, "isi": True, "pseq": None
    }  # fmt: skip
    assert found["Patient/p1", "pseq"]["best"] == 8
