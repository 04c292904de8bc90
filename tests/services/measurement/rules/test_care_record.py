"""What figures are counted from follows from the facts alone: hand-made cohorts, and whatever came when or twice."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_measurement.care_tables import COUNTED
from stepwell_measurement.data import trajectory_parameters
from stepwell_measurement.rules.care_record import ANXIETY, MOOD, Fact, Kind, Person, Rows, age_band, counted_rows
from stepwell_measurement.rules.reliable_change import Score

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
PERSON = Person("north-street", date(1980, 5, 1), "female", "de", "2186-5", "q1", "rural")


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def on(number: int) -> date:
    return day(number).date()


def referral(status: str = "requested", *, asked: int = 0, begun: int | None = None, ended: int | None = None,
             source: str = "Task/t1", about: str = "r1", tier: str | None = "tier-2") -> Fact:  # fmt: skip
    moments = (day(begun) if begun is not None else None, day(ended) if ended is not None else None)
    return Fact(Kind.REFERRAL, source, status, day(asked), *moments, what=tier, about=about, path="stepped-care")


def contact(at: int, status: str = "attended", *, about: str | None = "r1") -> Fact:
    return Fact(Kind.APPOINTMENT, f"Appointment/a{at}", status, day(at), about=about)


def episode(ended: int | None = None, *, started: int = 0, status: str | None = None, id_: str = "e1") -> Fact:
    state = status or ("active" if ended is None else "finished")
    end = day(ended) if ended is not None else None
    return Fact(Kind.EPISODE, id_, state, day(started), ended_at=end, path="stepped-care")


def step(at: int, tier: str, *, about: str = "e1") -> Fact:
    return Fact(Kind.STEP, f"{about}@{at}", "active", day(at), what=tier, about=about)


def scores(*points: tuple[int, int]) -> list[Score]:
    return [Score(Decimal(value), day(at), reference=f"Observation/{at}") for at, value in points]


def rows(facts: Sequence[Fact], series: dict[str, list[Score]] | None = None) -> Rows:
    return counted_rows(facts, series or {}, PERSON, trajectory_parameters(), (0, 18, 45, 65))


def only(table: str, made: Rows) -> dict[str, Any]:
    """The single row of a table by column."""
    (row,) = getattr(made, table)
    names = COUNTED[table][1:]
    return dict(zip(names, row, strict=True))


@pytest.mark.parametrize("status", ["entered-in-error", "draft", "void"])
def test_what_was_an_error_or_never_asked_is_not_counted(status: str) -> None:
    taken_back = [referral(status), contact(3, status), episode(status=status), step(0, "tier-1")]
    assert rows(taken_back) == Rows([], [], [], [])


@pytest.mark.parametrize(
    ("born", "band"),
    [
        (None, "not-recorded"),
        (date(2026, 1, 6), "not-recorded"),
        (date(2008, 1, 6), "0-17"),
        (date(2008, 1, 5), "18-44"),
        (date(1961, 1, 5), "65+"),
    ],
)
def test_the_band_of_age_is_that_of_the_day(born: date | None, band: str) -> None:
    assert age_band(born, on(0), (0, 18, 45, 65)) == band


def test_a_wait_ends_with_the_first_contact_and_the_second_is_the_next_day_of_care() -> None:
    found = only("care_referral", rows([referral("in-progress", begun=21), contact(20), contact(34), contact(41)]))
    assert (found["asked_on"], found["begun_on"], found["second_on"], found["left_on"]) == (on(0), on(20), on(34), None)
    assert (found["tier"], found["pathway"]) == ("tier-2", "stepped-care")
    assert (found["practice"], found["age"], found["rurality"]) == ("north-street", "45-64", "rural")


def test_care_that_began_without_an_appointment_counts_from_what_the_place_says() -> None:
    found = only("care_referral", rows([referral("in-progress", begun=10), contact(24)]))
    assert (found["begun_on"], found["second_on"]) == (on(10), on(24))


def test_missed_and_cancelled_appointments_end_no_wait() -> None:
    facts = [referral("accepted"), contact(9, "not-attended"), contact(12, "cancelled-by-service")]
    assert only("care_referral", rows(facts))["begun_on"] is None
    assert [row[-1] for row in rows(facts).care_contact] == ["cancelled-by-service", "not-attended"]


def test_a_place_that_said_no_and_the_one_that_said_yes_are_one_wait() -> None:
    refused = referral("rejected", asked=0, ended=5)
    taken = referral("in-progress", asked=6, begun=30, source="Task/t2")
    found = only("care_referral", rows([refused, taken]))
    assert (found["asked_on"], found["begun_on"], found["left_on"]) == (on(0), on(30), None)
    assert only("care_referral", rows([refused]))["left_on"] == on(5)


def test_each_stay_in_a_tier_says_which_way_it_was_left() -> None:
    entered = [step(0, "tier-1"), step(28, "tier-3"), step(70, "tier-2")]
    made = rows([episode(100), *entered]).care_step
    assert [row[8:] for row in made] == [
        ("tier-1", "stepped-care", on(0), on(28), "up"),
        ("tier-3", "stepped-care", on(28), on(70), "down"),
        ("tier-2", "stepped-care", on(70), on(100), "ended"),
    ]
    assert [row[-2:] for row in rows([episode(), *entered]).care_step][-1] == (None, None)


# PHQ-9 and GAD-7 at the start and at the end; case at start, recovery, improvement, deterioration, reliable recovery
# by the definitions of the NHS pathway: thresholds 10 and 8, changes of at least 6 and 4.
NHS = [
    ((15, 12), (8, 6), (True, True, True, False, True)),
    ((15, 12), (10, 6), (True, False, True, False, False)),
    ((15, 12), (9, 8), (True, False, True, False, False)),
    ((10, 7), (9, 7), (True, True, False, False, False)),
    ((9, 7), (3, 3), (False, False, True, False, False)),
    ((12, 10), (18, 10), (True, False, False, True, False)),
    ((18, 10), (12, 14), (True, False, False, False, False)),
    ((9, 8), (9, 7), (True, True, False, False, False)),
]


@pytest.mark.parametrize(("first", "last", "outcome"), NHS)
def test_courses_are_judged_as_the_pathway_defines(
    first: tuple[int, int], last: tuple[int, int], outcome: tuple[bool, ...]
) -> None:
    series = {
        code: scores((0, one), (80, other)) for code, one, other in zip((MOOD, ANXIETY), first, last, strict=True)
    }
    found = only("care_course", rows([episode(90), contact(5), contact(19)], series))
    names = ("case_at_start", "recovery", "reliable_improvement", "reliable_deterioration", "reliable_recovery")
    assert tuple(found[name] for name in names) == outcome
    assert found["contacts"] == 2


def test_one_measure_alone_leaves_the_outcome_of_a_course_unknown() -> None:
    found = only("care_course", rows([episode(90)], {MOOD: scores((0, 20), (80, 4)), ANXIETY: scores((0, 12))}))
    assert (found["case_at_start"], found["recovery"], found["reliable_improvement"]) == (None, None, None)
    assert (found["mood_case"], found["mood_response"], found["mood_remission"]) == (True, True, True)
    assert (found["anxiety_case"], found["anxiety_response"]) == (True, None)


def test_scores_after_the_end_and_of_an_earlier_course_do_not_count() -> None:
    series = {MOOD: scores((0, 20), (80, 4), (200, 15), (290, 9), (400, 22))}
    made = rows([episode(90), episode(300, started=190, id_="e2")], series).care_course
    names = COUNTED["care_course"][1:]
    response, remission = names.index("mood_response"), names.index("mood_remission")
    assert [(row[response], row[remission]) for row in made] == [(True, True), (False, False)]


def test_cost_use_and_satisfaction_belong_to_their_course() -> None:
    facts = [
        episode(90),
        *(
            Fact(Kind.COST, f"c{at}", "final", day(at), amount=amount)
            for at, amount in ((-5, 9.0), (4, 120.5), (90, 80))
        ),
        *(Fact(Kind.USE, f"u{at}", "final", day(at), amount=count) for at, count in ((-400, 5), (-30, 2), (10, None))),
        *(Fact(Kind.SATISFACTION, f"s{at}", "final", day(at), amount=said) for at, said in ((60, 7.0), (95, 11.0))),
    ]
    found = only("care_course", rows(facts))
    assert (found["cost"], found["use_before"], found["use_after"], found["satisfaction"]) == (200.5, 2, 1, 11.0)
    assert only("care_course", rows([episode(90)]))["cost"] is None


FACTS = [
    *(referral("in-progress", begun=21), contact(20), contact(34), contact(41, "not-attended"), episode(90)),
    *(step(0, "tier-1"), step(28, "tier-3"), episode(started=190, id_="e2"), step(190, "tier-2", about="e2")),
    *(referral(asked=185, source="Task/t9", about="r9", tier="tier-2"), contact(200, about="r9")),
    Fact(Kind.COST, "c1", "final", day(3), amount=10.0),
]


@settings(max_examples=25)
@given(st.permutations(FACTS), st.permutations([(0, 20), (80, 4), (200, 15)]))
def test_the_order_in_which_facts_became_known_makes_no_difference(
    facts: list[Fact], points: list[tuple[int, int]]
) -> None:
    assert rows(facts, {MOOD: scores(*points)}) == rows(FACTS, {MOOD: scores((0, 20), (80, 4), (200, 15))})
