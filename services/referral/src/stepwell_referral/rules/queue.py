"""Who is next at a service: clinical priority first, then waiting and fairness, and a reason whenever somebody who came
later begins first. Position is computed, never kept."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class QueueParameters:
    """The numbers of queue.toml. Points by FHIR request priority; ageing and fairness with their maxima; the longest
    wait by FHIR request priority."""

    priority_points: Mapping[str, float]
    ageing_full_wait: float
    ageing_maximum: float
    ageing_target_share: float
    overtaken_points: float
    overtaken_maximum: float
    maximum_wait: Mapping[str, timedelta]


@dataclass(frozen=True, slots=True)
class Entry:
    """One person in a queue. `entered_at` is when they first asked, at whichever service: waiting goes along with
    a transfer. `subgroups` are the groups to which they belong, `unable` the fits that they cannot make use of,
    `overtaken` how often somebody who came later began first."""

    task_id: str
    priority: str
    entered_at: datetime
    subgroups: frozenset[str] = frozenset()
    unable: frozenset[str] = frozenset()
    paused: bool = False
    overtaken: int = 0


@dataclass(frozen=True, slots=True)
class Opening:
    """A place to give: whom it is for (empty: everybody), and what it asks of who takes it, such as `telehealth`
    or `morning`."""

    subgroups: frozenset[str] = frozenset()
    asks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry with its position from 1. `rule` says what puts it before the next one, and breaks a tie openly."""

    entry: Entry
    position: int
    points: float
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Overtaking:
    """Somebody who came first and is passed, and the code of the reason."""

    entry: Entry
    rule: str


@dataclass(frozen=True, slots=True)
class Allocation:
    """Who gets an opening, and who is passed by that. Outcome is `given` or `nobody-fits`."""

    outcome: str
    reason: str
    rule: str
    entry: Entry | None = None
    overtaken: tuple[Overtaking, ...] = ()


@dataclass(frozen=True, slots=True)
class Unexplained:
    """Booking somebody would pass people without a reason that the rule can find; `people` says how many."""

    reason: str
    people: int
    rule: str = "QUEUE-ORDER"
    outcome: str = "refused"


@dataclass(frozen=True, slots=True)
class _Keyed:
    points: float
    entry: Entry = field(compare=False)


def points_of(entry: Entry, now: datetime, parameters: QueueParameters) -> float:
    """Points of clinical priority, of ageing and of fairness together. Raises ValueError for an unknown priority."""
    if entry.priority not in parameters.priority_points:
        raise ValueError("the queue knows no such request priority")
    ageing = _ageing(entry, now, parameters)
    fairness = min(parameters.overtaken_points * entry.overtaken, parameters.overtaken_maximum)
    return parameters.priority_points[entry.priority] + ageing + fairness


def waited_share(entry: Entry, now: datetime, parameters: QueueParameters) -> float:
    """How much of the class's longest wait is over; 1 is its end."""
    waited = max(now - entry.entered_at, timedelta(0))
    return waited / parameters.maximum_wait[entry.priority]


def ordered(entries: Iterable[Entry], now: datetime, parameters: QueueParameters) -> list[Placed]:
    """The queue, the next one first. Equal points: who came first; at the same moment: the id, which nobody chooses."""
    keyed = sorted(
        (_Keyed(points_of(entry, now, parameters), entry) for entry in entries),
        key=lambda each: (-each.points, each.entry.entered_at, each.entry.task_id),
    )
    placed = []
    for position, each in enumerate(keyed, start=1):
        after = keyed[position] if position < len(keyed) else None
        rule, reason = _why_before(each, after, now, parameters)
        placed.append(Placed(each.entry, position, round(each.points, 3), rule, reason))
    return placed


def position_of(task_id: str, entries: Iterable[Entry], now: datetime, parameters: QueueParameters) -> Placed | None:
    """Where a referral stands, or None when it is not in the queue."""
    return next((each for each in ordered(entries, now, parameters) if each.entry.task_id == task_id), None)


