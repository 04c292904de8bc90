"""Topics that referral publishes, and those it listens to."""

from stepwell_shared.events.topics import Topic

REFERRAL_CHANGED = Topic(
    "referral-changed",
    ("Task",),
    ("patient", "status", "code", "owner", "requester"),
    "A referral was prepared, requested, moved on or ended. Beside the Task comes the ServiceRequest that authorises"
    " it.",
    ("ServiceRequest",),
)
TOPICS = (REFERRAL_CHANGED,)
TIER_ASSIGNED = ("routing", "tier-assigned")
PATIENT_CHANGED = ("screening", "patient-changed")
