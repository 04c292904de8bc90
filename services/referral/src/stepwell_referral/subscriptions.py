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
COMMUNICATION_CHANGED = Topic(
    "communication-changed",
    ("Communication",),
    ("patient", "status", "category", "recipient"),
    "There is something to bring to a person or to a team: what a person is told of their referral, whom an open one"
    " was brought to, a message or its answer. Whoever brings messages to people follows it, and says by its status"
    " that one was sent.",
)
INTERIM_CHANGED = Topic(
    "interim-changed",
    ("Task",),
    ("patient", "status", "code", "owner"),
    "Support while waiting was asked for, goes on or has ended. Beside the Task comes the ServiceRequest that"
    " authorises it.",
    ("ServiceRequest",),
)
APPOINTMENT_CHANGED = Topic(
    "appointment-changed",
    ("Appointment",),
    ("patient", "status"),
    "It is known what became of an appointment: the person came, did not come, or it was cancelled; or that was taken"
    " back as an error. What is only booked or moved is not told of.",
)
ADVICE_CHANGED = Topic(
    "advice-changed",
    ("Task",),
    ("patient", "status", "owner", "requester"),
    "Another organisation was asked for advice, or has answered; care stays where it is. Beside the Task comes what was"
    " asked or said.",
    ("Communication",),
)
TOPICS = (
    REFERRAL_CHANGED,
    CAPACITY_CHANGED,
    COMMUNICATION_CHANGED,
    INTERIM_CHANGED,
    APPOINTMENT_CHANGED,
    ADVICE_CHANGED,
)
TIER_ASSIGNED = ("routing", "tier-assigned")
PATIENT_CHANGED = ("screening", "patient-changed")
PREFERENCE_CHANGED = ("screening", "preference-changed")
