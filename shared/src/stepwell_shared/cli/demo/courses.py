"""A course of care: when somebody was referred, waited, came and did not come, what they answered, and how it ended.

Drawn in one fixed order from one stream, so that one person's course depends on nobody else.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from stepwell_shared.cli.demo.drawing import Draw
from stepwell_shared.cli.demo.numbers import TIERS, CourseKind, Numbers

# Items of each form with the most points of one; the ninth of the PHQ-9 is about safety and is answered apart.
ITEMS = {"phq-9": (9, 3), "gad-7": (7, 3), "phq-15": (15, 2), "peg": (3, 10), "experience": (3, 4)}
SAFETY_FORM, SAFETY_ITEM = "phq-9", 8
OPENS_AT_HOUR, OPEN_HOURS = 8, 9
UNCHANGED = frozenset({"steady", "worsens"})


class Ending(StrEnum):
    """How a course stands at the end of the years."""

    WAITING = "waiting"
    NEVER_BEGAN = "never-began"
    OPEN = "open"
    LEFT = "left"
    COMPLETED = "completed"


class Attendance(StrEnum):
    """What became of a contact, as the status of its Appointment."""

    ATTENDED = "fulfilled"
    MISSED = "noshow"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Answers:
    """One form filled in; `weights` are the points of its items in order."""

    form: str
    given_at: datetime
    weights: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Contact:
    """One appointed contact."""

    at: datetime
    attendance: Attendance


@dataclass(frozen=True, slots=True)
class Use:
    """One use of other care: an emergency visit or an admission."""

    kind: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Course:
    """One course of care. `steps` are the tiers in order with the moment from which each holds."""

    pathway: str
    referred_at: datetime
    wait_days: int
    steps: tuple[tuple[datetime, str], ...]
    kind: str
    ending: Ending
    began_at: datetime | None
    ended_at: datetime | None
    contacts: tuple[Contact, ...]
    answers: tuple[Answers, ...]
    uses: tuple[Use, ...]

    @property
    def tier(self) -> str:
        """The tier that the person was referred to."""
        return self.steps[0][1]


@dataclass(frozen=True, slots=True)
class Around:
    """What of a person's surroundings bears on their course."""

    pathway: str
    rural: bool
    most_deprived: bool


def course_of(draw: Draw, table: Numbers, referred: date, around: Around, last_day: date) -> Course:
    """One person's course from the day of the referral; nothing is later than the last day."""
    until = datetime.combine(last_day + timedelta(days=1), time(), UTC)
    return _Drawing(draw, table, around, until).course(referred)


