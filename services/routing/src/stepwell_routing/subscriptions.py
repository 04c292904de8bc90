"""Topics that routing publishes, and those it listens to."""

from stepwell_shared.events.topics import Topic

TIER_ASSIGNED = Topic(
    "tier-assigned",
    ("ServiceRequest",),
    ("patient", "status", "intent", "category"),
    "A tier assignment was proposed, changed, accepted or withdrawn: intent and status say which.",
)
TOPICS = (TIER_ASSIGNED,)
SCORE_FINALIZED = ("screening", "score-finalized")
SAFETY_ALERT = ("screening", "safety-alert")
PATIENT_CHANGED = ("screening", "patient-changed")
