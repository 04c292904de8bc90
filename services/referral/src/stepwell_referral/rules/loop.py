"""What closes the loop: when an open referral is looked at, who is told, and what follows each of its moves. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from stepwell_referral.rules.transitions import TERMINAL

ELSEWHERE, ASK = "elsewhere", "ask"
TRANSFERRED = "transferred"


class Follow(StrEnum):
    """What follows a move, in the same commit."""

    START_INTERIM = "start-interim"
    COMPLETE_INTERIM = "complete-interim"
    END_INTERIM = "end-interim"
    REFER_ELSEWHERE = "refer-elsewhere"
    TELL_TEAM = "tell-team"
    CANCEL_PARTS = "cancel-parts"
    COMPLETE_WHOLE = "complete-whole"
    TELL_PERSON = "tell-person"


@dataclass(frozen=True, slots=True)
class TimeOut:
    """How long a Task may stay in a status, by urgency class; `told` are roles in the order in which they are told.

    With `from_promise` the time begins to count with the promised date, where that lies later.
    """

    status: str
    why: str
    first: Mapping[str, timedelta]
    again: Mapping[str, timedelta]
    told: tuple[str, ...]
    from_promise: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a place does not give the care: `next` is ELSEWHERE or ASK."""

    code: str
    next: str


@dataclass(frozen=True, slots=True)
class Moved:
    """One move of a Task: `before` is None for a new one, `reason` its coded reason, if it has one of ours.

    `is_part` for a partial referral, whose whole is another Task; `is_last_part` when no other part is open and the
    whole waits for nothing else; `is_ours` when this service looks after the person's way, and not a partner.
    """

    before: str | None
    after: str
    reason: Reason | None = None
    is_part: bool = False
    is_last_part: bool = False
    is_ours: bool = True


def first_due(
    status: str, urgency: str, entered: datetime, promised_by: datetime | None, time_outs: Mapping[str, TimeOut]
) -> datetime | None:
    """When somebody is told for the first time that a Task is still in this status; None for one that is closed."""
    time_out = time_outs.get(status)
    if time_out is None:
        return None
    due = entered + time_out.first[urgency]
    return max(promised_by, entered) if time_out.from_promise and promised_by is not None else due


def next_due(status: str, urgency: str, now: datetime, time_outs: Mapping[str, TimeOut]) -> datetime | None:
    """When the next are told, after somebody was told now."""
    time_out = time_outs.get(status)
    return None if time_out is None else now + time_out.again[urgency]


def told(status: str, step: int, time_outs: Mapping[str, TimeOut]) -> tuple[str, ...]:
    """Whom step `step` (0 is the first) tells: one role more each time, until all know and are told again."""
    time_out = time_outs.get(status)
    return () if time_out is None else time_out.told[: step + 1]


def follows(move: Moved) -> tuple[Follow, ...]:
    """What a move leads to, in the order in which it is done; nothing for a version that is no move.

    A refused referral is asked of the next best place where its reason allows that, else people are told; so it is
    with care that could not be given. Support while waiting ends when care begins, or when nobody waits any more.
    """
    if move.before == move.after:
        return ()
    if move.is_part:
        return _follows_part(move)
    found = [*_waiting(move), *_elsewhere(move)] if move.is_ours else []
    if move.after in TERMINAL and move.before is not None:
        found.append(Follow.CANCEL_PARTS)
    if move.is_ours and move.after != "draft":
        found.append(Follow.TELL_PERSON)
    return tuple(found)


def may_complete(open_parts: int) -> bool:
    """A whole is complete when its parts are."""
    return open_parts == 0


def _follows_part(move: Moved) -> tuple[Follow, ...]:
    found = [Follow.TELL_TEAM] if move.after in {"rejected", "failed"} else []
    if move.after in TERMINAL and move.is_last_part:
        found.append(Follow.COMPLETE_WHOLE)
    return (*found, Follow.TELL_PERSON) if move.is_ours else tuple(found)


def _waiting(move: Moved) -> Sequence[Follow]:
    if move.after == "requested" and move.before in {None, "draft"}:
        return [Follow.START_INTERIM]
    if move.after == "in-progress":
        return [Follow.COMPLETE_INTERIM]
    if move.after in {"cancelled", "completed", "entered-in-error"} and not _is_elsewhere(move):
        return [Follow.END_INTERIM]
    return []


def _elsewhere(move: Moved) -> Sequence[Follow]:
    if _is_elsewhere(move):
        return [Follow.REFER_ELSEWHERE]
    return [Follow.TELL_TEAM] if move.after in {"rejected", "failed"} else []


def _is_elsewhere(move: Moved) -> bool:
    """Whether the next best place is asked. A requester who takes something back does not ask for that; a transfer
    does."""
    if move.reason is None or move.reason.next != ELSEWHERE:
        return False
    return move.after in {"rejected", "failed"} or (move.after == "cancelled" and move.reason.code == TRANSFERRED)
