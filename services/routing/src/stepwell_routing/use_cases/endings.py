"""How the referral of a step ended, and what its owner, routing, does with the request: a Task drives, it authorises.

Taken back: the request is revoked, and the step before it goes on. Complete: somebody looks at the course at once.
"""

from typing import Any

from stepwell_shared.canonical import code_system
from stepwell_shared.events.notification import ReceivedEvent

from stepwell_routing.use_cases.causes import Cause

TAKEN_BACK, COMPLETE = "cancelled", "completed"
REVOKED = "revoked"
# A place that names another one keeps the referral going: a new Task follows.
TRANSFERRED = "transferred"

Resource = dict[str, Any]


def ending_of(received: ReceivedEvent, cause: Cause) -> str:
    """TAKEN_BACK or COMPLETE when the event says so of a whole referral; else nothing."""
    task = received.resources.get(cause.source.partition("/_history/")[0], {})
    if cause.status not in {TAKEN_BACK, COMPLETE} or "partOf" in task:
        return ""
    codings = task.get("statusReason", {}).get("coding", ())
    is_transfer = any(
        each.get("system") == code_system("decline-reason") and each.get("code") == TRANSFERRED for each in codings
    )
    return "" if is_transfer else cause.status
