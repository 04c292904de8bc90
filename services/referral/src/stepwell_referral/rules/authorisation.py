"""What a ServiceRequest means for its Task: the ServiceRequest authorises, the Task drives.

https://hl7.org/fhir/R4/request.html: status and intent of a request say whether somebody may act on it.
"""

from dataclasses import dataclass
from enum import StrEnum

# R4 request-intent: what a person with authority has planned or ordered; a proposal or an option is neither.
AUTHORISING_INTENTS = frozenset({
    "plan", "order", "original-order", "reflex-order", "filler-order", "instance-order",
})  # fmt: skip
WITHDRAWN = frozenset({"revoked", "entered-in-error"})
# Once somebody at the place has taken a Task up, people end it, with the person; not a notification.
NOT_TAKEN_UP = frozenset({"draft", "requested"})
TAKEN_UP = frozenset({"received", "accepted", "in-progress", "on-hold"})
# Asked for and not begun: re-triage can move these people in their queue.
WAITS = frozenset({"requested", "received", "accepted", "on-hold"})


class Step(StrEnum):
    """What happens to the Task."""

    PREPARE = "prepare"
    RENEW = "renew"
    REQUEST = "request"
    CANCEL = "cancel"
    TELL = "tell"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do, why, and by which rule."""

    outcome: Step
    reason: str
    rule: str


def authorises(status: str, intent: str) -> bool:
    """Whether a Task may be asked of its owner on the strength of this ServiceRequest."""
    return status == "active" and intent in AUTHORISING_INTENTS


def next_step(status: str, intent: str, task_status: str | None, *, priority_changed: bool = False) -> NextStep:
    """The step that this version of a ServiceRequest asks for; `task_status` is None as long as there is no Task.

    On hold means that a safety item is open: nothing is begun, and what was prepared is left as it is.
    """
    if status in WITHDRAWN:
        return _withdrawn(task_status)
    if status == "completed":
        return _over(task_status)
    if status != "active":
        return NextStep(Step.NOTHING, f"A request that is {status} starts no referral.", "REFERRAL-NOT-ACTIVE")
    if authorises(status, intent):
        return _accepted(task_status, priority_changed=priority_changed)
    if intent != "proposal":
        return NextStep(Step.NOTHING, f"A request of intent {intent} authorises nothing.", "REFERRAL-NO-AUTHORITY")
    return _proposed(task_status, priority_changed=priority_changed)


def _withdrawn(task_status: str | None) -> NextStep:
    if task_status in NOT_TAKEN_UP:
        return NextStep(Step.CANCEL, "The request behind this referral was withdrawn.", "REFERRAL-WITHDRAWN")
    if task_status in TAKEN_UP:
        return NextStep(Step.TELL, "It was taken back, and a place has taken it up: people end it.", "REFERRAL-TOLD")
    return NextStep(Step.NOTHING, "Nothing is waiting that could be taken back.", "REFERRAL-NOT-WAITING")


def _over(task_status: str | None) -> NextStep:
    """The step of care that was asked for has ended, as it does with the first contact in the next one."""
    if task_status in NOT_TAKEN_UP:
        return NextStep(Step.CANCEL, "The step of care behind this referral has ended.", "REFERRAL-OVER")
    if task_status in TAKEN_UP:
        return NextStep(Step.TELL, "The step has ended, and care is open here: people end it.", "REFERRAL-TOLD")
    return NextStep(Step.NOTHING, "Nothing is open here.", "REFERRAL-NOT-WAITING")


def _accepted(task_status: str | None, *, priority_changed: bool) -> NextStep:
    if task_status in {None, "draft"}:
        return NextStep(Step.REQUEST, "The proposal was accepted.", "REFERRAL-ACCEPTED")
    if task_status in WAITS and priority_changed:
        return NextStep(Step.RENEW, "Need has changed while the person waits: the queue moves.", "REFERRAL-RETRIAGED")
    return NextStep(Step.NOTHING, "The referral is on its way.", "REFERRAL-UNDER-WAY")


def _proposed(task_status: str | None, *, priority_changed: bool) -> NextStep:
    if task_status is None:
        return NextStep(Step.PREPARE, "A proposal is prepared, so that it can start at once.", "REFERRAL-PREPARED")
    if task_status == "draft" and priority_changed:
        return NextStep(Step.RENEW, "The proposal has another priority now.", "REFERRAL-PRIORITY")
    return NextStep(Step.NOTHING, "The referral is prepared or under way.", "REFERRAL-UNDER-WAY")
