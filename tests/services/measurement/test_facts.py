"""Facts of care are kept once, whatever arrives when, twice or corrected; what is counted follows from them alone."""

import random
from collections.abc import Sequence
from datetime import date

import pytest
from stepwell_measurement.app import service
from stepwell_measurement.care_tables import COUNTED
from stepwell_measurement.use_cases import backfilling
from stepwell_measurement.use_cases.counting import Counting, rows_of
from stepwell_shared.canonical import code_system
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir.copies import keep_copy
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.runtime import Runtime

from tests.services.measurement.caring import appointment, counted, episode, hear, patient, task, told
from tests.services.measurement.scoring import NORTH, SOUTH, finalized
from tests.services.measurement.scoring import hear as hear_scores
from tests.support.runtime import URLS, http_of, token

PERSON = "Patient/p1"
EHR = token(NORTH, "ehr")
STORY: Sequence[ReceivedEvent] = (
    patient(1, practice="elsewhere"),
    patient(2),
    task("requested", 0, 2),
    task("accepted", 3, 3),
    appointment("noshow", 6),
    appointment("fulfilled", 12),
    appointment("fulfilled", 13),
    appointment("entered-in-error", 13, 3),
    task("in-progress", 12, 4),
    episode("active", "tier-2", 2, 2),
    appointment("fulfilled", 30),
    episode("active", "tier-3", 40, 3),
    episode("finished", "tier-3", 40, 4, ended=90),
    task("completed", 90, 5),
)
NOBODY: dict[str, list[object]] = {"care_referral": [], "care_contact": [], "care_course": [], "care_step": []}


@pytest.mark.parametrize(
    "wrong",
    [
        told({"resourceType": "Task", "id": "t1", "meta": {"versionId": "1"}, "status": "requested", "for": {},
              "code": {"coding": [{"code": "fulfill"}]}, "focus": {"reference": "ServiceRequest/r"}}),
        told({"resourceType": "Appointment", "id": "a1", "meta": {"versionId": "x"}, "status": "fulfilled"}),
    ],
    ids=["no time", "no version"],
)  # fmt: skip
async def test_an_event_that_says_too_little_is_refused_for_good(runtime: Runtime, wrong: ReceivedEvent) -> None:
    with pytest.raises(FhirError, match="business rule"):
        await hear(runtime, wrong)


async def test_the_story_of_a_person_is_counted_as_it_was(runtime: Runtime) -> None:
    await hear(runtime, *STORY)
    found = await counted(runtime)
    (referral,) = found["care_referral"]
    assert referral[:3] == (PERSON, "r-t1", "north-street")
    assert referral[-6:] == ("tier-2", "stepped-care", date(2026, 1, 5), date(2026, 1, 17), date(2026, 2, 4), None)
    assert [row[-1] for row in found["care_contact"]] == ["attended", "attended", "not-attended"]
    assert [(row[9], row[-1]) for row in found["care_step"]] == [("tier-2", "up"), ("tier-3", "ended")]
    assert await counted(runtime, SOUTH) == NOBODY


@pytest.mark.parametrize("seed", range(3))
async def test_order_repetition_and_corrections_never_change_what_is_counted(runtime: Runtime, seed: int) -> None:
    drawn = random.Random(seed)
    scores = [finalized(f"q{week}", total, week=week, version=2) for week, total in ((0, 20), (4, 9), (9, 4))]
    scores.append(finalized("q4", 27, week=4, version=1))
    heard = [*STORY, *drawn.choices(STORY, k=5)]
    drawn.shuffle(heard)
    counting = Counting(runtime)
    for place, each in enumerate(heard):
        await hear(runtime, each)
        if place % 5 == 0 and scores:
            await hear_scores(runtime, scores.pop(drawn.randrange(len(scores))))
            await counting.look([NORTH])
    await hear_scores(runtime, *scores)
    found = await counted(runtime)
    await hear(runtime, *(() if seed else STORY))
    anew = (await rows_of(runtime, NORTH, [PERSON]))[PERSON]
    assert {table: [row[1:] for row in rows] for table, rows in found.items()} == {
        table: [tuple(row) for row in sorted(getattr(anew, table))] for table in found
    }
    (referral,) = found["care_referral"]
    assert (referral[2], referral[-3], referral[-2]) == ("north-street", date(2026, 1, 17), date(2026, 2, 4))


async def test_a_mark_waits_for_whoever_may_not_have_seen_what_it_stands_for(runtime: Runtime) -> None:
    counting = Counting(runtime)
    async with runtime.database.transaction(NORTH) as earlier:
        await earlier.execute("SELECT pg_current_xact_id()")
        await hear(runtime, task("requested", 0, 2))
        for _ in range(3):
            await counting.look([NORTH])
        assert await earlier.fetchval("SELECT count(*) FROM care_referral") == 0
    assert len((await counted(runtime))["care_referral"]) == 1


async def test_whoever_is_marked_again_meanwhile_is_counted_by_what_is_known_last(runtime: Runtime) -> None:
    await hear(runtime, task("requested", 0, 2))
    rows = await runtime.database.fetch("SELECT * FROM care_marks($1, 9)", NORTH)
    await hear(runtime, task("entered-in-error", 1, 3))
    async with runtime.database.transaction(NORTH) as connection:
        stale = [rows[0]["person"]], [rows[0]["number"]]
        assert await connection.fetch("SELECT * FROM settle_care($1, $2, $3)", NORTH, *stale) == []
    assert await counted(runtime) == NOBODY


