"""What figures are counted from: the facts of one person's care as rows, the same in whatever order they became known.

Terms and denominators are those of the NHS pathway (clinical.md section 4): a wait ends with the first contact, a
course is finished with its discharge, what is not known of somebody stays unknown.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from stepwell_measurement.rules.care import Episode, care_of
from stepwell_measurement.rules.gains import Direction, directions
from stepwell_measurement.rules.outcome import CourseOutcome, MeasureOutcome, course_outcome
from stepwell_measurement.rules.reliable_change import Score
from stepwell_measurement.rules.trajectory import Trajectory, TrajectoryParameters, trajectory

MOOD, ANXIETY = "44261-6", "70274-6"
"""The scores of PHQ-9 and GAD-7: the two measures that the NHS pathway judges a course by."""

NOT_RECORDED = "not-recorded"
YEAR = timedelta(days=365)
"""How long before and after the start of care its use is compared."""


class Kind(StrEnum):
    """What a fact is about."""

    REFERRAL = "referral"
    APPOINTMENT = "appointment"
    EPISODE = "episode"
    STEP = "step"
    SATISFACTION = "satisfaction"
    COST = "cost"
    USE = "use"


class Attendance(StrEnum):
    """What became of an appointment."""

    ATTENDED = "attended"
    NOT_ATTENDED = "not-attended"
    CANCELLED_BY_PERSON = "cancelled-by-person"
    CANCELLED_BY_SERVICE = "cancelled-by-service"


class Move(StrEnum):
    """Which way somebody left a tier."""

    UP = "up"
    DOWN = "down"
    SAME = "same"
    ENDED = "ended"


VOID = frozenset({"entered-in-error", "draft", "planned", "waitlist", "void"})
"""The states in which a fact is none: taken back as an error, not asked for yet, or not begun."""

LEFT = frozenset({"rejected", "cancelled", "failed", "completed"})
"""The states of a referral after which nothing begins any more."""


class Fact(NamedTuple):
    """One fact as its newest version has it. What its fields mean depends on its kind:

    referral: `at` asked, `begun_at` care began, `ended_at` closed (`status` says how), `what` the tier, `about` the
    request, `path` the pathway; appointment: `at` when it was, `status` its attendance, `about` the request; episode:
    `at` its start, `ended_at` its end, `path` the pathway; step: `at` entered, `what` the tier, `about` the episode;
    satisfaction, cost and use: `at` when, `amount` how much.
    """

    kind: str
    source: str
    status: str
    at: datetime | None
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    what: str | None = None
    about: str | None = None
    path: str | None = None
    amount: float | None = None


class Person(NamedTuple):
    """Where somebody belongs. The band of age follows from `born` and the day on which something is counted."""

    practice: str = NOT_RECORDED
    born: date | None = None
    sex: str = NOT_RECORDED
    language: str = NOT_RECORDED
    ethnicity: str = NOT_RECORDED
    deprivation: str = NOT_RECORDED
    rurality: str = NOT_RECORDED


NOBODY_KNOWN = Person()

Row = tuple[object, ...]
"""The columns of a counted row: its item, those of `Person` with the band of age, tier, pathway, what is counted."""


_HELD_ON = -2


class Rows(NamedTuple):
    """The rows of one person by table, each in the order of the table's columns."""

    care_referral: list[Row]
    care_contact: list[Row]
    care_course: list[Row]
    care_step: list[Row]

    @property
    def days_attended(self) -> list[date]:
        """The days on which the person came to an appointment, in order."""
        days = {row[_HELD_ON] for row in self.care_contact if row[-1] == Attendance.ATTENDED}
        return sorted(day for day in days if isinstance(day, date))


class _Stay(NamedTuple):
    item: str
    episode: str
    tier: str
    entered_at: datetime
    left_at: datetime | None
    move: Move | None


def counted_rows(
    facts: Iterable[Fact],
    scores: Mapping[str, Sequence[Score]],
    person: Person,
    parameters: Mapping[str, TrajectoryParameters],
    age_starts: Sequence[int],
) -> Rows:
    """All rows of one person; facts that do not stand are left out.

    `scores` are those of each instrument by code, `parameters` what they mean; bands of age begin at `age_starts`.
    """
    standing = [fact for fact in facts if fact.status not in VOID and fact.at is not None]
    of_kind = {kind: sorted(each for each in standing if each.kind == kind) for kind in Kind}
    record = _Record(of_kind, scores, person, parameters, age_starts)
    return Rows(record.referrals(), record.contacts(), record.courses(), record.steps())


