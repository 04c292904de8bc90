"""How long people wait, with those who wait still counted as far as they have waited: nobody's open wait is left out.

The product-limit estimate of Kaplan and Meier 1958, J Am Stat Assoc 53:457.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import NamedTuple

from stepwell_shared.proportions import Z95, Group, Interval, score_interval, share_of

SIX_WEEKS_DAYS, EIGHTEEN_WEEKS_DAYS = 42, 126
"""The standards of the NHS pathway, referral to first treatment: clinical.md section 4."""

WAITING_BANDS_DAYS = (14, 28, 42, 84, 126)
"""Bands of the waiting list: clinical.md section 4."""

PERCENTILES = (0.5, 0.75, 0.9)

ROUNDING = 1e-12
"""By how much a product of shares may miss the share that it stands for."""


class WaitsOfDay(NamedTuple):
    """People by the days from referral: whose treatment began then, who wait still, and who left without any."""

    days: int
    begun: int = 0
    waiting: int = 0
    left: int = 0


class Step(NamedTuple):
    """The estimate from this day on: the share whom nothing has begun for, and its standard error (Greenwood 1926)."""

    days: int
    at_risk: int
    begun: int
    share_waiting: float
    standard_error: float


class Target(NamedTuple):
    """The share for whom treatment began within so many days (None when that many days cannot be judged yet), and how
    many wait for longer than that now."""

    days: int
    within: Interval | None
    waiting_longer: int


class Waits(NamedTuple):
    """The published figures; a percentile is None when too few have begun to know it."""

    people: int
    begun: int
    waiting: int
    left: int
    share_waiting: Interval | None
    percentiles_days: Mapping[float, int | None]
    targets: tuple[Target, ...]


def summarise(
    waits: Iterable[WaitsOfDay],
    percentiles: Sequence[float] = PERCENTILES,
    targets_days: Sequence[int] = (SIX_WEEKS_DAYS, EIGHTEEN_WEEKS_DAYS),
) -> Waits:
    """The figures of a group of waits. Raises ValueError for a negative wait or count.

    Who left without treatment is censored on that day, as who waits is: it is not known how long it would have been.
    """
    days = _by_day(waits)
    steps = _steps(days)
    begun, waiting, left = (sum(day[place] for day in days) for place in (1, 2, 3))
    people = begun + waiting + left
    return Waits(
        people,
        begun,
        waiting,
        left,
        share_of(Group(waiting, people)),
        {share: percentile(steps, share) for share in percentiles},
        tuple(
            Target(limit, _within(days, steps, limit, Z95), sum(day.waiting for day in days if day.days > limit))
            for limit in targets_days
        ),
    )


def survival(waits: Iterable[WaitsOfDay]) -> tuple[Step, ...]:
    """The estimate, one step for each day on which treatments began; who is censored that day was still at risk.

    Raises ValueError for a negative wait or count.
    """
    return _steps(_by_day(waits))


def percentile(steps: Sequence[Step], share: float) -> int | None:
    """The first day by which treatment has begun for this share of people; None when that is not known yet."""
    return next((step.days for step in steps if step.share_waiting <= 1 - share + ROUNDING), None)


def within(waits: Iterable[WaitsOfDay], limit_days: int, z: float = Z95) -> Interval | None:
    """The share for whom treatment began within so many days (limit included).

    With the score interval of as many people as would give this standard error without censoring (Rothman 1978, J
    Chronic Dis 31:557): with nobody censored before, it is Wilson's own. When none or all have begun there is no such
    error, and they are those at risk to the end, or who began. None when no wait is known that far and somebody's was
    open. Raises ValueError for a negative wait or count.
    """
    days = _by_day(waits)
    return _within(days, _steps(days), limit_days, z)


def waiting_bands(waits: Iterable[WaitsOfDay], limits_days: Sequence[int] = WAITING_BANDS_DAYS) -> tuple[int, ...]:
    """How many wait for up to each of these days (each counts those before as well), and last everybody who waits."""
    days = _by_day(waits)
    up_to = [sum(day.waiting for day in days if day.days <= limit) for limit in limits_days]
    return (*up_to, sum(day.waiting for day in days))


def _steps(days: Sequence[WaitsOfDay]) -> tuple[Step, ...]:
    at_risk = sum(sum(day[1:]) for day in days)
    share, variance, steps = 1.0, 0.0, []
    for day in days:
        if day.begun:
            staying = at_risk - day.begun
            share *= staying / at_risk
            variance += day.begun / (at_risk * staying) if staying else 0.0
            steps.append(Step(day.days, at_risk, day.begun, share, share * sqrt(variance)))
        at_risk -= sum(day[1:])
    return tuple(steps)


def _within(days: Sequence[WaitsOfDay], steps: Sequence[Step], limit_days: int, z: float) -> Interval | None:
    past = [step for step in steps if step.days <= limit_days]
    share, error = (past[-1].share_waiting, past[-1].standard_error) if past else (1.0, 0.0)
    seen_to_the_end = sum(sum(day[1:]) for day in days if day.days >= limit_days)
    if not past and not seen_to_the_end:
        return None
    if not share:
        return score_interval(1.0, sum(step.begun for step in past), z)
    if not seen_to_the_end:
        return None
    people = share * (1 - share) / error**2 if error else seen_to_the_end
    return score_interval(1 - share, people, z)


def _by_day(waits: Iterable[WaitsOfDay]) -> tuple[WaitsOfDay, ...]:
    together: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for wait in waits:
        if min(wait) < 0:
            raise ValueError("nobody waits a negative time, and no count is negative")
        for place, count in enumerate(wait[1:]):
            together[wait.days][place] += count
    return tuple(WaitsOfDay(days, *counts) for days, counts in sorted(together.items()) if any(counts))