async def written(runtime: Runtime) -> dict[str, list[tuple[str, ...]]]:
    """Which transaction wrote each counted row."""
    async with runtime.database.transaction(NORTH) as connection:
        text = "SELECT item, xmin::text FROM {} ORDER BY item"
        return {table: [tuple(row) for row in await connection.fetch(text.format(table))] for table in COUNTED}


async def test_what_is_counted_is_written_again_only_where_it_has_changed(runtime: Runtime) -> None:
    await hear(runtime, *STORY)
    await hear_scores(runtime, finalized("q1", 20, week=-34))
    await counted(runtime)
    before = await written(runtime)
    await hear_scores(runtime, finalized("q2", 12))  # long after care ended
    await counted(runtime)
    assert await written(runtime) == before
    await hear_scores(runtime, finalized("q3", 4, week=-25))  # care led to this
    await counted(runtime)
    after = await written(runtime)
    assert [table for table in COUNTED if after[table] != before[table]] == ["care_course"]


async def test_a_score_of_somebody_without_care_marks_nobody(runtime: Runtime) -> None:
    await hear_scores(runtime, finalized("q1", 12))
    assert await runtime.database.fetch("SELECT * FROM care_marks($1, 9)", NORTH) == []


def posted(
    code: str, value: float | None, *, person: str = "p1", status: str = "final", **more: object
) -> dict[str, object]:
    amount = {} if value is None else {"valueQuantity": {"value": value}}
    return {
        "resourceType": "Observation",
        "status": status,
        "code": {"coding": [{"system": code_system("care-use"), "code": code}]},
        "subject": {"reference": f"Patient/{person}"},
        "effectiveDateTime": "2026-01-20",
        **amount,
        **more,
    }


async def test_use_and_cost_that_ehrs_post_join_the_course_and_corrections_leave_it(runtime: Runtime) -> None:
    await hear(runtime, episode("finished", "tier-2", 2, 2, ended=90))
    async with http_of(runtime, service) as http:
        sent = [
            posted("care-cost", 80.5),
            posted("care-cost", 20),
            posted("emergency-visit", None),
            posted("admission", 2),
        ]
        sent.append(posted("care-cost", None))  # a cost without a number is none
        kept = [(await http.post("/Observation", json=each, headers=EHR)).json() for each in sent]
        columns = ("cost", "use_before", "use_after")
        assert await _course(runtime, *columns) == (100.5, 0, 3)
        moved = {**kept[0], "subject": {"reference": "Patient/p2"}}
        assert (await http.put(f"/Observation/{moved['id']}", json=moved, headers=EHR)).status_code == 200
        wrong = {**kept[3], "status": "entered-in-error"}
        assert (await http.put(f"/Observation/{wrong['id']}", json=wrong, headers=EHR)).status_code == 200
    assert await _course(runtime, *columns) == (20.0, 0, 1)


async def test_what_people_say_of_their_care_is_the_satisfaction_of_their_course(runtime: Runtime) -> None:
    await hear(runtime, episode("active", "tier-2", 2, 2))
    said = posted("experience", 9)
    said["code"] = {"coding": [{"system": code_system("instrument"), "code": "experience"}]}
    async with http_of(runtime, service) as http:
        assert (await http.post("/Observation", json=said, headers=EHR)).status_code == 201
    assert await _course(runtime, "satisfaction") == (9.0,)


async def _course(runtime: Runtime, *columns: str) -> tuple[object, ...]:
    """These columns of the one course that there is."""
    await counted(runtime)
    async with runtime.database.transaction(NORTH) as connection:
        (row,) = await connection.fetch(f"SELECT {', '.join(columns)} FROM care_course")
    return tuple(row.values())


async def test_people_known_before_anything_was_counted_get_their_row_and_what_is_newer_stays(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfilling, "PEOPLE_AT_ONCE", 2)  # several looks, the last one empty-handed
    for name in ("p0", "p1", "p2", "p3"):
        known = {"resourceType": "Patient", "id": name, "gender": "female", "birthDate": "1980-03"}
        source = f"{URLS['screening']}/Patient/{name}/_history/3"
        for tenant in (NORTH, SOUTH):
            await keep_copy(runtime.engine, tenant, known, source)
    await hear(runtime, patient(4, practice="elsewhere"))
    for _ in range(2):
        await backfilling.Backfilling(runtime).look([NORTH])
    assert await people(runtime, NORTH) == [
        ("Patient/p0", 3, "not-recorded", "female", date(1980, 3, 1)),
        ("Patient/p1", 4, "elsewhere", "female", date(1980, 5, 1)),
        ("Patient/p2", 3, "not-recorded", "female", date(1980, 3, 1)),
        ("Patient/p3", 3, "not-recorded", "female", date(1980, 3, 1)),
    ]
    assert await people(runtime, SOUTH) == []


async def people(runtime: Runtime, tenant: str) -> list[tuple[object, ...]]:
    async with runtime.database.transaction(tenant) as connection:
        rows = await connection.fetch("SELECT person, version, practice, sex, born FROM care_person ORDER BY person")
    return [tuple(row) for row in rows]
