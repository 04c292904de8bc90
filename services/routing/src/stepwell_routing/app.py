"""Start here: routing = settings + resources + endpoints. Explainable tiers by published policy."""

from functools import partial
from pathlib import Path

from stepwell_shared.consent.serving import CONSENT_CHANGED
from stepwell_shared.runtime import Service
from stepwell_shared.served import keep_patient

from stepwell_routing.cds import cds_services
from stepwell_routing.cds.documentation import documented
from stepwell_routing.pages import staff_pages
from stepwell_routing.pages.documentation import documented as pages_documented
from stepwell_routing.resources import registry
from stepwell_routing.subscriptions import (
    CAPACITY_CHANGED,
    PATIENT_CHANGED,
    REFERRAL_CHANGED,
    SAFETY_ALERT,
    SCORE_FINALIZED,
    TOPICS,
    TRAJECTORY_CHANGED,
)
from stepwell_routing.use_cases.assignment import decide_on_alert, decide_on_course, decide_on_response
from stepwell_routing.use_cases.dues import loops
from stepwell_routing.use_cases.hearing import hear_of_capacity, hear_of_consent
from stepwell_routing.use_cases.referrals import hear_of_referral
from stepwell_routing.use_cases.shipping import ship_policies
from stepwell_routing.use_cases.tidying import tidying

service = Service(
    name="routing",
    title="Stepwell routing",
    description="Proposes the least intensive care that is likely to help, by published policy, and says why.",
    resources=registry,
    topics=TOPICS,
    listens=lambda runtime: {
        SCORE_FINALIZED: partial(decide_on_response, runtime),
        SAFETY_ALERT: partial(decide_on_alert, runtime),
        TRAJECTORY_CHANGED: partial(decide_on_course, runtime),
        REFERRAL_CHANGED: partial(hear_of_referral, runtime),
        PATIENT_CHANGED: partial(keep_patient, runtime),
        CONSENT_CHANGED: partial(hear_of_consent, runtime),
        CAPACITY_CHANGED: partial(hear_of_capacity, runtime),
    },
    seed=ship_policies,
    loops=lambda runtime: [*loops(runtime), *tidying(runtime)],
    schema="stepwell_routing.schema",
    pages=cds_services,
    staff_pages=staff_pages,
    documented=lambda: {
        **documented(),
        "paths": documented()["paths"] | pages_documented()["paths"],
        "tags": [*documented()["tags"], *pages_documented()["tags"]],
    },
    package=Path(__file__).parent,
)
