"""Promises of outcome: the classes of the literature, and a course with two measures, of which nothing is inferred."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_measurement.rules.outcome import (
    CourseOutcome,
    MeasureOutcome,
    OutcomeClass,
    course_outcome,
    outcome_class,
)
from stepwell_measurement.rules.reliable_change import Change

UP, DOWN, SAME, NONE = Change.IMPROVEMENT, Change.DETERIORATION, Change.NONE, Change.NOT_AVAILABLE
UNKNOWN = CourseOutcome(None, None, None, None, None)

measures = st.builds(MeasureOutcome, st.booleans(), st.booleans(), st.sampled_from([UP, DOWN, SAME]))


@pytest.mark.parametrize(
    ("change", "before", "after", "expected"),
    [
        # As in the tests of the R package clinicalsignificance (Jacobson-Truax): five rows, five classes.
        (UP, True, False, OutcomeClass.RECOVERED),
        (UP, False, False, OutcomeClass.IMPROVED),
        (SAME, True, True, OutcomeClass.UNCHANGED),
        (DOWN, True, True, OutcomeClass.DETERIORATED),
        (DOWN, False, True, OutcomeClass.HARMED),
        (UP, True, True, OutcomeClass.IMPROVED),
        (UP, None, None, OutcomeClass.IMPROVED),
        (SAME, True, False, OutcomeClass.UNCHANGED),
        (DOWN, False, False, OutcomeClass.DETERIORATED),
        (DOWN, None, None, OutcomeClass.DETERIORATED),
        (NONE, True, False, None),
    ],
)
def test_a_class_needs_a_reliable_change_and_recovery_the_cut_off_too(
    change: Change, before: bool | None, after: bool | None, expected: OutcomeClass | None
) -> None:
    assert outcome_class(change, before, after) is expected


@pytest.mark.parametrize(
    "missing",
    [None, MeasureOutcome(None, True, SAME), MeasureOutcome(True, None, SAME), MeasureOutcome(True, True, NONE)],
)
def test_one_measure_missing_at_either_end_leaves_everything_unknown(missing: MeasureOutcome | None) -> None:
    known = MeasureOutcome(True, False, UP)
    assert course_outcome(known, missing) == course_outcome(missing, known) == UNKNOWN


# depression and anxiety as (case at start, case at end, change) -> case, recovery, improvement, deterioration, both
HAND_COMPUTED = [
    ((True, False, UP), (True, False, UP), (True, True, True, False, True)),
    ((True, False, UP), (False, False, SAME), (True, True, True, False, True)),
    ((True, False, SAME), (False, False, SAME), (True, True, False, False, False)),
    ((True, False, UP), (True, True, SAME), (True, False, True, False, False)),
    ((True, False, UP), (False, True, DOWN), (True, False, False, False, False)),
    ((True, True, DOWN), (True, True, SAME), (True, False, False, True, False)),
    ((False, False, SAME), (False, False, UP), (False, False, True, False, False)),
    ((False, True, DOWN), (False, False, SAME), (False, False, False, True, False)),
]


@pytest.mark.parametrize(("depression", "anxiety", "expected"), HAND_COMPUTED)
def test_a_course_with_two_measures_is_what_the_definitions_say(
    depression: tuple[bool, bool, Change], anxiety: tuple[bool, bool, Change], expected: tuple[bool, ...]
) -> None:
    found = course_outcome(MeasureOutcome(*depression), MeasureOutcome(*anxiety))
    assert found == CourseOutcome(*expected)


@given(measures, measures)
def test_neither_measure_comes_first_and_nobody_improves_and_deteriorates(
    one: MeasureOutcome, other: MeasureOutcome
) -> None:
    found = course_outcome(one, other)
    assert found == course_outcome(other, one)
    assert not (found.reliable_improvement and found.reliable_deterioration)
    assert found.reliable_recovery is (bool(found.recovery) and bool(found.reliable_improvement))


def test_every_class_is_reached() -> None:
    changes, cases = (UP, DOWN, SAME), (True, False)
    assert {outcome_class(*each) for each in product(changes, cases, cases)} == set(OutcomeClass)
