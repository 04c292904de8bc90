"""How long a wait is likely to be, from the queue and the capacity, and whether the class's maximum can be kept.

Waits are promised from numbers, never by hand, and a promise that cannot be kept says so before it is made.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from stepwell_referral.rules.forecast import Pace, SharedWaits, days_until, first_day

MEDIAN_PROBABILITY = 0.5
UPPER_PROBABILITY = 0.9
# Beyond this nobody would call the figure a date; it also keeps every promised date representable.
HORIZON_DAYS = 3650


@dataclass(frozen=True, slots=True)
class UrgencyClass:
    """One class of urgency: the longest wait it allows, and the FHIR request priorities that belong to it.

    `rank` 1 is served first. `queued` is False where a queue is the wrong answer and a person hands over at once.
    """

    code: str
    rank: int
    maximum_wait: timedelta
    request_priorities: tuple[str, ...]
    queued: bool


@dataclass(frozen=True, slots=True)
class WaitPromise:
    """What can honestly be said about one wait.

    `median_days`: half of such waits are over by then; `upper_days`: nine in ten are. Both are None when there is
    nothing to reckon with. `promised_by` is the date told (now + upper_days), `due_by` the class's maximum.
    """

    outcome: str
    reason: str
    rule: str
    due_by: datetime
    computed_at: datetime
    median_days: int | None = None
    upper_days: int | None = None
    promised_by: datetime | None = None

    @property
    def keepable(self) -> bool:
        """Whether the class's maximum wait can be promised."""
        return self.outcome == "keepable"


def urgency_of(priority: str, limits: Sequence[UrgencyClass]) -> UrgencyClass:
    """The class of a FHIR request priority (routine, urgent, asap, stat). Raises ValueError for any other."""
    for urgency in limits:
        if priority in urgency.request_priorities:
            return urgency
    raise ValueError("no urgency class has this request priority")


def queue_by_urgency(priorities: Mapping[str, int], limits: Sequence[UrgencyClass]) -> dict[str, int]:
    """Counts of waiting people by FHIR request priority, as counts by urgency class code."""
    return {limit.code: sum(priorities.get(code, 0) for code in limit.request_priorities) for limit in limits}


def promise(
    queue_ahead: Mapping[str, int],
    weekly_starts: float,
    priority: str,
    now: datetime,
    limits: Sequence[UrgencyClass],
    pace: Pace | None = None,
) -> WaitPromise:
    """The wait of the next person of this priority.

    `queue_ahead` counts the people already waiting by urgency class code; only those of the same or a more urgent
    class count, so an urgent person never waits behind a routine one. `weekly_starts` is how many people begin
    care there in a week.

    Model: starts happen at a constant mean rate, independently (a Poisson process), so the wait for the k-th start
    from now (k = people ahead + 1) is Erlang distributed: P(wait <= t) = 1 - sum over j < k of exp(-m) m^j / j!
    with m = rate x t (S. M. Ross, Introduction to Probability Models, the Poisson process: arrival times). Figures
    are the first whole days that reach 50 % and 90 %. Real diaries are more regular than a Poisson process, which
    makes the 90 % bound careful; people who come later and are more urgent are not foreseen, which is why a promise is
    computed anew whenever the queue or the capacity changes.

    A service with a calendar has a `pace`: then free places, missed appointments, those who are more urgent and come
    later, and those who leave are reckoned with (`forecast.days_until`), and the bound is taken at the probability at
    which it has held. At a service of another organisation the waits that this one shares are what is promised, as long
    as they are not too old.

    Raises ValueError for an unknown priority or class, or a negative number.
    """
    urgency = urgency_of(priority, limits)
    due_by = now + urgency.maximum_wait
    ahead = _people_ahead(queue_ahead, urgency, limits)
    if not math.isfinite(weekly_starts) or weekly_starts < 0:
        raise ValueError("weekly starts must be a number from zero on")
    if not urgency.queued:
        reason = f"A queue is no answer to {urgency.code} need: a person hands over at once."
        return WaitPromise("hand-over", reason, "WAIT-HAND-OVER", due_by, now)
    if pace is not None and pace.shared is not None:
        return _shared_promise(pace.shared, urgency, now)
    if pace is None:
        median_days = wait_days(ahead, weekly_starts, MEDIAN_PROBABILITY)
        upper_days = wait_days(ahead, weekly_starts, UPPER_PROBABILITY)
    else:
        ahead = max(ahead - _people_ahead(pace.booked, urgency, limits), 0)
        median_days, upper_days = _paced_days(pace, ahead, urgency, limits, now)
        weekly_starts = _weekly_places(pace)
    if median_days is None or upper_days is None:
        reason = f"No date can be given: {ahead} people are ahead and {weekly_starts:g} begin in a week."
        return WaitPromise("no-capacity", reason, "WAIT-NO-CAPACITY", due_by, now)
    promised_by = now + timedelta(days=upper_days)
    keepable = promised_by <= due_by
    reason = (
        f"{ahead} people are ahead and {weekly_starts:g} begin in a week: half of such waits end within {median_days}"
        f" days, nine in ten within {upper_days}; {urgency.code} care is due within {urgency.maximum_wait.days} days."
    )
    outcome, rule = ("keepable", "WAIT-WITHIN-LIMIT") if keepable else ("over-limit", "WAIT-OVER-LIMIT")
    return WaitPromise(outcome, reason, rule, due_by, now, median_days, upper_days, promised_by)


