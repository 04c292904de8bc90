"""Who gets which place of a slot, what may become of an Appointment, and what follows when somebody does not come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

STATUSES = (
    "proposed", "pending", "booked", "arrived", "fulfilled", "cancelled", "noshow", "entered-in-error", "checked-in",
    "waitlist",
)  # fmt: skip
# Whoever is here has a place that is theirs.
HOLDING = frozenset({"pending", "booked", "arrived", "checked-in", "fulfilled", "noshow"})
GIVES_BACK = frozenset({"cancelled", "entered-in-error"})
TERMINAL = frozenset({"fulfilled", "cancelled", "noshow", "entered-in-error"})
INITIAL = ("booked", "pending", "proposed", "waitlist")

# Appointment states in R4: https://hl7.org/fhir/R4/appointment.html#statuses; who has not come can still arrive late.
TABLE: dict[str, tuple[str, ...]] = {
    "proposed": ("booked", "cancelled", "entered-in-error", "pending"),
    "waitlist": ("booked", "cancelled", "entered-in-error", "pending"),
    "pending": ("booked", "cancelled", "entered-in-error"),
    "booked": ("arrived", "cancelled", "checked-in", "entered-in-error", "fulfilled", "noshow"),
    "checked-in": ("arrived", "cancelled", "entered-in-error", "fulfilled", "noshow"),
    "arrived": ("cancelled", "entered-in-error", "fulfilled"),
    "noshow": ("arrived", "entered-in-error"),
}


class Claim(NamedTuple):
    """One place of a slot and the Appointment that has it; with `held_until` only until then."""

    place: int
    appointment_id: str
    person: str
    held_until: datetime | None

    def has_lapsed(self, now: datetime) -> bool:
        """Whether it was held and the time is over."""
        return self.held_until is not None and self.held_until <= now


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is not possible, why, and what is instead."""

    reason: str
    rule: str
    allowed: tuple[str, ...] = ()
    outcome: str = "refused"


@dataclass(frozen=True, slots=True)
class Taken:
    """The place that somebody gets; `lapsed` are the holds that it ends, `free` how many places are left then."""

    place: int
    free: int
    lapsed: tuple[Claim, ...]
    outcome: str = "taken"
    rule: str = "BOOK-PLACE"
    reason: str = "This place is free."


@dataclass(frozen=True, slots=True)
class Missed:
    """What a missed appointment leads to: somebody asks how the person is. It never ends care."""

    due_by: datetime
    outcome: str = "outreach"
    rule: str = "BOOK-OUTREACH"
    reason: str = "Somebody asks how the person is and what was in the way; the referral stays as it is."


def check_move(before: str | None, after: str) -> Refusal | None:
    """None when an Appointment may go from `before` (None: it is new) to `after`; else why not and where it may go."""
    allowed = INITIAL if before is None else TABLE.get(before, ())
    if before == after or after in allowed:
        return None
    if before in TERMINAL and not allowed:
        return Refusal(f"An Appointment that is {before} is over; make a new one.", "BOOK-TERMINAL")
    return Refusal(f"An Appointment cannot go from {before or 'nothing'} to {after}.", "BOOK-TRANSITION", allowed)


def take_place(
    claims: Sequence[Claim], places: int, person: str, appointment_id: str, now: datetime
) -> Taken | Refusal:
    """The lowest place that is free, or the one that this Appointment has already; holds that have lapsed are free.

    Raises nothing: Refusal with BOOK-FULL, BOOK-TWICE (the person has another place of this slot) or BOOK-LAPSED (this
    Appointment's own hold is over).
    """
    live = [claim for claim in claims if not claim.has_lapsed(now)]
    lapsed = tuple(claim for claim in claims if claim.has_lapsed(now))
    own = next((claim for claim in claims if claim.appointment_id == appointment_id), None)
    if own is not None and own.has_lapsed(now):
        return Refusal("The time for which this place was held is over.", "BOOK-LAPSED")
    if own is not None:
        return Taken(own.place, places - len(live), lapsed)
    if any(claim.person == person for claim in live):
        return Refusal("This person has a place of this slot already.", "BOOK-TWICE")
    used = {claim.place for claim in live}
    free = [place for place in range(1, places + 1) if place not in used]
    if not free:
        return Refusal("This time is taken.", "BOOK-FULL")
    return Taken(free[0], len(free) - 1, lapsed)


def free_places(claims: Sequence[Claim], places: int, now: datetime) -> int:
    """How many places of a slot are free now, by the clock."""
    return max(places - sum(not claim.has_lapsed(now) for claim in claims), 0)


def slot_status(claims: Sequence[Claim], places: int, now: datetime) -> str:
    """What a slot says of itself: free, busy, or busy-tentative while what fills it is only held."""
    live = [claim for claim in claims if not claim.has_lapsed(now)]
    if len(live) < places:
        return "free"
    return "busy-tentative" if any(claim.held_until is not None for claim in live) else "busy"


def hold_until(now: datetime, seconds: int, seconds_most: int) -> datetime:
    """When a hold lapses. Raises ValueError for a time that is not allowed."""
    if not 1 <= seconds <= seconds_most:
        raise ValueError("a hold has an end, and a longest time")
    return now + timedelta(seconds=seconds)


def check_telehealth(*, is_remote: bool, private_space: bool | None) -> Refusal | None:
    """A remote session needs a place where nobody listens in. Not asked yet (None) is asked with the reminder."""
    if is_remote and private_space is False:
        reason = "There is no private space for a session by video or telephone: take one in person, or a room nearby."
        return Refusal(reason, "BOOK-PRIVATE-SPACE")
    return None


def series_starts(first: datetime, sessions: int, interval: timedelta) -> list[datetime]:
    """When the sessions of a series begin, at fixed intervals."""
    return [first + number * interval for number in range(sessions)]


def next_reminder(
    start: datetime, hours_before: Sequence[int], now: datetime, sent: int = 0
) -> tuple[int, datetime] | None:
    """The number and the time of the next reminder after `sent` of them; None when all are sent or in the past."""
    for step, hours in enumerate(sorted(hours_before, reverse=True), start=1):
        moment = start - timedelta(hours=hours)
        if step > sent and moment > now:
            return step, moment
    return None


def after_missed(now: datetime, due_hours: int) -> Missed:
    """What follows when somebody did not come: outreach, every time alike. How often a person missed is not asked."""
    return Missed(now + timedelta(hours=due_hours))


def check_ending(after: str, *, missed_alone: bool, outreach_open: bool) -> Refusal | None:
    """Nobody is discharged for missed visits alone, nor while somebody still tries to reach them."""
    if after not in {"failed", "cancelled", "rejected"} or not (missed_alone or outreach_open):
        return None
    reason = "Missed visits alone end no referral: ask the person first, and say what they want."
    return Refusal(reason, "BOOK-NO-DISCHARGE")
