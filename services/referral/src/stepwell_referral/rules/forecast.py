"""How soon somebody begins at a service with a calendar, how well such promises were kept, and what is coming.

All figures are a service's: its calendar, how often appointments there are missed, who comes and who leaves. None is a
person's.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import NormalDist

DAYS_PER_WEEK = 7
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class SharedWaits:
    """The waits of a service as another organisation has reckoned them: (median, bound) in days by urgency class.

    They are too old to promise from after `good_until`; a class that is missing has no date.
    """

    as_of: datetime
    good_until: datetime
    days: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Pace:
    """What a service's waits are reckoned from.

    `calendar` has the free places for beginners by day, each with the last time of that day, ascending, up to
    `calendar_until`; after it `weekly_starts` people begin in a week. `attended_share` of the appointments are kept.
    `arrivals_weekly` is how many people come in a week by urgency class, `leaving_weekly` which share of those who wait
    leaves in a week, `booked` how many of them have an appointment already, by urgency class. `upper_probability` is
    by urgency class the one at which the 90 % bound has held. `attended_of` and `arrivals_weeks` say on how many
    appointments and weeks the figures rest: few make the bound more careful. `weekly_places` is how many people the
    calendar is for in a week, taken or free. With `shared` another organisation knows all of this, and its waits count.
    """

    calendar: tuple[tuple[datetime, int], ...]
    calendar_until: datetime
    weekly_starts: float
    attended_share: float = 1.0
    arrivals_weekly: Mapping[str, float] = field(default_factory=dict)
    leaving_weekly: float = 0.0
    booked: Mapping[str, int] = field(default_factory=dict)
    upper_probability: Mapping[str, float] = field(default_factory=dict)
    weekly_places: float = 0.0
    attended_of: float = math.inf
    arrivals_weeks: float = math.inf
    shared: SharedWaits | None = None


@dataclass(frozen=True, slots=True)
class PaceParameters:
    """The numbers of pace.toml: how past and prior are weighed, and how a bound is corrected by what happened."""

    no_show_prior_share: float
    no_show_prior_weight: float
    correction_step: float
    probability_least: float
    probability_most: float
    target_probability: float


@dataclass(frozen=True, slots=True)
class Kept:
    """How many promises of a service and month have come true; `share` is None while they are too few to show."""

    service_id: str
    month: str
    settled: int
    kept: int | None
    share: float | None


@dataclass(frozen=True, slots=True)
class Week:
    """One week of a tier: who is expected, how many can begin, and how many are left waiting at its end.

    `demand_upper` is not exceeded in nine of ten such weeks. `rule` is FORECAST-ENOUGH, or FORECAST-SHORT when the
    wait of the last in the queue at its end is longer than the class allows.
    """

    start: datetime
    demand: float
    demand_upper: int
    capacity: float
    waiting: float
    rule: str


def days_until(pace: Pace, ahead: int, overtaking_weekly: float, now: datetime, probability: float, *, horizon_days: int
               ) -> int | None:  # fmt: skip
    """The first whole day by which somebody behind `ahead` people has begun with this probability; None beyond the
    horizon.

    Model: by time t the places so far serve Binomial(places, attended share) people (who misses an appointment gets
    another place), Poisson(overtaking_weekly x t) people have come who go first, and of those ahead Binomial(ahead,
    stayed) do not leave, where stayed = (1 - leaving)^(t / 2): being served one after another, they wait half the
    time in the mean. The shares and rates are known from so many observations only:
    the variances are those of the beta-binomial and of the gamma-Poisson distribution. The person has begun when those
    served outnumber the others; the difference is taken as normal with its mean and variance, and half a person as
    continuity correction (Feller, An Introduction to Probability Theory and Its Applications, volume 1, chapter VII).
    """

    def begun(moment: datetime, places: float) -> bool:
        return begun_probability(pace, ahead, overtaking_weekly, (moment - now) / timedelta(days=1), places) >= (
            probability
        )

    total = 0
    for moment, places in pace.calendar:
        total += places
        if moment > now and begun(moment, total):
            return _whole_days(moment - now)
    after = max(_whole_days(pace.calendar_until - now), 0)

    def begun_after(days: int) -> bool:
        more = (days - after) * pace.weekly_starts / DAYS_PER_WEEK
        return begun(now + timedelta(days=days), total + more)

    return first_day(begun_after, after + 1, horizon_days)


def begun_probability(pace: Pace, ahead: int, overtaking_weekly: float, days: float, places: float) -> float:
    """The probability that the person behind `ahead` others has begun after so many days and places."""
    attended, weeks = pace.attended_share, days / DAYS_PER_WEEK
    overtaking = overtaking_weekly * weeks
    stayed = (1 - pace.leaving_weekly) ** (weeks / 2)
    mean = places * attended - overtaking - ahead * stayed
    served_variance = places * attended * (1 - attended) * (1 + max(places - 1, 0) / (pace.attended_of + 1))
    overtaking_variance = overtaking * (1 + weeks / pace.arrivals_weeks)
    variance = served_variance + overtaking_variance + ahead * stayed * (1 - stayed)
    # A place of a fraction is one that comes at random: beyond the calendar starts are a Poisson process.
    if variance <= 0:
        return 1.0 if mean >= 1 else 0.0
    return _NORMAL.cdf((mean - 0.5) / math.sqrt(variance))


def first_day(reached: Callable[[int], bool], first: int, last: int) -> int | None:
    """The smallest day from `first` to `last` at which a condition that stays true becomes true, or None."""
    if first > last or not reached(last):
        return None
    low, high = first, last
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle + 1, high)
    return low


def attended_share(attended: int, missed: int, parameters: PaceParameters) -> float:
    """Which share of a service's appointments is kept, drawn towards a prior while there are few of them.

    The mean of a Beta distribution after these observations. The service's rate alone: no person has one.
    """
    prior = parameters.no_show_prior_weight
    missed_share = (missed + prior * parameters.no_show_prior_share) / (attended + missed + prior)
    return 1 - missed_share


def attended_mean(shares: Sequence[float]) -> float:
    """The share of several services together; all of them where there are none."""
    return sum(shares) / len(shares) if shares else 1.0


def working_probability(kept: Sequence[bool], parameters: PaceParameters) -> float:
    """The probability to reckon the bound with, after what became of the promises before, the oldest first.

    Adaptive conformal inference: I. Gibbs and E. Candes, Adaptive Conformal Inference Under Distribution Shift,
    NeurIPS 2021. Each promise that was not kept makes the next ones more careful, each that was kept a little less, so
    that the share kept comes to the target whatever the model leaves out.
    """
    level = parameters.target_probability
    for each in kept:
        missed = 0.0 if each else 1.0
        level += parameters.correction_step * (missed - (1 - parameters.target_probability))
        level = min(max(level, parameters.probability_least), parameters.probability_most)
    return level


def calibration(outcomes: Sequence[tuple[str, str, bool]], *, people_least: int) -> list[Kept]:
    """Share of promises kept by service and month, of (service, month, kept); too few are counted and not shown."""
    groups: dict[tuple[str, str], list[bool]] = {}
    for service_id, month, kept in outcomes:
        groups.setdefault((service_id, month), []).append(kept)
    found = []
    for (service_id, month), each in sorted(groups.items()):
        enough = len(each) >= people_least
        share = round(sum(each) / len(each), 3) if enough else None
        found.append(Kept(service_id, month, len(each), sum(each) if enough else None, share))
    return found


def forecast(
    starts: Sequence[datetime],
    capacity: Sequence[float],
    arrivals_weekly: float,
    waiting: int,
    *,
    attended: float,
    weeks_allowed: float,
    upper_quantile: Callable[[float], int],
) -> list[Week]:
    """Demand against capacity, week by week from now. `starts` are the weeks, `capacity` the places for beginners in
    each; `weeks_allowed` is the longest wait of a routine referral in weeks; `upper_quantile` of a Poisson mean.

    Raises ValueError when there are not as many capacities as weeks, or a number is negative.
    """
    if len(starts) != len(capacity) or min([*capacity, arrivals_weekly, waiting]) < 0:
        raise ValueError("a forecast takes one capacity for each week, and no negative numbers")
    left, weeks = float(waiting), []
    usable = [each * attended for each in capacity]
    for start, able in zip(starts, usable, strict=True):
        left = max(left + arrivals_weekly - able, 0.0)
        mean = sum(usable) / len(usable)
        short = left > mean * weeks_allowed
        rule = "FORECAST-SHORT" if short else "FORECAST-ENOUGH"
        upper = upper_quantile(arrivals_weekly)
        weeks.append(Week(start, arrivals_weekly, upper, round(able, 1), round(left, 1), rule))
    return weeks


def _whole_days(span: timedelta) -> int:
    return max(math.ceil(span / timedelta(days=1)), 1)
