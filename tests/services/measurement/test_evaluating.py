"""Measures over hand-made cohorts: what is counted, how it is told apart, and what may not be asked."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from stepwell_measurement.care_tables import COUNTED
from stepwell_measurement.data.measures import dimensions, measures
from stepwell_measurement.schema.care import CarePersonRow, table_of
from stepwell_measurement.use_cases.evaluating import Question, evaluate, tallies, tallies_of_each
from stepwell_shared.database.table_functions import insert_columns
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.proportions import Group, wilson
from stepwell_shared.runtime import Runtime

from tests.support.runtime import NORTH, SOUTH

YEAR = (date(2026, 1, 1), date(2026, 12, 31))
NO_STRATA = dict.fromkeys(("practice", "age", "sex", "language", "ethnicity", "deprivation", "rurality"), "x")
COLUMNS = {**COUNTED, "care_person": [column.name for column in insert_columns(table_of(CarePersonRow))]}


async def put(runtime: Runtime, table: str, *rows: dict[str, Any], tenant: str = NORTH, **common: Any) -> None:
    """Counted rows, each of a person of its own; what they do not say is null or x."""
    filler = {**NO_STRATA, "tier": "tier-2", "pathway": "stepped-care", "contacts": 3, "use_before": 0, "use_after": 0}
    people = {"person": "Patient/{}", "item": "i", "version": 1, "active": True, "born": None}
    found = [{**filler, **people, **common, "person": f"Patient/{place}", **row} for place, row in enumerate(rows)]
    arrays = [[row.get(name) for row in found] for name in COLUMNS[table]]
    places = ", ".join(f"${place}" for place in range(2, len(arrays) + 2))
    await runtime.database.fetch(f"SELECT insert_{table}($1, {places})", tenant, *arrays)


def course(**said: Any) -> dict[str, Any]:
    known = {"case_at_start": True, "mood_case": True, "anxiety_case": True}
    # Whoever's outcome is known was asked again.
    again = {"mood_response": False, "mood_remission": False, "anxiety_response": False} if "recovery" in said else {}
    return {"started_on": date(2026, 1, 10), "ended_on": date(2026, 4, 10), **known, **again, **said}


IMPROVED = course(reliable_improvement=True, reliable_deterioration=False, recovery=False, reliable_recovery=False)
RECOVERED = course(reliable_improvement=True, reliable_deterioration=False, recovery=True, reliable_recovery=True)
WORSE = course(reliable_improvement=False, reliable_deterioration=True, recovery=False, reliable_recovery=False)
UNKNOWN = course(case_at_start=None)
WELL_AT_FIRST = course(
    case_at_start=False, mood_case=False, anxiety_case=False, reliable_improvement=False,
    reliable_deterioration=False, recovery=False, reliable_recovery=False,
)  # fmt: skip
COURSES = [*[RECOVERED] * 12, *[IMPROVED] * 8, *[WORSE] * 5, *[UNKNOWN] * 10, *[WELL_AT_FIRST] * 5]


REFUSED = [
    Question("nothing", *YEAR),
    Question("recovery", *YEAR, strata=("shoe-size",)),
    Question("recovery", *YEAR, strata=("sex", "sex")),
    Question("recovery", *YEAR, strata=("sex", "age", "tier", "pathway")),
    Question("recovery", *YEAR, where=(("1=1 OR sex", "x"),)),
    Question("recovery", *YEAR, by="day"),
    Question("reach", *YEAR, by="month"),
    Question("reach", *YEAR, strata=("tier",)),
    Question("recovery", YEAR[1], YEAR[0]),
]


async def test_what_cannot_be_asked_is_refused(runtime: Runtime) -> None:
    for question in REFUSED:
        with pytest.raises(FhirError):
            await evaluate(runtime, NORTH, question)


OUTCOMES = {
    "recovery": (12, 25, 35),
    "reliable-recovery": (12, 25, 35),
    "reliable-improvement": (20, 30, 40),
    "reliable-deterioration": (5, 30, 40),
    "follow-up": (30, 40, 40),
    "finished-courses": (40, 46, 46),
}


async def test_outcomes_of_a_cohort_are_those_counted_by_hand(runtime: Runtime) -> None:
    others = [course(contacts=1)] * 6, [course(ended_on=None)] * 7, [course(ended_on=date(2025, 12, 31))] * 8
    await put(runtime, "care_course", *COURSES, *(each for group in others for each in group))
    await put(runtime, "care_course", *COURSES, tenant=SOUTH)
    for measure, (having, followed, eligible) in OUTCOMES.items():
        found = (await evaluate(runtime, NORTH, Question(measure, *YEAR))).whole
        assert (found.having, found.followed, found.eligible) == (having, followed, eligible), measure
        assert found.score == wilson(Group(having, followed))
        assert found.completeness == wilson(Group(followed, eligible))


async def test_waits_count_those_who_wait_still_as_far_as_they_have_waited(runtime: Runtime) -> None:
    asked = date(2026, 10, 1)
    begun = [{"asked_on": asked, "begun_on": asked.replace(day=day)} for day in [8] * 6 + [15] * 6 + [29] * 5]
    waiting = [{"asked_on": asked} for _ in range(10)]
    left = [{"asked_on": asked, "left_on": date(2026, 10, 20)} for _ in range(5)]
    later = [{"asked_on": asked, "begun_on": date(2026, 11, 30)} for _ in range(5)]
    await put(runtime, "care_referral", *begun, *waiting, *left, *later)
    found = (await evaluate(runtime, NORTH, Question("waits", *YEAR))).whole.waits
    assert found is not None
    assert (found.people, found.begun, found.waiting, found.left) == (37, 17, 15, 5)  # today is 21 November
    # 1 - 31/37 = 0.16, 1 - 25/37 = 0.32; five left before day 28, then 25/37 * 15/20 = 0.51 wait still
    assert found.percentiles_days == {0.5: None, 0.75: None, 0.9: None}
    assert found.targets[0].within is not None
    assert found.targets[0].within.estimate == pytest.approx(1 - 25 / 37 * 15 / 20)
    assert found.targets[0].waiting_longer == 15
    assert found.targets[1].within is None
    access = (await evaluate(runtime, NORTH, Question("access", *YEAR))).whole
    assert (access.having, access.eligible) == (17, 37)


async def test_attendance_steps_and_second_contacts_are_counted_in_their_period(runtime: Runtime) -> None:
    kinds = ["attended"] * 14 + ["not-attended"] * 6 + ["cancelled-by-person"] * 5 + ["cancelled-by-service"] * 5
    held = [{"held_on": date(2026, 5, 2), "attendance": kind} for kind in kinds]
    await put(runtime, "care_contact", *held, {"held_on": date(2027, 1, 1), "attendance": "attended"})
    moves = ["up"] * 6 + ["down"] * 9 + ["ended"] * 15
    stays = [{"entered_on": date(2026, 3, 1), "left_on": date(2026, 3, 31), "move": move} for move in moves]
    await put(runtime, "care_step", *stays, *[{"entered_on": date(2026, 11, 1)}] * 10)
    shares = {}
    for name in ("attendance", "non-attendance", "step-up", "step-down"):
        found = (await evaluate(runtime, NORTH, Question(name, *YEAR))).whole
        shares[name] = (found.having, found.followed)
    assert shares == {"attendance": (14, 30), "non-attendance": (6, 30), "step-up": (6, 30), "step-down": (9, 30)}
    stay = (await evaluate(runtime, NORTH, Question("time-in-tier", *YEAR))).whole
    assert stay.waits is not None
    assert (stay.waits.people, stay.waits.waiting, stay.waits.percentiles_days[0.5]) == (40, 10, 30)


async def test_cost_use_and_satisfaction_are_those_counted_by_hand(runtime: Runtime) -> None:
    costs = [{**IMPROVED, "cost": 100.25}] * 8 + [{**WORSE, "cost": 300.0}] * 6 + [IMPROVED] * 5
    said = [course(satisfaction=value) for value in (6.0, 8.0, 9.0, 9.0, 12.0, 10.0)]
    use = [{"started_on": date(2025, 3, 1), "use_before": 4, "use_after": 1}] * 10
    await put(runtime, "care_course", *costs, *said, *use)
    cost = (await evaluate(runtime, NORTH, Question("cost-per-reliable-improvement", *YEAR))).whole
    assert cost.cost == Decimal("325.25")  # 8 x 100.25 + 6 x 300 by 8
    assert (cost.having, cost.followed, cost.eligible) == (8, 14, 25)
    mean = (await evaluate(runtime, NORTH, Question("satisfaction", *YEAR))).whole
    assert mean.score is not None
    # mean 9, standard deviation 2: 9 +- 1.96 * 2 / sqrt(6)
    assert mean.score == pytest.approx((9.0, 7.3997, 10.6003), abs=1e-4)
    change = (await evaluate(runtime, NORTH, Question("utilisation", *YEAR))).whole
    assert change.use is not None
    assert change.score is not None
    assert change.score.estimate == pytest.approx(0.25)
    assert change.use.before.estimate == pytest.approx(40 / 10 * 365.25 / 365)


async def test_reach_holds_the_served_against_the_registered_by_age_on_the_last_day(runtime: Runtime) -> None:
    young, old = {"born": date(2002, 1, 1)}, {"born": date(1960, 11, 21)}
    await put(runtime, "care_person", *[young] * 20, *[old] * 10, *[{"active": False}] * 4)
    days = {8: [date(2025, 12, 31), date(2026, 11, 21)], 2: [date(2025, 12, 31)], 3: [date(2026, 11, 22)]}
    served = [day for many, day in days.items() for _ in range(many)]
    async with runtime.database.transaction(NORTH) as connection:
        for place, day in enumerate(served):
            person = f"Patient/{place}"
            await connection.execute("UPDATE care_person SET attended = $2 WHERE person = $1", person, day)
    found = await evaluate(runtime, NORTH, Question("reach", *YEAR, strata=("age",)))
    assert [(row.strata, row.figure.having, row.figure.followed) for row in found.rows] == [
        (("18-24",), 8, 20),
        (("65-79",), 0, 10),
    ]
    assert (found.whole.having, found.whole.eligible) == (8, 30)


async def test_every_measure_can_be_told_by_each_of_its_dimensions_by_period_and_of_one_group(runtime: Runtime) -> None:
    await put(runtime, "care_course", *COURSES)
    for name, measure in measures().items():
        assert set(measure.dimensions) <= set(dimensions())
        for first, second in zip(measure.dimensions, measure.dimensions[1:], strict=False):
            by = "quarter" if measure.criteria.on else ""
            question = Question(name, *YEAR, strata=(first, second), by=by, where=(("sex", "x"),))
            found = await tallies(runtime, NORTH, question)
            total = await tallies(runtime, NORTH, Question(name, *YEAR))
            assert len(found) == len(total)


@pytest.mark.parametrize("name", ["recovery", "reach", "waits"])
async def test_all_strata_in_one_scan_are_what_each_is_for_itself(runtime: Runtime, name: str) -> None:
    ages = [{"age": age, "sex": sex} for age in ("18-24", "80+") for sex in ("male", "female", "other")]
    await put(runtime, "care_course", *[{**each, **said} for each in COURSES for said in ages])
    begun = {"asked_on": date(2026, 2, 1), "begun_on": date(2026, 2, 9)}
    await put(runtime, "care_referral", *[{**begun, **said} for said in ages * 3], {"asked_on": date(2026, 5, 1)})
    await put(
        runtime, "care_person", *[{**said, "born": date(1950 + 5 * place, 3, 1)} for place, said in enumerate(ages)]
    )
    strata = measures()[name].dimensions
    found = await tallies_of_each(runtime, NORTH, Question(name, *YEAR, strata=strata))
    for each in strata:
        alone = await tallies(runtime, NORTH, Question(name, *YEAR, strata=(each,)))
        assert found[each] == {key.strata[0]: tally for key, tally in alone.items()}, each
        assert found[each]