def _paced_days(
    pace: Pace, ahead: int, urgency: UrgencyClass, limits: Sequence[UrgencyClass], now: datetime
) -> tuple[int | None, int | None]:
    """Median and bound from a calendar; the bound is never before the median."""
    overtaking = sum(pace.arrivals_weekly.get(limit.code, 0.0) for limit in limits if limit.rank < urgency.rank)
    bound = pace.upper_probability.get(urgency.code, UPPER_PROBABILITY)
    median = days_until(pace, ahead, overtaking, now, MEDIAN_PROBABILITY, horizon_days=HORIZON_DAYS)
    upper = days_until(pace, ahead, overtaking, now, bound, horizon_days=HORIZON_DAYS)
    return median, upper if upper is None or median is None else max(median, upper)


def _shared_promise(shared: SharedWaits, urgency: UrgencyClass, now: datetime) -> WaitPromise:
    """What another organisation has reckoned for somebody of this class who is asked for now."""
    due_by = now + urgency.maximum_wait
    if now > shared.good_until:
        reason = f"What the place said of its waits is of {shared.as_of:%Y-%m-%d %H:%M %Z}: too old to promise from."
        return WaitPromise("unknown", reason, "WAIT-STALE", due_by, now)
    if urgency.code not in shared.days:
        return WaitPromise("no-capacity", "The place's organisation gives no date.", "WAIT-NO-CAPACITY", due_by, now)
    median_days, upper_days = shared.days[urgency.code]
    promised_by = now + timedelta(days=upper_days)
    outcome, rule = ("keepable", "WAIT-WITHIN-LIMIT") if promised_by <= due_by else ("over-limit", "WAIT-OVER-LIMIT")
    reason = (
        f"Its organisation says that half of such waits end within {median_days} days, nine in ten within {upper_days};"
        f" {urgency.code} care is due within {urgency.maximum_wait.days} days."
    )
    return WaitPromise(outcome, reason, rule, due_by, now, median_days, upper_days, promised_by)


def _weekly_places(pace: Pace) -> float:
    """How many begin in a week as far as the calendar goes; after it, or without one, as the service says."""
    if not pace.calendar:
        return pace.weekly_starts
    first, last = pace.calendar[0][0], pace.calendar_until
    weeks = max((last - first) / timedelta(weeks=1), 1.0)
    return round(sum(places for _, places in pace.calendar) / weeks, 1)


def wait_days(people_ahead: int, weekly_starts: float, probability: float) -> int | None:
    """The first whole day by which the wait is over with this probability; None beyond the horizon."""

    def over_by(days: int) -> bool:
        return 1 - poisson_at_most(people_ahead, weekly_starts * days / 7) >= probability

    return first_day(over_by, 1, HORIZON_DAYS)


def poisson_at_most(count: int, mean: float) -> float:
    """P(N <= count) for a Poisson variable of this mean.

    Summed from the largest term outwards, so that long queues neither underflow nor lose digits.
    """
    if mean == 0:
        return 1.0
    largest = min(count, int(mean))
    peak = math.exp(largest * math.log(mean) - mean - math.lgamma(largest + 1))
    total = term = peak
    for number in range(largest, 0, -1):
        term *= number / mean
        total += term
        if term < total * 1e-17:
            break
    term = peak
    for number in range(largest + 1, count + 1):
        term *= mean / number
        total += term
        if term < total * 1e-17:
            break
    return min(total, 1.0)


def wait_words(
    wait: WaitPromise, place: str | None, templates: Mapping[str, Mapping[str, Mapping[str, str]]]
) -> dict[str, str]:
    """What the person is told about the wait, by language; `place` is its name, None when none was found.

    `templates[language]` has the sentences `rules[rule code]` with {place}, {median} and {upper}, and `days` with
    "one" and "other".
    """
    rule = wait.rule if place or wait.rule == "WAIT-HAND-OVER" else "MATCH-NONE"
    return {language: _sentence(rule, place, wait, words) for language, words in templates.items()}


def _sentence(rule: str, place: str | None, wait: WaitPromise, words: Mapping[str, Mapping[str, str]]) -> str:
    median, upper = _days(wait.median_days, words["days"]), _days(wait.upper_days, words["days"])
    return words["rules"][rule].format(place=place, median=median, upper=upper)


def _days(count: int | None, words: Mapping[str, str]) -> str:
    if count is None:
        return ""
    return words["one"] if count == 1 else words["other"].format(count=count)


def _people_ahead(queue_ahead: Mapping[str, int], urgency: UrgencyClass, limits: Sequence[UrgencyClass]) -> int:
    ranks = {limit.code: limit.rank for limit in limits}
    if any(code not in ranks or count < 0 for code, count in queue_ahead.items()):
        raise ValueError("the queue is counted by urgency class, from zero on")
    return sum(count for code, count in queue_ahead.items() if ranks[code] <= urgency.rank)
