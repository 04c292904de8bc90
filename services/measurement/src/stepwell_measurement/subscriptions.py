"""Topics that measurement publishes, and those it listens to."""

from stepwell_shared.events.topics import Topic

TRAJECTORY_CHANGED = Topic(
    "trajectory-changed",
    ("Observation",),
    ("patient", "code"),
    "What can be said about a person's change on one instrument is not what was said before: improved, deteriorated,"
    " no reliable change, or no longer known. Beside it come the scores that were compared.",
    ("Observation",),
)
TOPICS = (TRAJECTORY_CHANGED,)
SCORE_FINALIZED = ("screening", "score-finalized")
PATIENT_CHANGED = ("screening", "patient-changed")
