"""What the course of one measure says: baseline, best, change, trend and the like, from its values in time order.

Exact: integers and decimals in, integers and decimals rounded to hundredths out; the same values always give the same.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType
from typing import NamedTuple

from stepwell_routing.rules.evidence_names import known
from stepwell_routing.rules.expressions import Scalar
from stepwell_routing.rules.policies import Input

Number = int | Decimal
DAY = timedelta(days=1)
WEEK_DAYS = 7
TREND_MEASURES_MIN = 3
_HUNDREDTH = Decimal("0.01")


class Measure(NamedTuple):
    """One value and when it was observed."""

    value: Number
    observed_at: datetime


class Course(NamedTuple):
    """The measures of one name, oldest first; `fresh` when the latest is not too old to count."""

    measures: Sequence[Measure]
    now: datetime
    fresh: bool
    declared: Input
    reliable_change: Scalar | None

    @property
    def latest(self) -> Measure:
        return self.measures[-1]

    @property
    def worse(self) -> int:
        found = known(self.declared.name)
        return found.worse if found is not None and found.worse else 1


def derived(suffix: str, course: Course) -> Scalar | None:
    """The value of one suffix; None when the measures do not say. `reliable` is told by measurement, not derived."""
    function = _FUNCTIONS.get(suffix)
    return None if function is None or not course.measures else function(course)


def _baseline(course: Course) -> Scalar:
    return course.measures[0].value


def _previous(course: Course) -> Scalar | None:
    return course.measures[-2].value if len(course.measures) > 1 else None


def _best(course: Course) -> Scalar:
    values = [measure.value for measure in course.measures]
    return min(values) if course.worse > 0 else max(values)


def _change(course: Course) -> Scalar | None:
    if not course.fresh or len(course.measures) < 2:
        return None
    return course.latest.value - course.measures[0].value


def _change_from_best(course: Course) -> Scalar | None:
    if not course.fresh or len(course.measures) < 2:
        return None
    values = [measure.value for measure in course.measures]
    return course.latest.value - (min(values) if course.worse > 0 else max(values))


def _change_percent(course: Course) -> Scalar | None:
    change, baseline = _change(course), course.measures[0].value
    if change is None or not baseline:
        return None
    return _rounded(Decimal(change) * 100 / Decimal(baseline))


def _trend(course: Course) -> Scalar | None:
    """Least squares: change per week."""
    if not course.fresh or len(course.measures) < TREND_MEASURES_MIN:
        return None
    start = course.measures[0].observed_at
    weeks = [Decimal((each.observed_at - start) // timedelta(seconds=1)) / (86400 * 7) for each in course.measures]
    values = [Decimal(each.value) for each in course.measures]
    none = Decimal(0)
    mean_week, mean_value = sum(weeks, none) / len(weeks), sum(values, none) / len(values)
    spread = sum(((week - mean_week) ** 2 for week in weeks), none)
    if not spread:
        return None
    pairs = zip(weeks, values, strict=True)
    return _rounded(sum(((week - mean_week) * (value - mean_value) for week, value in pairs), none) / spread)


def _count(course: Course) -> Scalar:
    return len(course.measures)


def _age_days(course: Course) -> Scalar:
    return (course.now - course.latest.observed_at) // DAY


def _weeks(course: Course) -> Scalar:
    return (course.latest.observed_at - course.measures[0].observed_at) // DAY // WEEK_DAYS


def _sustained(course: Course) -> Scalar | None:
    """The worst from the newest measure that is old enough up to the latest."""
    over = course.declared.sustained_over
    if over is None or not course.fresh:
        return None
    limit = course.latest.observed_at - over
    earlier = [index for index, each in enumerate(course.measures) if each.observed_at <= limit]
    if not earlier:
        return None
    values = [measure.value for measure in course.measures[earlier[-1] :]]
    return max(values) if course.worse > 0 else min(values)


def _stalled(course: Course) -> Scalar | None:
    declared, threshold = course.declared, course.reliable_change
    count, over = declared.stall_measures, declared.stall_over
    if count is None or over is None or not isinstance(threshold, int | Decimal) or not course.fresh:
        return None
    last = course.measures[-count:]
    if len(last) < count:
        return None
    # A course that was measured often still spans the time: start from the newest measure that is old enough.
    limit = course.latest.observed_at - over
    earlier = [index for index, each in enumerate(course.measures) if each.observed_at <= limit]
    if not earlier:
        return None
    start = min(earlier[-1], len(course.measures) - count)
    values = [measure.value for measure in course.measures[start:]]
    return max(values) - min(values) < threshold


def _rounded(value: Decimal) -> Number:
    rounded = value.quantize(_HUNDREDTH, ROUND_HALF_EVEN)
    return int(rounded) if rounded == rounded.to_integral_value() else rounded


_FUNCTIONS: Mapping[str, Callable[[Course], Scalar | None]] = MappingProxyType(
    {
        "baseline": _baseline,
        "previous": _previous,
        "best": _best,
        "change": _change,
        "change_from_best": _change_from_best,
        "change_percent": _change_percent,
        "trend": _trend,
        "count": _count,
        "age_days": _age_days,
        "weeks": _weeks,
        "sustained": _sustained,
        "stalled": _stalled,
    }
)
