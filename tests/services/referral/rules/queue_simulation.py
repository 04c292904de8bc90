"""A synthetic year at one service: who comes, who is asked in, who misses an appointment, who leaves. Pure and seeded.

The rules under test decide; what they are told is what a service would know by then, never what comes later.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

from stepwell_referral import data
from stepwell_referral.rules.forecast import Pace, attended_share, working_probability
from stepwell_referral.rules.queue import Allocation, Entry, Opening, allocate
from stepwell_referral.rules.waits import WaitPromise, promise, queue_by_urgency

FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)
WARM_UP_DAYS, YEAR_DAYS, CALENDAR_DAYS = 120, 365, 84
SESSIONS_AT = timedelta(hours=15)


@dataclass(frozen=True)
class Load:
    """How busy a service is. `arrivals` gives the mean of a day of the year; a week has `places` Monday to Friday."""

    name: str
    arrivals: Callable[[int], float]
    places: tuple[int, ...] = (3, 3, 3, 3, 3)
    urgent_share: float = 0.1
    missed_share: float = 0.15
    leaving_weekly: float = 0.02
    mornings_share: float = 0.1
    unable_in_mornings_share: float = 0.15
    waiting_at_first: int = 30


LOADS = (
    Load("steady", lambda day: 1.75),
    Load("seasonal", lambda day: 1.75 + 0.4 * math.sin(2 * math.pi * day / 365)),
    Load("surge", lambda day: 2.6 if 200 <= day < 240 else 1.7),
    Load("small and unreliable", lambda day: 0.55, places=(1, 1, 1, 1, 1), missed_share=0.3, waiting_at_first=10),
    Load("many urgent", lambda day: 1.75, urgent_share=0.3),
)


@dataclass
class Person:
    """One person from the referral to the first attended appointment."""

    entry: Entry
    told: WaitPromise
    begun_at: datetime | None = None
    left_at: datetime | None = None

    @property
    def settled_kept(self) -> bool | None:
        """Whether the promise came true; None while it is open, and for who left before it was over."""
        bound = self.told.promised_by
        if bound is None:
            return None
        if self.begun_at is not None:
            return self.begun_at <= bound
        return False if self.left_at is not None and self.left_at > bound else None


@dataclass
class Given:
    """One allocation with everybody who waited then, as the oracle needs it."""

    at: datetime
    opening: Opening
    waiting: tuple[Entry, ...]
    allocation: Allocation


@dataclass
class Service:
    """What happens at a service, day by day."""

    load: Load
    random: Random
    now: datetime = FIRST_DAY
    waiting: list[Person] = field(default_factory=list)
    gone: list[Person] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    attended: int = 0
    missed: int = 0
    urgent_days: list[int] = field(default_factory=list)
    open: list[Person] = field(default_factory=list)
    settled: dict[str, list[bool]] = field(default_factory=dict)
    left: list[tuple[int, int]] = field(default_factory=list)

    def run(self) -> "Service":
        for number in range(self.load.waiting_at_first):
            self._arrives(f"first-{number}", self._pace(), is_urgent=False)
        for day in range(WARM_UP_DAYS + YEAR_DAYS):
            self._day(day)
        return self

    def _day(self, day: int) -> None:
        self.now = FIRST_DAY + timedelta(days=day, hours=9)
        self._settle_promises()
        pace = self._pace()
        urgent = 0
        for number in range(_poisson(self.random, self.load.arrivals(day))):
            is_urgent = self.random.random() < self.load.urgent_share
            urgent += is_urgent
            self._arrives(f"{day}-{number}-{self.random.random()}", pace, is_urgent=is_urgent)
        self.urgent_days.append(urgent)
        if self.now.weekday() < 5:
            self._sessions(day)
        before = len(self.waiting)
        daily = 1 - (1 - self.load.leaving_weekly) ** (1 / 7)
        for person in [each for each in self.waiting if self.random.random() < daily]:
            person.left_at = self.now + timedelta(hours=10)
            self._goes(person)
        self.left.append((before - len(self.waiting), before))

    def _arrives(self, task_id: str, pace: Pace, *, is_urgent: bool) -> None:
        moment = self.now + timedelta(minutes=self.random.randrange(300))
        unable = {"morning"} if self.random.random() < self.load.unable_in_mornings_share else set()
        priority = "urgent" if is_urgent else "routine"
        queue: dict[str, int] = {}
        for each in self.waiting:
            queue[each.entry.priority] = queue.get(each.entry.priority, 0) + 1
        limits = data.urgency_classes()
        told = promise(queue_by_urgency(queue, limits), pace.weekly_starts, priority, moment, limits, pace)
        self.waiting.append(Person(Entry(task_id, priority, moment, unable=frozenset(unable)), told))
        self.open.append(self.waiting[-1])

    def _sessions(self, day: int) -> None:
        self.now = FIRST_DAY + timedelta(days=day) + SESSIONS_AT
        parameters = data.queue_parameters()
        for _ in range(self.load.places[self.now.weekday()]):
            asks = frozenset({"morning"} if self.random.random() < self.load.mornings_share else ())
            entries = tuple(each.entry for each in self.waiting)
            allocation = allocate(Opening(asks=asks), entries, self.now, parameters)
            if allocation.entry is None:
                continue
            self.given.append(Given(self.now, Opening(asks=asks), entries, allocation))
            if self.random.random() < self.load.missed_share:
                self.missed += 1  # they stay where they are in the queue, and are asked in again
                continue
            self.attended += 1
            self._begins(allocation)

    def _begins(self, allocation: Allocation) -> None:
        passed = {each.entry.task_id for each in allocation.overtaken}
        for person in list(self.waiting):
            if allocation.entry is not None and person.entry.task_id == allocation.entry.task_id:
                person.begun_at = self.now
                self._goes(person)
            elif person.entry.task_id in passed:
                person.entry = replace(person.entry, overtaken=person.entry.overtaken + 1)

    def _goes(self, person: Person) -> None:
        self.waiting.remove(person)
        self.gone.append(person)

    def _settle_promises(self) -> None:
        """Promises whose last day is over: kept or not, and those who still wait are among them."""
        over = [each for each in self.open if each.told.promised_by is not None and each.told.promised_by < self.now]
        for person in over:
            self.open.remove(person)
            bound = person.told.promised_by or self.now
            if person.left_at is None or person.left_at > bound:
                kept = person.begun_at is not None and person.begun_at <= bound
                self.settled.setdefault(person.entry.priority, []).append(kept)

    def _pace(self) -> Pace:
        """What the service knows this morning."""
        parameters = data.pace_parameters()
        calendar = [
            (
                FIRST_DAY + timedelta(days=day) + SESSIONS_AT,
                self.load.places[(FIRST_DAY + timedelta(days=day)).weekday()],
            )
            for day in range((self.now - FIRST_DAY).days, (self.now - FIRST_DAY).days + CALENDAR_DAYS)
            if (FIRST_DAY + timedelta(days=day)).weekday() < 5
        ]
        recent = self.urgent_days[-84:]
        gone, stayed = (sum(each[part] for each in self.left[-84:]) for part in (0, 1))
        return Pace(
            calendar=tuple(each for each in calendar if each[0] > self.now),
            calendar_until=calendar[-1][0],
            weekly_starts=float(sum(self.load.places)),
            attended_share=attended_share(self.attended, self.missed, parameters),
            arrivals_weekly={"urgent": 7 * sum(recent) / len(recent)} if recent else {},
            leaving_weekly=1 - (1 - gone / stayed) ** 7 if stayed else 0.0,
            upper_probability={
                each: working_probability(kept[-data.promises_looked_at() :], parameters)
                for each, kept in self.settled.items()
            },
            attended_of=self.attended + self.missed + parameters.no_show_prior_weight,
            arrivals_weeks=max(len(recent) / 7, 1),
        )

    def year(self) -> Sequence[Person]:
        """Who came after the warm-up, and is settled."""
        since = FIRST_DAY + timedelta(days=WARM_UP_DAYS)
        return [person for person in self.gone if person.entry.entered_at >= since]


def _poisson(random: Random, mean: float) -> int:
    """Knuth's method: multiply until below exp(-mean)."""
    limit, number, product = math.exp(-mean), 0, random.random()
    while product > limit:
        number, product = number + 1, product * random.random()
    return number
