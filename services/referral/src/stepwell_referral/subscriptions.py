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
CAPACITY_CHANGED = Topic(
    "capacity-changed",
    ("HealthcareService",),
    ("active", "organization", "location", "service-category", "service-type"),
    "A place takes more or fewer people in a week than before, begins to take people, or stops. Waits that were"
    " promised from its capacity may no longer hold.",
)
TOPICS = (REFERRAL_CHANGED, CAPACITY_CHANGED)
TIER_ASSIGNED = ("routing", "tier-assigned")
PATIENT_CHANGED = ("screening", "patient-changed")
