"""Topics that measurement publishes, and those it listens to."""

from stepwell_shared.events.topics import Topic

TRAJECTORY_CHANGED = Topic(
    "trajectory-changed",
    ("Observation",),
    ("patient", "code"),
    "What can be said about a person's way on one instrument is not what was said before: improved, deteriorated, no"
    " reliable change or no longer known; response, remission, recovery, stall, not on track, worse than at best,"
    " relapse after care (the components say which). Beside it come the scores that were compared.",
    ("Observation",),
)
MEASURE_REPORT_READY = Topic(
    "measure-report-ready",
    ("MeasureReport",),
    ("patient", "measure", "reporter", "period"),
    "A MeasureReport was stored, or a new version of it, that is not pending: its figures are there, or why there are"
    " none. A report about one person is in the order of that person's events. What is made for a partner goes there by"
    " itself.",
)
REVIEW_ASKED = Topic(
    "review-asked",
    ("Task",),
    ("patient", "status", "code"),
    "Somebody of the team is asked to look: readings are outside of a person's plan (reading-review; cancelled once"
    " none is), or their goals at a move (goal-review). Beside the first come the reading and the person's message.",
    ("Observation", "Communication"),
)
TOPICS = (TRAJECTORY_CHANGED, MEASURE_REPORT_READY, REVIEW_ASKED)
SCORE_FINALIZED = ("screening", "score-finalized")
PATIENT_CHANGED = ("screening", "patient-changed")
EPISODE_CHANGED = ("routing", "episode-changed")
REFERRAL_CHANGED = ("referral", "referral-changed")
APPOINTMENT_CHANGED = ("referral", "appointment-changed")
