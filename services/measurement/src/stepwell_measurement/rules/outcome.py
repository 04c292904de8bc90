"""What became of somebody: the classes of Jacobson and Truax for one measure, and those of a course with two measures.

One measure: J Consult Clin Psychol 59:12-19, 1991. Two measures: the definitions of NHS Talking Therapies
(nhsengland/Talking-Therapies), for depression and anxiety together. What is unknown stays unknown.
"""

from dataclasses import dataclass
from enum import StrEnum

from stepwell_measurement.rules.reliable_change import Change


class OutcomeClass(StrEnum):
    """The classes of the literature, for figures and clinicians. No person is told any of these words."""

    RECOVERED = "recovered"
    IMPROVED = "improved"
    UNCHANGED = "unchanged"
    DETERIORATED = "deteriorated"
    HARMED = "harmed"


@dataclass(frozen=True, slots=True)
class MeasureOutcome:
    """One measure at the start and the end of a course; None where it is not known."""

    case_at_start: bool | None
    case_at_end: bool | None
    change: Change


@dataclass(frozen=True, slots=True)
class CourseOutcome:
    """What two measures say of one course; None where one of them is missing."""

    case_at_start: bool | None
    recovery: bool | None
    reliable_improvement: bool | None
    reliable_deterioration: bool | None
    reliable_recovery: bool | None


def outcome_class(change: Change, case_at_start: bool | None, case_at_end: bool | None) -> OutcomeClass | None:
    """Recovered: reliably better and across the cut-off; harmed: reliably worse and across it the other way.

    None where reliable change is not available.
    """
    if change is Change.NOT_AVAILABLE:
        return None
    if change is Change.IMPROVEMENT:
        return OutcomeClass.RECOVERED if case_at_start and case_at_end is False else OutcomeClass.IMPROVED
    if change is Change.DETERIORATION:
        return OutcomeClass.HARMED if case_at_start is False and case_at_end else OutcomeClass.DETERIORATED
    return OutcomeClass.UNCHANGED


def course_outcome(depression: MeasureOutcome | None, anxiety: MeasureOutcome | None) -> CourseOutcome:
    """The outcome of a course by its two measures.

    Case at the start: at least one measure above its cut-off; recovered: a case, and all below at the end. Reliably
    improved: one measure improves and the other does not deteriorate; the mirror is deterioration; one of each is
    neither. A measure that is missing at either end leaves everything unknown, nothing is inferred from the other.
    """
    measures = [each for each in (depression, anxiety) if each is not None]
    known = len(measures) == 2 and all(
        each.case_at_start is not None and each.case_at_end is not None and each.change is not Change.NOT_AVAILABLE
        for each in measures
    )
    if not known:
        return CourseOutcome(None, None, None, None, None)
    case_at_start = any(each.case_at_start for each in measures)
    recovery = case_at_start and not any(each.case_at_end for each in measures)
    changes = {each.change for each in measures}
    improved = Change.IMPROVEMENT in changes and Change.DETERIORATION not in changes
    deteriorated = Change.DETERIORATION in changes and Change.IMPROVEMENT not in changes
    return CourseOutcome(case_at_start, recovery, improved, deteriorated, recovery and improved)
