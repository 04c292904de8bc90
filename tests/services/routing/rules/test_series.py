"""What the course of a measure says, and that it says nothing where the measures do not."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_routing.rules.decisions import Evidence, EvidenceValue, as_record, decide
from stepwell_routing.rules.evidence import environment_of
from stepwell_routing.rules.evidence_names import NAMES, PERSONAL, SUFFIXES, base_of, group_of, known, names_of
from stepwell_routing.rules.expressions import Kind

from tests.services.routing.rules.policy_documents import (
    course,
    days,
    document,
    effect,
    evidence_of,
    parameter,
    published,
    rule,
    step,
    step_of,
)
from tests.services.routing.rules.shipped import NOW

CONDITIONS = {
    "baseline": "%{}_baseline >= 0",
    "stalled": "%{}_stalled",
    "reliable": "%{}_reliable = 'deterioration'",
}
FIRST = [
    rule(f"{name}-{suffix}", effect("stay"), when=CONDITIONS.get(suffix, "%{}_" + suffix + " >= 0").format(name))
    for name in ("phq9", "pseq")
    for suffix in SUFFIXES
]
POLICY = published(
    document(
        "intensity",
        [
            evidence_of(
                name,
                max_age=28,
                sustained_over=days(28),
                reliable_change="reliable",
                stall_measures=3,
                stall_over=days(42),
            )
            for name in ("phq9", "pseq")
        ],
        {"modifiers": FIRST, "proposal": [rule("ALWAYS", effect("floor", step=step_of("rural-l1")))]},
        [step("rural-l1")],
        parameters=[parameter("reliable", 6)],
    )
)


def said(*values: tuple[int, int], name: str = "phq9") -> dict[str, Any]:
    """The suffixes of these measures (days ago, value)."""
    measures = course(*values)
    latest = {name: EvidenceValue(measures[-1].value, measures[-1].observed_at, "x")} if measures else {}
    environment, _ = environment_of(POLICY, Evidence(latest, courses={name: measures}), NOW)
    start = f"{name}_"
    return {each.removeprefix(start): value for each, value in environment.items() if each.startswith(start)}


def test_nothing_is_said_of_nothing_but_that_there_is_nothing() -> None:
    assert said() == {"count": 0}


def test_one_measure_has_no_change() -> None:
    assert said((3, 14)) == {"baseline": 14, "best": 14, "count": 1, "age_days": 3, "weeks": 0}


def test_the_latest_is_held_against_the_first_and_the_best() -> None:
    found = said((42, 20), (28, 10), (14, 12), (0, 15))
    assert (found["baseline"], found["previous"], found["best"]) == (20, 12, 10)
    assert (found["change"], found["change_from_best"], found["change_percent"]) == (-5, 5, -25)
    assert (found["count"], found["age_days"], found["weeks"]) == (4, 0, 6)


def test_where_less_is_worse_the_best_is_the_highest() -> None:
    found = said((28, 20), (14, 30), (0, 25), name="pseq")
    assert (found["best"], found["change_from_best"], found["sustained"]) == (30, -5, 20)


def test_what_is_too_old_has_no_change_but_still_a_beginning() -> None:
    found = said((60, 20), (29, 10))
    assert found.keys() == {"baseline", "previous", "best", "count", "age_days", "weeks"}


def test_a_change_in_percent_of_nothing_is_not_known() -> None:
    assert "change_percent" not in said((14, 0), (0, 5))


def test_the_trend_is_the_change_per_week() -> None:
    assert said((21, 18), (14, 16), (7, 14), (0, 12))["trend"] == -2
    assert said((21, 18), (14, 18), (7, 14), (0, 12))["trend"] == Decimal("-2.2")
    assert "trend" not in said((7, 14), (0, 12))
    assert "trend" not in said((0, 14), (0, 12), (0, 13))


@pytest.mark.parametrize(
    ("values", "worst"),
    [
        (((28, 8), (0, 9)), 9),
        (((28, 9), (14, 12), (0, 8)), 12),
        (((56, 20), (28, 8), (0, 7)), 8),
        (((27, 8), (0, 9)), None),
        (((40, 14), (14, 8), (0, 9)), 14),
    ],
)
def test_what_is_sustained_held_at_two_measures_that_far_apart_and_between(
    values: tuple[tuple[int, int], ...], worst: int | None
) -> None:
    assert said(*values).get("sustained") == worst


@pytest.mark.parametrize(
    ("values", "stalled"),
    [
        (((42, 15), (21, 14), (0, 16)), True),
        (((42, 15), (21, 14), (0, 9)), False),
        (((42, 15), (21, 9), (0, 15)), False),
        (((41, 15), (21, 14), (0, 16)), None),
        (((42, 15), (0, 16)), None),
        (((60, 25), (42, 15), (21, 14), (7, 15), (0, 16)), True),
    ],
)
def test_a_stall_takes_measures_and_time(values: tuple[tuple[int, int], ...], stalled: bool | None) -> None:
    assert said(*values).get("stalled") == stalled


def test_what_is_told_is_taken_as_told() -> None:
    latest = {"phq9": EvidenceValue(16, NOW, "x"), "phq9_reliable": EvidenceValue("deterioration", NOW, "y")}
    decision = decide(POLICY, Evidence(latest, courses={"phq9": course((14, 10), (0, 16))}), NOW)
    fired = {each.code: dict(each.seen) for each in decision.fired}
    assert fired["phq9-reliable"] == {"phq9_reliable": "deterioration"}
    assert fired["phq9-change"] == {"phq9_change": 6}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 27)), min_size=1, max_size=12))
def test_the_same_course_gives_the_same_bytes(values: list[tuple[int, int]]) -> None:
    measures = course(*sorted(values, reverse=True))
    latest = {"phq9": EvidenceValue(measures[-1].value, measures[-1].observed_at, "x")}
    first, second = (as_record(decide(POLICY, Evidence(latest, courses={"phq9": measures}), NOW)) for _ in range(2))
    assert json.dumps(first) == json.dumps(second)


class TestNames:
    def test_a_suffix_belongs_to_what_is_measured(self) -> None:
        assert base_of("phq9_change_from_best") == ("phq9", "change_from_best")
        assert base_of("own_grip_trend") == ("own_grip", "trend")
        assert base_of("step_weeks") == ("step_weeks", None)
        assert base_of("flare_change") == ("flare_change", None)

    def test_every_measured_name_gives_every_suffix_and_none_hides_another_name(self) -> None:
        for name, found in NAMES.items():
            given_names = names_of(name)
            assert len(given_names) == (1 + len(SUFFIXES) if found.measured else 1)
            assert set(given_names) & set(NAMES) == {name}

    def test_what_is_personal_is_known_as_such_with_every_suffix(self) -> None:
        assert group_of("readiness_trend") in PERSONAL
        assert group_of("barrier_transport") in PERSONAL
        assert group_of("phq9_change") not in PERSONAL

    def test_conditions_and_own_measures_have_their_prefix(self) -> None:
        assert known("condition_diabetes") == known("condition_asthma")
        assert known("condition_") is None
        assert known("diabetes") is None

    def test_texts_have_values_and_numbers_have_a_range_in_order(self) -> None:
        for name, found in NAMES.items():
            assert found.kind is Kind.STRING or not found.values, name
            assert found.minimum is None or found.maximum is None or found.minimum < found.maximum, name


def test_a_measure_of_today_is_as_old_as_it_is() -> None:
    measures = course((0, 9))
    latest = {"phq9": EvidenceValue(9, NOW, "x")}
    environment, _ = environment_of(POLICY, Evidence(latest, courses={"phq9": measures}), NOW + timedelta(days=2))
    assert environment["phq9_age_days"] == 2
