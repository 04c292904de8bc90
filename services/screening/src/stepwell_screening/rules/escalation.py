"""When a safety Task is brought to whom: the steps of its ladder, who is on duty then, and the last resort.

Pure: the ladder, the site's roles and every time are passed in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from stepwell_screening.rules.safety_policy import Ladder, parse_ladder

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS_PARTS = frozenset({"days", "from", "to"})
MINUTES_PER_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Shift:
    """Weekdays (0 is Monday), and from when until when in minutes of the day; over midnight when it ends earlier."""

    days: frozenset[int]
    starts: int
    ends: int

    def covers(self, weekday: int, minute: int) -> bool:
        """Whether this minute of this day is in it; after midnight it is still the shift of the day before."""
        if self.starts < self.ends:
            return weekday in self.days and self.starts <= minute < self.ends
        since_yesterday = (weekday - 1) % 7 in self.days and minute < self.ends
        return since_yesterday or (weekday in self.days and minute >= self.starts)


@dataclass(frozen=True, slots=True)
class Role:
    """Somebody who can be told: a FHIR reference, and when they are on duty (no shifts: always)."""

    code: str
    display: str
    recipient: Mapping[str, Any]
    shifts: tuple[Shift, ...] = ()


@dataclass(frozen=True, slots=True)
class OnCall:
    """A site's roles in the order in which they are told, and the last resort; `ladders` are the site's own."""

    zone: tzinfo
    roles: tuple[Role, ...]
    last_resort: Role
    ladders: Mapping[str, Ladder]

    def on_duty(self, role: Role, moment: datetime) -> bool:
        """Whether a role is on duty at a moment."""
        local = moment.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        return not role.shifts or any(shift.covers(local.weekday(), minute) for shift in role.shifts)


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told at a step, and why it is they, where that must be said."""

    roles: tuple[Role, ...]
    remark: str = ""


def first_due(ladder: Ladder, opened: datetime, deadline: datetime) -> datetime:
    """When somebody is told for the first time: at the first step, or at the deadline if that is earlier."""
    if not ladder.after_minutes:
        return deadline
    return min(opened + _minutes(ladder.after_minutes[0]), deadline)


def next_due(ladder: Ladder, opened: datetime, deadline: datetime, step: int, now: datetime) -> datetime:
    """When somebody is told again after this step (0 is the first), never before `now`.

    A deadline that lies between is a step of its own, so that nothing is overdue unnoticed.
    """
    due = now + _minutes(ladder.then_every_minutes)
    if step + 1 < len(ladder.after_minutes):
        due = max(now, opened + _minutes(ladder.after_minutes[step + 1]))
    return deadline if now < deadline < due else due


def steps_due(ladder: Ladder, opened: datetime, now: datetime) -> int:
    """How many steps of the ladder itself have come by now."""
    return sum(opened + _minutes(minutes) <= now for minutes in ladder.after_minutes)


def told(on_call: OnCall, step: int, steps: int, now: datetime) -> Told:
    """Who is told at `step`, with all whom steps before `steps` would have told while nothing ran.

    When nobody is on duty the last resort is told at once, and so it is once every role has had its turn.
    """
    on_duty = [role for role in on_call.roles if on_call.on_duty(role, now)]
    if not on_duty:
        return Told((on_call.last_resort,), "Nobody is on call now, so this goes to the last resort at once.")
    turn = tuple(on_duty[step : max(steps, step + 1)])
    if step + len(turn) < max(steps, step + 1) or not turn:
        return Told((*turn, on_call.last_resort), "Everybody on call has been told before.")
    return Told(turn)


def parse_on_call(data: Mapping[str, Any]) -> OnCall:
    """Read who is on call; raises ValueError in words for whoever wrote it."""
    unknown = data.keys() - {"id", "version", "title", "note", "zone", "roles", "lastResort", "ladders"}
    if unknown:
        raise ValueError(f"not known: {', '.join(sorted(unknown))}")
    try:
        zone = UTC if data["zone"] == "UTC" else ZoneInfo(str(data["zone"]))
        roles = tuple(_role(each) for each in data["roles"])
        last_resort = _role(data["lastResort"])
        ladders = {str(name): parse_ladder(each) for name, each in data.get("ladders", {}).items()}
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is missing, or no time zone that is known here") from error
    except (TypeError, AttributeError) as error:
        raise ValueError("roles are a list of objects, lastResort and ladders are objects") from error
    if last_resort.shifts:
        raise ValueError("the last resort is always there: it takes no hours")
    codes = [role.code for role in (*roles, last_resort)]
    if len(codes) != len(set(codes)):
        raise ValueError("two roles have the same code")
    return OnCall(zone, roles, last_resort, ladders)


def _role(data: Mapping[str, Any]) -> Role:
    recipient = data["recipient"]
    if not isinstance(recipient, Mapping) or not recipient.keys() & {"reference", "identifier", "display"}:
        raise ValueError("a recipient is a FHIR Reference: reference, identifier or display")
    shifts: Sequence[Mapping[str, Any]] = data.get("hours", ())
    return Role(str(data["code"]), str(data["display"]), recipient, tuple(_shift(each) for each in shifts))


def _shift(data: Mapping[str, Any]) -> Shift:
    if data.keys() != HOURS_PARTS or not set(data["days"]) <= set(DAYS) or not data["days"]:
        raise ValueError(f"hours have days (of {', '.join(DAYS)}), from and to (HH:MM)")
    starts, ends = _minute(data["from"]), _minute(data["to"])
    return Shift(frozenset(DAYS.index(day) for day in data["days"]), starts, ends)


def _minute(text: object) -> int:
    hour, _, minute = str(text).partition(":")
    if not (hour.isdecimal() and minute.isdecimal()):
        raise ValueError("a time of day is HH:MM")
    found = int(hour) * 60 + int(minute)
    if int(minute) >= 60 or found > MINUTES_PER_DAY:
        raise ValueError("a time of day is HH:MM, from 00:00 to 24:00")
    return found


def _minutes(number: object) -> timedelta:
    return timedelta(minutes=float(str(number)))