class _Record:
    """One person's facts by kind."""

    def __init__(
        self,
        facts: Mapping[Kind, Sequence[Fact]],
        scores: Mapping[str, Sequence[Score]],
        person: Person,
        parameters: Mapping[str, TrajectoryParameters],
        age_starts: Sequence[int],
    ) -> None:
        self._facts, self._scores, self._person, self._parameters = facts, scores, person, parameters
        self._age_starts = age_starts
        self._tiers = {each.about: each.what for each in facts[Kind.REFERRAL] if each.about and each.what}
        self._paths = {each.about: each.path for each in facts[Kind.REFERRAL] if each.about and each.path}
        self._attended = [each for each in facts[Kind.APPOINTMENT] if each.status == Attendance.ATTENDED]
        self._stays = self._all_stays()

    def referrals(self) -> list[Row]:
        """One row for each request: places that said no and the one that said yes are one wait."""
        found: dict[str, list[Fact]] = {}
        for fact in self._facts[Kind.REFERRAL]:
            found.setdefault(fact.about or fact.source, []).append(fact)
        return [self._referral(request, facts) for request, facts in sorted(found.items())]

    def _referral(self, request: str, facts: Sequence[Fact]) -> Row:
        asked_at = min(_moment(fact) for fact in facts)
        tier = next((fact.what for fact in facts if fact.what), None) or self._tier_at(asked_at)
        pathway = next((fact.path for fact in facts if fact.path), None) or self._pathway_at(asked_at)
        begun = [fact.begun_at for fact in facts if fact.begun_at is not None]
        days = sorted({_moment(each).date() for each in self._attended if each.about == request})
        if begun and (not days or min(begun).date() < days[0]):
            days.insert(0, min(begun).date())
        ends = [fact.ended_at for fact in facts if fact.status in LEFT and fact.ended_at is not None]
        has_left = not days and len(ends) == len(facts)
        first, second = (*days, None, None)[:2]
        asked_on = min(asked_at.date(), first or asked_at.date())
        return (
            *(request, *self._who(asked_on), tier, pathway, asked_on, first, second),
            max(ends).date() if has_left else None,
        )

    def contacts(self) -> list[Row]:
        """One row for each appointment that is over."""
        return [self._contact(each) for each in self._facts[Kind.APPOINTMENT]]

    def _contact(self, fact: Fact) -> Row:
        at = _moment(fact)
        tier = self._tiers.get(fact.about or "") or self._tier_at(at)
        pathway = self._paths.get(fact.about or "") or self._pathway_at(at)
        return (fact.source, *self._who(at.date()), tier, pathway, at.date(), fact.status)

    def steps(self) -> list[Row]:
        """One row for each stay in a tier."""
        paths = {each.source: each.path or NOT_RECORDED for each in self._facts[Kind.EPISODE]}
        return [
            (
                *(stay.item, *self._who(stay.entered_at.date()), stay.tier, paths.get(stay.episode, NOT_RECORDED)),
                stay.entered_at.date(),
                *(stay.left_at.date() if stay.left_at else None, stay.move.value if stay.move else None),
            )
            for stay in self._stays
        ]

    def _all_stays(self) -> list[_Stay]:
        found = []
        for episode in self._facts[Kind.EPISODE]:
            entered = sorted(
                (each for each in self._facts[Kind.STEP] if each.about == episode.source),
                key=_moment,
            )
            for step, following in pairwise([*entered, None]):
                if step is not None:
                    found.append(_stay(step, following, episode))
        return found

    def courses(self) -> list[Row]:
        """One row for each episode of care that began."""
        given = [each for each in self._facts[Kind.EPISODE] if each.status != "cancelled"]
        return [self._course(place, given) for place in range(len(given))]

    def _course(self, place: int, given: Sequence[Fact]) -> Row:
        episode = given[place]
        start, end = _moment(episode), episode.ended_at
        following = min((_moment(each) for each in given if _moment(each) > start), default=None)
        paths = self._paths_until(given, start, end)
        mood, anxiety = paths.get(MOOD), paths.get(ANXIETY)
        outcome = course_outcome(_measure(mood), _measure(anxiety))
        function = [(self._parameters[code].domain, path) for code, path in paths.items() if path.count > 1]
        tiers = [stay.tier for stay in self._stays if stay.episode == episode.source]
        return (
            *(episode.source, *self._who(start.date()), tiers[-1] if tiers else NOT_RECORDED),
            episode.path or NOT_RECORDED,
            *(start.date(), end.date() if end else None),
            sum(start.date() <= _moment(each).date() and _not_after(each, end) for each in self._attended),
            *_outcomes(outcome),
            *_instrument(mood),
            *_instrument(anxiety),
            _better(directions(function)[0]),
            self._satisfaction(start, following),
            self._cost(start, end),
            *self._use(start),
        )

    def _paths_until(self, given: Sequence[Fact], start: datetime, end: datetime | None) -> dict[str, Trajectory]:
        """The trajectory on each instrument as it was when care ended: the scores since care last ended before."""
        ends = care_of(Episode(_moment(each), each.ended_at) for each in given).ended
        since = max((each for each in ends if each <= start), default=None)
        found = {}
        for code, scores in self._scores.items():
            own = [
                score
                for score in scores
                if (since is None or score.effective > since) and (end is None or score.effective <= end)
            ]
            path = trajectory(self._parameters[code], own) if code in self._parameters else None
            if path is not None:
                found[code] = path
        return found

    def _satisfaction(self, start: datetime, following: datetime | None) -> float | None:
        """What was said last, from the start of this course to that of the next one."""
        said = [
            each
            for each in self._facts[Kind.SATISFACTION]
            if start <= _moment(each) and (following is None or _moment(each) < following)
        ]
        return max(said, key=lambda each: (_moment(each), each.source)).amount if said else None

    def _cost(self, start: datetime, end: datetime | None) -> float | None:
        """What was spent in this course; None where nothing was posted."""
        own = [
            each.amount or 0.0
            for each in self._facts[Kind.COST]
            if start.date() <= _moment(each).date() and _not_after(each, end)
        ]
        return sum(own) if own else None

    def _use(self, start: datetime) -> tuple[int, int]:
        """Visits to emergency departments and admissions in the year before and the year after the start."""
        before = after = 0
        for each in self._facts[Kind.USE]:
            count = round(each.amount if each.amount is not None else 1)
            if start - YEAR <= _moment(each) < start:
                before += count
            elif start <= _moment(each) < start + YEAR:
                after += count
        return before, after

    def _who(self, day: date) -> Row:
        """Where the person belongs, with the band of age on that day."""
        person = self._person
        return (person.practice, age_band(person.born, day, self._age_starts), *person[2:])

    def _tier_at(self, at: datetime) -> str:
        stay = max((each for each in self._stays if each.entered_at <= at), key=lambda s: s.entered_at, default=None)
        return stay.tier if stay is not None else NOT_RECORDED

    def _pathway_at(self, at: datetime) -> str:
        """That of the episode which began last before, else of the first one after."""
        episodes = sorted(self._facts[Kind.EPISODE], key=_moment)
        before = [each for each in episodes if _moment(each) <= at]
        found = before[-1] if before else (episodes[0] if episodes else None)
        return (found.path if found is not None else None) or NOT_RECORDED