def allocate(opening: Opening, entries: Sequence[Entry], now: datetime, parameters: QueueParameters) -> Allocation:
    """Gives an opening to the first who fits it; everybody who came before that person and is passed has a reason."""
    for placed in ordered(entries, now, parameters):
        if misfit(placed.entry, opening) is None:
            passed = overtaken_by(placed.entry, opening, entries, now, parameters)
            assert not isinstance(passed, Unexplained), "the order itself is a reason"
            return Allocation("given", placed.reason, placed.rule, placed.entry, passed)
    return Allocation("nobody-fits", "Nobody who waits can make use of this place.", "QUEUE-NOBODY-FITS")


def overtaken_by(
    chosen: Entry, opening: Opening, entries: Sequence[Entry], now: datetime, parameters: QueueParameters
) -> tuple[Overtaking, ...] | Unexplained:
    """Everybody who would be passed if `chosen` took the opening, each with a reason; Unexplained when the order says
    that others who fit are next.

    Passed is who came first and stays, and who stands before in the order and stays.
    """
    order = {placed.entry.task_id: placed.position for placed in ordered([*entries, chosen], now, parameters)}
    passed, unexplained = [], 0
    for entry in entries:
        came_first = (entry.entered_at, entry.task_id) < (chosen.entered_at, chosen.task_id)
        stands_before = order[entry.task_id] < order[chosen.task_id]
        if entry.task_id == chosen.task_id or not (came_first or stands_before):
            continue
        rule = misfit(entry, opening)
        if rule is None and stands_before:
            unexplained += 1
        else:
            passed.append(Overtaking(entry, rule or _why_later_goes_first(chosen, entry, now, parameters)))
    if unexplained:
        return Unexplained("Others who can make use of this place are before in the queue.", unexplained)
    return tuple(passed)


def misfit(entry: Entry, opening: Opening) -> str | None:
    """Why somebody cannot take an opening, as a code, or None when they can."""
    if entry.paused:
        return "QUEUE-PAUSED"
    if opening.subgroups and not opening.subgroups & entry.subgroups:
        return "QUEUE-SUBGROUP"
    if opening.asks & entry.unable:
        return "QUEUE-SLOT-FIT"
    return None


def _why_later_goes_first(later: Entry, earlier: Entry, now: datetime, parameters: QueueParameters) -> str:
    """What gives more points to somebody who came later than to one who came first."""
    points = parameters.priority_points
    if points[later.priority] > points[earlier.priority]:
        return "QUEUE-URGENCY"
    if _ageing(later, now, parameters) > _ageing(earlier, now, parameters):
        return "QUEUE-AGEING"
    return "QUEUE-FAIRNESS"


def _ageing(entry: Entry, now: datetime, parameters: QueueParameters) -> float:
    return min(parameters.ageing_full_wait * waited_share(entry, now, parameters), parameters.ageing_maximum)


def _why_before(each: _Keyed, after: _Keyed | None, now: datetime, parameters: QueueParameters) -> tuple[str, str]:
    if after is None:
        return "QUEUE-LAST", "nobody stands behind"
    first, second = each.entry, after.entry
    if each.points == after.points:
        if first.entered_at != second.entered_at:
            return "QUEUE-TIE-ENTERED", "equal points: who came first is first"
        return "QUEUE-TIE-DRAW", "equal points and the same moment: decided by an id that nobody chooses"
    if parameters.priority_points[first.priority] != parameters.priority_points[second.priority]:
        return "QUEUE-URGENCY", "more urgent need"
    if _ageing(first, now, parameters) > _ageing(second, now, parameters):
        near = waited_share(first, now, parameters) >= parameters.ageing_target_share
        return "QUEUE-AGEING", "near the longest wait of the class" if near else "has waited longer"
    return "QUEUE-FAIRNESS", "was passed more often before"
