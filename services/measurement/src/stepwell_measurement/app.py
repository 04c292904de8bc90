"""Start here: measurement = settings + resources. It keeps the scores and says whether a person is getting better."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from stepwell_shared.consent.serving import CONSENT_CHANGED, keep_consent
from stepwell_shared.runtime import Handler, Runtime, Service

from stepwell_measurement.pages import staff_pages
from stepwell_measurement.pages.documentation import documented
from stepwell_measurement.resources import registry
from stepwell_measurement.subscriptions import (
    APPOINTMENT_CHANGED,
    EPISODE_CHANGED,
    PATIENT_CHANGED,
    REFERRAL_CHANGED,
    SCORE_FINALIZED,
    TOPICS,
)
from stepwell_measurement.use_cases import backfilling, counting, dashboards, region
from stepwell_measurement.use_cases.episodes import keep_episode
from stepwell_measurement.use_cases.facts import keep_appointment, keep_referral
from stepwell_measurement.use_cases.partners import exchange
from stepwell_measurement.use_cases.scores import keep_scores
from stepwell_measurement.use_cases.shipping import ship_measures
from stepwell_measurement.use_cases.strata import keep_person


def listens(runtime: Runtime) -> Mapping[tuple[str, str], Handler]:
    """What measurement does with what other services tell."""
    return {
        SCORE_FINALIZED: partial(keep_scores, runtime),
        EPISODE_CHANGED: partial(keep_episode, runtime),
        REFERRAL_CHANGED: partial(keep_referral, runtime),
        APPOINTMENT_CHANGED: partial(keep_appointment, runtime),
        PATIENT_CHANGED: partial(keep_person, runtime),
        CONSENT_CHANGED: partial(keep_consent, runtime),
    }


service = Service(
    name="measurement",
    title="Stepwell measurement",
    description="Scores over time, and whether the change between them is more than measurement error.",
    resources=registry,
    topics=TOPICS,
    listens=listens,
    loops=lambda runtime: [
        *backfilling.loops(runtime),
        *counting.loops(runtime),
        *dashboards.loops(runtime),
        *region.loops(runtime),
    ],
    # A draft is no referral yet.
    hears={REFERRAL_CHANGED: ("Task?status:not=draft",)},
    exchange=exchange,
    schema="stepwell_measurement.schema",
    seed=ship_measures,
    staff_pages=staff_pages,
    documented=documented,
    package=Path(__file__).parent,
)
