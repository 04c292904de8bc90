"""What a partner organisation must be told of a referral of ours, and what its news mean for it.

The partner's Task is the one that drives; ours follows it by the number of its versions, never by anybody's clock, so
that what comes late, twice or in another order changes nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from stepwell_referral.rules.transitions import TERMINAL

# The place that was asked has it, and nobody there has said anything about it yet.
ARRIVED = frozenset({"draft", "requested"})
TAKEN_BACK = frozenset({"cancelled", "entered-in-error"})

# BSeR's business states by the Task status that they can go with; the first holds where nobody says more.
_EVENTS = ("5.1.1", "5.1.2", "5.1.3", "5.1.4")
_ASKED_BACK = "5.2"
BUSINESS_STATES: Mapping[str, tuple[str, ...]] = {
    "requested": ("2.0", _ASKED_BACK),
    "received": ("2.0", _ASKED_BACK),
    "accepted": ("3.0", *_EVENTS, _ASKED_BACK),
    "on-hold": ("3.0", *_EVENTS, _ASKED_BACK),
    "in-progress": ("3.0", *_EVENTS, _ASKED_BACK),
    "rejected": ("4.0",),
    "cancelled": ("6.0",),
    "failed": ("6.0",),
    "completed": ("7.0",),
}


class Message(StrEnum):
    """What is sent."""

    REFERRAL = "referral"
    CANCELLATION = "cancellation"
    ERASURE = "erasure"
    NOTHING = "nothing"


class Step(StrEnum):
    """What news do to our Task."""

    FOLLOW = "follow"
    NOTE = "note"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, why, and by which rule."""

    outcome: Message | Step
    reason: str
    rule: str


def message_for(status: str, partner_status: str | None, *, is_erased: bool = False) -> Decision:
    """What the partner must be told of our Task in this state; `partner_status` is what it told us last, if anything.

    A referral is sent until the partner has it; it is taken back while it is open there. All else the partner knows,
    because we have it from there. That the person was erased here is told whatever its state (GDPR article 19).
    """
    if is_erased:
        return Decision(Message.ERASURE, "The person was erased here.", "EXCHANGE-ERASED")
    if status in TAKEN_BACK:
        if partner_status in TERMINAL:
            return Decision(Message.NOTHING, "It is closed on both sides.", "EXCHANGE-CLOSED")
        return Decision(Message.CANCELLATION, "It was taken back here.", "EXCHANGE-CANCEL")
    if status == "requested" and partner_status is None:
        return Decision(Message.REFERRAL, "The partner does not have it yet.", "EXCHANGE-REFER")
    return Decision(Message.NOTHING, "The partner knows.", "EXCHANGE-KNOWN")


def follow(status: str, version_known: int, partner_status: str, version: int) -> Decision:
    """What this version of the partner's Task does to ours; `version_known` is the newest that we have, 0 without one.

    A Task of ours that is closed stays closed; that the partner went on is noted, so that somebody can see it.
    """
    if version <= version_known:
        return Decision(Step.NOTHING, "This is known already, or older than what is known.", "EXCHANGE-OLD")
    if status in TERMINAL:
        return Decision(Step.NOTE, "Ours is closed.", "EXCHANGE-CLOSED")
    if partner_status in ARRIVED:
        return Decision(Step.NOTE, "It has arrived and waits for an answer.", "EXCHANGE-ARRIVED")
    return Decision(Step.FOLLOW, "The partner moved it.", "EXCHANGE-FOLLOW")


def business_state(status: str, said: Collection[str]) -> str | None:
    """The BSeR state of a Task: the one that is said where it can go with the status, else that of the status itself.

    A person who closes a Task need not remember what was said of its last appointment. None for a status that no
    partner is told of.
    """
    possible = BUSINESS_STATES.get(status, ())
    return next((each for each in possible if each in said), next(iter(possible), None))