@dataclass
class _Drawing:
    """One course while it is drawn."""

    draw: Draw
    table: Numbers
    around: Around
    until: datetime
    tier: str = field(init=False)
    kind: CourseKind = field(init=False)

    def course(self, referred: date) -> Course:
        draw, table = self.draw, self.table
        self.tier, self.kind = draw.one_of(table.tiers), draw.one_of(table.courses)
        measures, referred_at, wait = draw.one_of(table.measures), self._at_work(referred), self._wait_days()
        planned = self._planned_ending(measures)
        contacts = [] if planned is Ending.NEVER_BEGAN else list(self._contacts(referred + timedelta(wait), measures))
        seen = [each for each in contacts if each.at < self.until]
        attended = [each.at for each in seen if each.attendance is Attendance.ATTENDED]
        ending = self._ending(planned, is_cut=len(seen) < len(contacts), has_begun=bool(attended))
        ended_at = attended[-1] if attended else referred_at + timedelta(days=table.endings["never_began_after_days"])
        if ended_at >= self.until and ending is Ending.NEVER_BEGAN:
            ending = Ending.WAITING
        has_ended = ending not in {Ending.WAITING, Ending.OPEN}
        answers = self._answers(referred_at, attended, measures, planned, ended_at if has_ended else None)
        return Course(
            pathway=self.around.pathway,
            referred_at=referred_at,
            wait_days=wait,
            steps=tuple(self._steps(referred_at, attended)),
            kind=self.kind.name,
            ending=ending,
            began_at=attended[0] if attended else None,
            ended_at=ended_at if has_ended else None,
            contacts=tuple(seen),
            answers=tuple(each for each in answers if each.given_at < self.until),
            uses=tuple(self._uses(referred_at)),
        )

    def _at_work(self, day: date) -> datetime:
        """Some minute of the working hours of a day."""
        minutes = self.draw.whole(0, OPEN_HOURS * 60 - 1)
        return datetime.combine(day, time(OPENS_AT_HOUR), UTC) + timedelta(minutes=minutes)

    def _wait_days(self) -> int:
        given = self.table.wait
        factor: float = {TIERS[0]: given["tier_1_factor"], TIERS[3]: given["urgent_tier_4_factor"]}.get(self.tier, 1.0)
        factor *= given["rural_factor"] if self.around.rural else 1.0
        days = self.draw.log_normal(self.table.wait_location, self.table.wait_spread) * factor
        return max(1, round(days))

    def _planned_ending(self, measures: int) -> Ending:
        """How it would end if the years did not."""
        if measures == 1:
            return Ending.NEVER_BEGAN if self.draw.chance(self.table.endings["never_began"]) else Ending.LEFT
        return Ending.LEFT if self.draw.chance(self.table.endings["left_early"]) else Ending.COMPLETED

    def _ending(self, planned: Ending, *, is_cut: bool, has_begun: bool) -> Ending:
        if planned is Ending.NEVER_BEGAN:
            return planned
        if not has_begun:
            return Ending.WAITING if is_cut else Ending.NEVER_BEGAN
        return Ending.OPEN if is_cut else planned

    def _contacts(self, first: date, measures: int) -> Iterator[Contact]:
        """Contacts until the last measure; the first that takes place begins care."""
        given = self.table.contacts
        between = given["tier_4_days_between" if self.tier == TIERS[3] else "days_between"]
        count = 1 + (measures - 1) * self.table.weeks_between * 7 // between
        missed = given["missed"] * (given["missed_factor_most_deprived"] if self.around.most_deprived else 1.0)
        day = first
        for _ in range(count):
            attendance = Attendance.ATTENDED
            if self.draw.chance(missed):
                attendance = Attendance.MISSED
            elif self.draw.chance(given["cancelled"]):
                attendance = Attendance.CANCELLED
            yield Contact(self._at_work(day), attendance)
            day += timedelta(days=between + self.draw.whole(0, given["gap_days_max"]))

    def _answers(
        self,
        referred_at: datetime,
        attended: Sequence[datetime],
        measures: int,
        planned: Ending,
        ended_at: datetime | None,
    ) -> Iterator[Answers]:
        """Two forms at each measure: at the referral, and every few weeks from the first contact on."""
        draw, table = self.draw, self.table
        known_by, beside = table.forms[self.around.pathway]
        lighter = TIERS[max(0, TIERS.index(self.tier) - draw.chance(table.lighter_beside_share))]
        first = (self._baseline(known_by, self.tier), self._baseline(beside, lighter))
        ends = (self._end(self.kind), self._end(self.kind if draw.chance(table.change["same_beside_share"]) else None))
        is_positive = draw.chance(table.safety[self.tier])
        moments = [referred_at, *self._later(attended, measures)]
        planned_last = measures - 1 + (table.change["unfinished_measures"] if planned is Ending.LEFT else 0)
        for place, moment in enumerate(moments):
            way = math.log(1 + place * table.weeks_between) / math.log(1 + max(1, planned_last) * table.weeks_between)
            for form, start, end in zip((known_by, beside), first, ends, strict=True):
                total = self._points(form, start * (1 + (end - 1) * way), place)
                yield Answers(form, moment, self._weights(form, total, is_positive=is_positive and place == 0))
        if ended_at is not None and planned is Ending.COMPLETED and attended:
            yield from self._afterwards(ended_at, (known_by, beside), first)

    def _afterwards(self, ended_at: datetime, forms: Sequence[str], first: Sequence[int]) -> Iterator[Answers]:
        """What people thought of it, and for some who recovered a setback."""
        draw, table = self.draw, self.table
        if draw.chance(table.experience["answered"]):
            lowest, highest = (3, 4) if draw.chance(table.experience["good"]) else (0, 2)
            weights = tuple(draw.whole(lowest, highest) for _ in range(ITEMS["experience"][0]))
            yield Answers("experience", ended_at + timedelta(hours=2), weights)
        if self.kind.name == table.relapse["of"] and draw.chance(table.relapse["share"]):
            moment = ended_at + timedelta(weeks=table.relapse["weeks_after"])
            for form, start in zip(forms, first, strict=True):
                yield Answers(form, moment, self._weights(form, self._points(form, start, 1)))

    def _later(self, attended: Sequence[datetime], measures: int) -> Iterator[datetime]:
        """The moments of the measures after the first; who never came has none."""
        for place in range(1, measures if attended else 1):
            yield attended[0] + timedelta(weeks=place * self.table.weeks_between, minutes=-30)

    def _baseline(self, form: str, tier: str) -> int:
        return self.draw.whole(*self.table.baselines[form][tier])

    def _end(self, kind: CourseKind | None) -> float:
        """The share of the first score that is left; without a kind it stays as it was."""
        return 1.0 if kind is None else self.draw.between(*kind.end)

    def _points(self, form: str, expected: float, place: int) -> int:
        """Points that somebody can have, with a little chance after the first measure."""
        chance = self.table.change["chance_points"] if place else 0
        items, most = ITEMS[form]
        highest = most * (items - (form == SAFETY_FORM))
        return min(max(round(expected) + self.draw.whole(-chance, chance), 0), highest)

    def _weights(self, form: str, total: int, *, is_positive: bool = False) -> tuple[int, ...]:
        """The points of the items, as even as they can be; a ninth item of the PHQ-9 from 1 only where it is meant."""
        items, _ = ITEMS[form]
        if form != SAFETY_FORM:
            return self._spread(total, items)
        safety = 1 if is_positive and total else 0
        return (*self._spread(total - safety, SAFETY_ITEM), safety)

    def _spread(self, total: int, items: int) -> tuple[int, ...]:
        each, more = divmod(total, items)
        offset = self.draw.whole(0, items - 1)
        return tuple(each + ((item + offset) % items < more) for item in range(items))

    def _steps(self, referred_at: datetime, attended: Sequence[datetime]) -> Iterator[tuple[datetime, str]]:
        """The tier of the referral, and for a few another one from some contact on."""
        yield referred_at, self.tier
        given, place = self.table.steps, TIERS.index(self.tier)
        moves_up, moves_down = self.draw.chance(given["up_share"]), self.draw.chance(given["down_share"])
        if len(attended) < given["at_contact"]:
            return
        moment = attended[int(given["at_contact"]) - 1]
        if self.kind.name in UNCHANGED and place < 2 and moves_up:
            yield moment, TIERS[place + 1]
        elif self.kind.name not in UNCHANGED and place > 0 and moves_down:
            yield moment, TIERS[place - 1]

    def _uses(self, referred_at: datetime) -> Iterator[Use]:
        """Emergency visits and admissions in the year before the referral and in the year after."""
        given = self.table.utilisation
        for kind in ("emergency-visit", "admission"):
            before = self.draw.chance(given[f"{kind}_before"])
            days, later_days = self.draw.whole(1, 364), self.draw.whole(1, 364)
            after = self.draw.chance(given[f"{kind}_after_factor"])
            if before:
                yield Use(kind, referred_at - timedelta(days=days))
            if before and after and (moment := referred_at + timedelta(days=later_days)) < self.until:
                yield Use(kind, moment)
