"""Start here: referral = settings + resources. It finds the place of a tier, and tracks the way there."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from stepwell_shared.consent.serving import CONSENT_CHANGED
from stepwell_shared.runtime import Handler, Runtime, Service
from stepwell_shared.served import keep_patient

from stepwell_referral.pages import worklist_pages
from stepwell_referral.pages.documentation import documented
from stepwell_referral.resources import registry
from stepwell_referral.subscriptions import PATIENT_CHANGED, PREFERENCE_CHANGED, TIER_ASSIGNED, TOPICS
from stepwell_referral.use_cases import booking_timers, due
from stepwell_referral.use_cases.arranging import take_wishes
from stepwell_referral.use_cases.assignments import take_assignment
from stepwell_referral.use_cases.consents import take_consent
from stepwell_referral.use_cases.partners import exchange
from stepwell_referral.use_cases.shipping import ship_catalogue


def listens(runtime: Runtime) -> Mapping[tuple[str, str], Handler]:
    """What referral does with what other services tell."""
    return {
        TIER_ASSIGNED: partial(take_assignment, runtime),
        PATIENT_CHANGED: partial(keep_patient, runtime),
        CONSENT_CHANGED: partial(take_consent, runtime),
        PREFERENCE_CHANGED: partial(take_wishes, runtime),
    }


service = Service(
    name="referral",
    title="Stepwell referral",
    description="Finds the place that gives the care of a tier, says how long the wait is, and tracks the referral.",
    resources=registry,
    topics=TOPICS,
    listens=listens,
    exchange=exchange,
    documented=documented,
    staff_pages=worklist_pages,
    seed=ship_catalogue,
    loops=lambda runtime: [*due.loops(runtime), *booking_timers.loops(runtime)],
    schema="stepwell_referral.schema",
    package=Path(__file__).parent,
)