def age_band(born: date | None, day: date, starts: Sequence[int]) -> str:
    """The band of age of somebody on a day; `starts` rise."""
    if born is None:
        return NOT_RECORDED
    age = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    place = bisect_right(starts, age)
    if place == 0:
        return NOT_RECORDED
    return f"{starts[place - 1]}-{starts[place] - 1}" if place < len(starts) else f"{starts[-1]}+"


def _stay(step: Fact, following: Fact | None, episode: Fact) -> _Stay:
    left_at = _moment(following) if following is not None else episode.ended_at
    move = None
    if following is not None:
        tier, other = step.what or "", following.what or ""
        move = Move.SAME if tier == other else Move.UP if other > tier else Move.DOWN
    elif episode.ended_at is not None:
        move = Move.ENDED
    entered_at = _moment(step)
    if left_at is not None:
        left_at = max(left_at, entered_at)
    return _Stay(step.source, episode.source, step.what or NOT_RECORDED, entered_at, left_at, move)


def _moment(fact: Fact) -> datetime:
    assert fact.at is not None, "facts without a moment are left out"
    return fact.at


def _not_after(fact: Fact, end: datetime | None) -> bool:
    return end is None or _moment(fact).date() <= end.date()


def _measure(path: Trajectory | None) -> MeasureOutcome | None:
    if path is None or path.count < 2:
        return None
    return MeasureOutcome(path.case_at_baseline, path.case_now, path.reliable_change.outcome)


def _outcomes(outcome: CourseOutcome) -> Row:
    return (
        *(outcome.case_at_start, outcome.recovery, outcome.reliable_improvement),
        *(outcome.reliable_deterioration, outcome.reliable_recovery),
    )


def _instrument(path: Trajectory | None) -> Row:
    """Whether somebody was a case at first, and whether they responded and remitted, where they were asked again."""
    if path is None:
        return (None, None, None)
    again = path.count > 1
    return (path.case_at_baseline, path.response if again else None, path.remission if again else None)


def _better(direction: Direction) -> bool | None:
    return None if direction is Direction.UNKNOWN else direction is Direction.BETTER
