"""Which move of a referral Task is allowed, and to whom: the state machine as one table.

R4 Task state machine https://hl7.org/fhir/R4/task.html#statemachine, narrowed to closed-loop referral: the Task drives,
the ServiceRequest authorises.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Actor(StrEnum):
    """The two sides of a referral; who is which is decided by the identity behind the token."""

    REQUESTER = "requester"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Move:
    """One allowed move: who may make it, and who may make it only after the other side asked to cancel."""

    actors: frozenset[Actor]
    actors_on_cancel_request: frozenset[Actor] = frozenset()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A move that is not allowed; `allowed` are the targets that this actor has from here."""

    reason: str
    rule: str
    allowed: tuple[str, ...]
    outcome: str = "refused"


# Roles whose clients work for the place that was asked. Everybody else who may write Tasks speaks for who refers.
OWNER_ROLES = frozenset({"coordinator", "community-health-worker", "service"})
REQUESTER_ROLES = frozenset({"clinician"})

STATUSES = (
    "draft", "requested", "received", "accepted", "rejected", "ready", "cancelled",
    "in-progress", "on-hold", "failed", "completed", "entered-in-error",
)  # fmt: skip
TERMINAL = frozenset({"rejected", "cancelled", "failed", "completed", "entered-in-error"})
INITIAL = ("draft", "requested")
# Asked for and not begun: these people stand in the queue of the Task's owner.
WAITING = ("requested", "received", "accepted", "on-hold")

_REQUESTER = Move(frozenset({Actor.REQUESTER}))
_OWNER = Move(frozenset({Actor.OWNER}))
_REQUESTER_OR_ASKED_OWNER = Move(frozenset({Actor.REQUESTER}), frozenset({Actor.OWNER}))
_EITHER = Move(frozenset({Actor.REQUESTER, Actor.OWNER}))

TABLE: dict[tuple[str, str], Move] = {
    ("draft", "requested"): _REQUESTER,
    # A proposal that is refused or replaced before anybody was asked must not leave its draft open for ever.
    ("draft", "cancelled"): _REQUESTER,
    ("requested", "received"): _OWNER,
    ("requested", "accepted"): _OWNER,
    ("requested", "rejected"): _OWNER,
    ("requested", "cancelled"): _REQUESTER_OR_ASKED_OWNER,
    # "Received" only says that somebody is looking (R4): the same answer as to "requested" must still follow.
    ("received", "accepted"): _OWNER,
    ("received", "rejected"): _OWNER,
    ("received", "cancelled"): _REQUESTER_OR_ASKED_OWNER,
    ("accepted", "in-progress"): _OWNER,
    ("accepted", "on-hold"): _OWNER,
    ("accepted", "cancelled"): _EITHER,
    ("accepted", "failed"): _OWNER,
    ("in-progress", "completed"): _OWNER,
    ("in-progress", "failed"): _OWNER,
    ("in-progress", "on-hold"): _OWNER,
    ("in-progress", "cancelled"): _REQUESTER_OR_ASKED_OWNER,
    ("on-hold", "in-progress"): _OWNER,
    ("on-hold", "accepted"): _OWNER,
    ("on-hold", "cancelled"): _EITHER,
}

_AUTHORISATION = {"requested": "active", "cancelled": "revoked", "completed": "completed"}


def actors_of(roles: Iterable[str]) -> frozenset[Actor]:
    """The sides that a client with these roles speaks for.

    Coordinators, community health workers and services act as the owner, clinicians as the requester; a client that is
    both may do what either may. A client without any of these roles, such as an EHR, speaks for who refers.
    """
    held = frozenset(roles)
    owner = held & OWNER_ROLES
    requester = held & REQUESTER_ROLES or not owner
    return frozenset(({Actor.OWNER} if owner else set()) | ({Actor.REQUESTER} if requester else set()))


def allowed_targets(before: str | None, actor_role: str, *, cancel_requested: bool = False) -> tuple[str, ...]:
    """The statuses this actor may move the Task to, sorted; `before` is None for a Task that does not exist yet."""
    if before is None:
        return INITIAL if actor_role == Actor.REQUESTER else ()
    moves = ((after, move) for (start, after), move in TABLE.items() if start == before)
    return tuple(sorted(after for after, move in moves if actor_role in _actors(move, cancel_requested)))


def check_transition(
    before: str | None, after: str, actor_role: str, *, cancel_requested: bool = False
) -> Refusal | None:
    """None when the actor may make this move, else why not and what is allowed instead.

    A change that leaves the status as it is is no move and passes. `cancel_requested` says that the requester has
    asked for cancellation (an abort Task, R4 workflow Options G), which lets the owner cancel where it could not.
    """
    allowed = allowed_targets(before, actor_role, cancel_requested=cancel_requested)
    if after not in STATUSES or (before is not None and before not in STATUSES):
        return Refusal("The status is not an R4 Task status.", "TASK-STATUS", allowed)
    if before == after or after in allowed:
        return None
    if before in TERMINAL:
        return Refusal(f"A Task that is {before} is closed; make a new one.", "TASK-TERMINAL", allowed)
    if (before, after) in TABLE or (before is None and after in INITIAL):
        return Refusal(f"The {actor_role} may not make this Task {after}.", "TASK-ACTOR", allowed)
    return Refusal(f"A Task cannot go from {before or 'nothing'} to {after}.", "TASK-TRANSITION", allowed)


def service_request_status(after: str) -> str | None:
    """What the requester sets its ServiceRequest to once the Task got there; None: it stays as it is.

    The Task never does this itself: the ServiceRequest is its owner's authorisation, not a mirror of progress.
    """
    return _AUTHORISATION.get(after)


def _actors(move: Move, cancel_requested: bool) -> frozenset[Actor]:
    return move.actors | move.actors_on_cancel_request if cancel_requested else move.actors
