"""Topics that routing publishes, and those it listens to."""

from stepwell_shared.events.topics import Topic

TIER_ASSIGNED = Topic(
    "tier-assigned",
    ("ServiceRequest",),
    ("patient", "status", "intent", "category"),
    "A tier assignment was proposed, changed, accepted, withdrawn or completed: intent and status say which. With the"
    " status reason given its referral is complete, and its step goes on until it is reviewed.",
)
TIER_OVERRIDDEN = Topic(
    "tier-overridden",
    ("ServiceRequest",),
    ("patient", "category", "requester"),
    "A clinician decided for another tier than the proposed one. The plan says which and why; beside it comes the"
    " proposal that it replaces. tier-assigned tells of both as well.",
    ("ServiceRequest",),
)
REVIEW_DUE = Topic(
    "review-due",
    ("Task",),
    ("patient", "status", "code", "business-status"),
    "A review, a booster or a check whether to resume is due, or overdue because no measures have come; or the end of"
    " care is proposed. Somebody talks with the person, and asks for measures.",
)
EPISODE_CHANGED = Topic(
    "episode-changed",
    ("EpisodeOfCare",),
    ("patient", "status", "type"),
    "A clinician changed an episode of care: a step was entered, rests or goes on, something was agreed, or care has"
    " ended. Its statusHistory and its current step say how it stands.",
)
SAFETY_PLAN_CHANGED = Topic(
    "safety-plan-changed",
    ("CarePlan",),
    ("patient", "status"),
    "A person's safety plan was written, changed or closed. Screening links it from the Flags that whoever opens the"
    " record sees.",
)
TOPICS = (TIER_ASSIGNED, TIER_OVERRIDDEN, REVIEW_DUE, EPISODE_CHANGED, SAFETY_PLAN_CHANGED)
SCORE_FINALIZED = ("screening", "score-finalized")
SAFETY_ALERT = ("screening", "safety-alert")
TRAJECTORY_CHANGED = ("measurement", "trajectory-changed")
REFERRAL_CHANGED = ("referral", "referral-changed")
CAPACITY_CHANGED = ("referral", "capacity-changed")
PATIENT_CHANGED = ("screening", "patient-changed")
