"""Topics that screening publishes, and those it listens to: what it hears decides when people are asked again."""

from stepwell_shared.emergencies import GLASS_BROKEN
from stepwell_shared.events.topics import Topic

SCORE_FINALIZED = Topic(
    "score-finalized",
    ("QuestionnaireResponse",),
    ("patient", "questionnaire"),
    "A response was finished, validated and, where its form has scores, scored. Beside it come its score Observations,"
    " as measurement will keep them, the RiskAssessment of a positive or unanswered safety item, and the Patient.",
    ("Observation", "RiskAssessment", "Patient"),
)
SAFETY_ALERT = Topic(
    "safety-alert",
    ("Task",),
    ("patient", "status", "code"),
    "Somebody's safety needs a person; nobody has acted in time, so that it is brought to the next who is on call; or"
    " a clinician has recorded what came of it. Beside the Task comes its RiskAssessment, and the Communication that"
    " says whom it was brought to.",
    ("RiskAssessment", "Communication"),
)
PATIENT_CHANGED = Topic(
    "patient-changed", ("Patient",), ("patient",), "A Patient was created or changed; others keep a read-only copy."
)
CONSENT_CHANGED = Topic(
    "consent-changed",
    ("Consent",),
    ("patient", "status", "scope"),
    "A Consent was given, changed or withdrawn. The other services keep a read-only copy and share by it.",
)
QUESTIONNAIRE_CHANGED = Topic(
    "questionnaire-changed",
    ("Task",),
    ("patient", "status", "code", "business-status"),
    "A person was asked to fill in a form or is reminded of it, it is overdue or answered, or nobody asks for it any"
    " more. Beside the Task comes the Communication to bring to the person, or the Task that tells the care team.",
    ("Communication", "Task"),
)
PREFERENCE_CHANGED = Topic(
    "preference-changed",
    ("QuestionnaireResponse",),
    ("patient", "questionnaire"),
    "A person said what suits them and what gets in the way, or takes it back. Referral matches places by it.",
)
TOPICS = (
    SCORE_FINALIZED,
    SAFETY_ALERT,
    PATIENT_CHANGED,
    CONSENT_CHANGED,
    QUESTIONNAIRE_CHANGED,
    PREFERENCE_CHANGED,
    GLASS_BROKEN,
)
TIER_ASSIGNED = ("routing", "tier-assigned")
TRAJECTORY_CHANGED = ("measurement", "trajectory-changed")
REVIEW_DUE = ("routing", "review-due")
SAFETY_PLAN_CHANGED = ("routing", "safety-plan-changed")
