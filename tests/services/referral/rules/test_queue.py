"""Promises of the queue: who is next and why, and that passing somebody takes a reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_referral import data
from stepwell_referral.rules.queue import Entry, Opening, Unexplained, allocate, ordered, overtaken_by, position_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PARAMETERS = data.queue_parameters()


def waiting(task_id: str, priority: str = "routine", days: float = 0, **more: Any) -> Entry:
    return replace(Entry(task_id, priority, NOW - timedelta(days=days)), **more)


def order(*entries: Entry) -> list[str]:
    return [placed.entry.task_id for placed in ordered(entries, NOW, PARAMETERS)]


def test_a_priority_that_is_no_request_priority_is_refused() -> None:
    with pytest.raises(ValueError, match="priority"):
        ordered([waiting("a", "whenever")], NOW, PARAMETERS)


def test_who_would_pass_others_who_fit_is_refused_with_their_number() -> None:
    first, second, third = waiting("a", days=9), waiting("b", days=8), waiting("c", days=1)
    refused = overtaken_by(third, Opening(), [first, second, third], NOW, PARAMETERS)
    assert isinstance(refused, Unexplained)
    assert (refused.people, refused.rule) == (2, "QUEUE-ORDER")


def test_no_waiting_lifts_routine_above_urgent_need() -> None:
    ages = waiting("old", days=4000, overtaken=500)
    assert order(ages, waiting("new", "urgent")) == ["new", "old"]


def test_within_a_class_waiting_decides_and_the_reason_says_so() -> None:
    placed = ordered([waiting("b", days=1), waiting("a", days=25)], NOW, PARAMETERS)
    assert [(each.entry.task_id, each.position, each.rule) for each in placed] == [
        ("a", 1, "QUEUE-AGEING"),
        ("b", 2, "QUEUE-LAST"),
    ]
    assert placed[0].reason == "near the longest wait of the class"


def test_who_was_passed_often_goes_before_who_came_a_little_earlier() -> None:
    earlier, passed = waiting("earlier", days=10), waiting("passed", days=9.5, overtaken=3)
    assert order(earlier, passed) == ["passed", "earlier"]
    given_place = allocate(Opening(), [earlier, passed], NOW, PARAMETERS)
    assert [(each.entry.task_id, each.rule) for each in given_place.overtaken] == [("earlier", "QUEUE-FAIRNESS")]


def test_ties_are_broken_openly() -> None:
    long_ago = [waiting("b", days=200), waiting("a", days=300)]
    placed = ordered(long_ago, NOW, PARAMETERS)
    assert next((each.entry.task_id, each.rule) for each in placed) == ("a", "QUEUE-TIE-ENTERED")
    drawn = ordered([waiting("z"), waiting("m")], NOW, PARAMETERS)
    assert next((each.entry.task_id, each.rule) for each in drawn) == ("m", "QUEUE-TIE-DRAW")


@pytest.mark.parametrize(
    ("passed", "opening", "code"),
    [
        (waiting("a", days=9, paused=True), Opening(), "QUEUE-PAUSED"),
        (waiting("a", days=9), Opening(subgroups=frozenset({"es"})), "QUEUE-SUBGROUP"),
        (waiting("a", days=9, unable=frozenset({"telehealth"})), Opening(asks=frozenset({"telehealth"})),
         "QUEUE-SLOT-FIT"),
    ],
)  # fmt: skip
def test_who_cannot_take_a_place_is_passed_with_the_code_of_why(passed: Entry, opening: Opening, code: str) -> None:
    next_one = waiting("b", days=2, subgroups=frozenset({"es"}))
    found = allocate(opening, [passed, next_one], NOW, PARAMETERS)
    assert found.entry == next_one
    assert [(each.entry.task_id, each.rule) for each in found.overtaken] == [("a", code)]


def test_an_opening_that_nobody_can_use_is_given_to_nobody() -> None:
    found = allocate(Opening(subgroups=frozenset({"fr"})), [waiting("a")], NOW, PARAMETERS)
    assert (found.outcome, found.entry) == ("nobody-fits", None)


def test_re_triage_moves_somebody_and_nobody_else_changes_places() -> None:
    queue = [waiting(name, days=days) for name, days in (("a", 20), ("b", 15), ("c", 10))]
    assert order(*queue) == ["a", "b", "c"]
    worse = [replace(each, priority="urgent") if each.task_id == "c" else each for each in queue]
    assert order(*worse) == ["c", "a", "b"]
    placed = position_of("c", worse, NOW, PARAMETERS)
    assert placed is not None
    assert (placed.position, placed.rule) == (1, "QUEUE-URGENCY")
    assert position_of("nobody", worse, NOW, PARAMETERS) is None


def test_every_overtaking_code_of_the_rule_is_published() -> None:
    by_rule = {each["code"] for each in data.queue_data()["overtaking"] if each["by_rule"]}
    assert by_rule == {
        *("QUEUE-URGENCY", "QUEUE-AGEING", "QUEUE-FAIRNESS", "QUEUE-SUBGROUP", "QUEUE-SLOT-FIT", "QUEUE-PAUSED"),
    }


ENTRIES = st.lists(
    st.builds(
        waiting,
        st.uuids().map(str),
        st.sampled_from(["routine", "urgent", "asap", "stat"]),
        st.floats(0, 400),
        overtaken=st.integers(0, 30),
        paused=st.booleans(),
        unable=st.sampled_from([frozenset(), frozenset({"morning"})]),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda entry: entry.task_id,
)


@given(ENTRIES, st.sampled_from([Opening(), Opening(asks=frozenset({"morning"}))]))
def test_whoever_came_first_and_is_passed_has_a_reason(entries: list[Entry], opening: Opening) -> None:
    found = allocate(opening, entries, NOW, PARAMETERS)
    if found.entry is None:
        assert all(each.paused or opening.asks & each.unable for each in entries)
        return
    stated = {each.entry.task_id for each in found.overtaken}
    assert {each.task_id for each in entries if each.entered_at < found.entry.entered_at} <= stated
