"""What care costs and how much of it is used: cost by outcome, and rates by time observed, before and after."""

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from math import exp, lgamma, log, sqrt
from typing import NamedTuple

from stepwell_shared.proportions import Z95, Group, Interval, wilson

DAYS_PER_YEAR = 365.25
"""A Julian year, as person-years are commonly reckoned."""

TAIL = 0.025
"""What a two-sided 95 % interval leaves on either side."""

EXACT_UP_TO = 1000
"""Up to so many events the interval is exact, above by Byar's approximation, which by then is within 0.01 %."""

HALVINGS = 60
"""Halves an interval until nothing is left of it in double precision."""


class Exposure(NamedTuple):
    """Events in a time that was observed, over all people together."""

    events: int
    person_days: float


class Change(NamedTuple):
    """Rates by person-year before and after, and after divided by before (None when nothing happened before)."""

    before: Interval
    after: Interval
    ratio: Interval | None


def cost_per(total_cost: Decimal, outcomes: int, places: int = 2) -> Decimal | None:
    """Cost of all finished episodes by the number of outcomes (reliable improvements, recoveries) among them.

    clinical.md section 4. In the currency of the cost, rounded to `places`; None when nobody reached the outcome: then
    there is no such figure, and it is not 0. Raises ValueError for a negative cost or count.
    """
    if total_cost < 0 or outcomes < 0:
        raise ValueError("neither costs nor counts are negative")
    return (total_cost / outcomes).quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN) if outcomes else None


def rate_per_year(exposure: Exposure) -> Interval:
    """Events by person-year with the exact interval of a count. Raises ValueError without time or below 0 events."""
    events, person_days = exposure
    if person_days <= 0:
        raise ValueError("a rate needs time in which people were observed")
    return Interval(*(each * DAYS_PER_YEAR / person_days for each in poisson_interval(events)))


@lru_cache(maxsize=EXACT_UP_TO + 1)  # a report has thousands of groups with the same few counts
def poisson_interval(events: int) -> Interval:
    """A count of events with its two-sided 95 % interval. Raises ValueError for a negative count.

    Garwood 1936, Biometrika 28:437; above `EXACT_UP_TO` Byar's approximation (Breslow and Day 1987, Statistical
    Methods in Cancer Research II).
    """
    if events < 0:
        raise ValueError("a count is not negative")
    if events > EXACT_UP_TO:
        return byar_interval(events)
    reach = 2 * Z95 * sqrt(events + 1) + 10
    low = _crossing(lambda mean: _at_least(events, mean) < TAIL, 0.0, float(events)) if events else 0.0
    return Interval(float(events), low, _crossing(lambda mean: _up_to(events, mean) > TAIL, events, events + reach))


def byar_interval(events: int) -> Interval:
    """Byar's approximation of the interval of a count above 0 (Breslow and Day 1987)."""
    above = events + 1
    low = events * (1 - 1 / (9 * events) - Z95 / (3 * sqrt(events))) ** 3
    return Interval(float(events), low, above * (1 - 1 / (9 * above) + Z95 / (3 * sqrt(above))) ** 3)


def before_and_after(before: Exposure, after: Exposure) -> Change:
    """Use before and after, and their ratio.

    Given how many events there are in all, those after are a share of them that follows from time and ratio alone
    (Przyborowski and Wilenski 1940, Biometrika 31:313); the limits are those of this share (Wilson). A ratio below 1
    after care is no proof that care did it: people come when they are at their worst (regression to the mean).
    Raises ValueError as `rate_per_year` does.
    """
    rates = rate_per_year(before), rate_per_year(after)
    if not before.events:
        return Change(*rates, None)
    times = before.person_days / after.person_days
    shares = wilson(Group(after.events, before.events + after.events))
    return Change(*rates, Interval(*(share / (1 - share) * times for share in shares)))


def _crossing(is_before: Callable[[float], bool], low: float, high: float) -> float:
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_before(middle) else (low, middle)
    return (low + high) / 2


def _at_least(events: int, mean: float) -> float:
    """The chance of so many or more, at a mean below it."""
    term = total = _probability(events, mean)
    while term > total * 1e-17:
        events += 1
        term *= mean / events
        total += term
    return total


def _up_to(events: int, mean: float) -> float:
    """The chance of so many or fewer, at a mean above it."""
    term = total = _probability(events, mean)
    while term > total * 1e-17:
        term *= events / mean
        events -= 1
        total += term
    return total


def _probability(events: int, mean: float) -> float:
    return exp(events * log(mean) - mean - lgamma(events + 1)) if mean else float(not events)
