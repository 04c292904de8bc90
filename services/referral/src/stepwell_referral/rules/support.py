"""Which move of the Tasks beside a referral is allowed: support while waiting, the next step, an answer. Pure.

R4 Task state machine https://hl7.org/fhir/R4/task.html#statemachine. These Tasks have one side: the team.
"""

from stepwell_referral.rules.transitions import TERMINAL, Refusal

OPEN = ("requested", "accepted", "in-progress", "on-hold")

TABLE: dict[str, frozenset[str]] = {
    # "Rejected" is the person's No to an offer, or a team's to what is not theirs: it is said with a reason.
    "requested": frozenset({"accepted", "in-progress", "completed", "rejected", "cancelled"}),
    "accepted": frozenset({"in-progress", "on-hold", "completed", "cancelled"}),
    "in-progress": frozenset({"on-hold", "completed", "failed", "cancelled"}),
    "on-hold": frozenset({"in-progress", "cancelled"}),
}


def check_support(before: str, after: str) -> Refusal | None:
    """None when the team may make this move, else why not and what is allowed instead."""
    allowed = tuple(sorted(TABLE.get(before, frozenset())))
    if before == after or after in allowed:
        return None
    if before in TERMINAL:
        return Refusal(f"A Task that is {before} is closed; make a new one.", "TASK-TERMINAL", allowed)
    return Refusal(f"A Task cannot go from {before} to {after}.", "TASK-TRANSITION", allowed)
