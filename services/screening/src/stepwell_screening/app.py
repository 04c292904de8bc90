"""Start here: screening = settings + resources + endpoints. Standard questionnaires, validated, scored, acted on."""

from functools import partial
from pathlib import Path

from stepwell_shared.runtime import Service

from stepwell_screening.pages import form_pages
from stepwell_screening.resources import registry
from stepwell_screening.subscriptions import (
    REVIEW_DUE,
    SAFETY_PLAN_CHANGED,
    TIER_ASSIGNED,
    TOPICS,
    TRAJECTORY_CHANGED,
)
from stepwell_screening.use_cases import escalation, solicitation
from stepwell_screening.use_cases.hearing import hear_course, hear_review, hear_tier
from stepwell_screening.use_cases.safety_plans import hear_safety_plan
from stepwell_screening.use_cases.shipping import ship_questionnaires
from stepwell_screening.use_cases.urgency import tests

service = Service(
    name="screening",
    title="Stepwell screening",
    description="Standard questionnaires, validated and scored; safety items acted on; everything announced.",
    resources=registry,
    topics=TOPICS,
    listens=lambda runtime: {
        TIER_ASSIGNED: partial(hear_tier, runtime),
        TRAJECTORY_CHANGED: partial(hear_course, runtime),
        REVIEW_DUE: partial(hear_review, runtime),
        SAFETY_PLAN_CHANGED: partial(hear_safety_plan, runtime),
    },
    urgent=tests,
    urgent_pages="/screening/forms/",
    seed=ship_questionnaires,
    loops=lambda runtime: [*escalation.loops(runtime), *solicitation.loops(runtime)],
    schema="stepwell_screening.schema",
    pages=form_pages,
    package=Path(__file__).parent,
)
