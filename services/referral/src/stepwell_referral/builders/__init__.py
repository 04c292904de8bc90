"""The FHIR R4 resources that referral emits, as plain dicts: its own Tasks, and what goes to partner organisations."""

from stepwell_referral.builders.exchange import (
    ABORT_IDENTIFIERS,
    PARTNER_TASK,
    TASK_CODE_ABORT,
    WITHHELD,
    Placer,
    followed_task,
    is_withheld,
    noted_task,
    outgoing_cancellation,
    outgoing_referral,
    partner_state,
    undelivered_task,
    withheld_task,
)
from stepwell_referral.builders.news import with_business_state, with_copies
from stepwell_referral.builders.places import competence, place_of, tokens
from stepwell_referral.builders.referral import (
    FALLBACK_LANGUAGE,
    Referral,
    cancelled_task,
    placed_task,
    referral_task,
    renewed_task,
    requested_task,
    wait_extension,
)

__all__ = [
    "ABORT_IDENTIFIERS",
    "FALLBACK_LANGUAGE",
    "PARTNER_TASK",
    "TASK_CODE_ABORT",
    "WITHHELD",
    "Placer",
    "Referral",
    "cancelled_task",
    "competence",
    "followed_task",
    "is_withheld",
    "noted_task",
    "outgoing_cancellation",
    "outgoing_referral",
    "partner_state",
    "place_of",
    "placed_task",
    "referral_task",
    "renewed_task",
    "requested_task",
    "tokens",
    "undelivered_task",
    "wait_extension",
    "with_business_state",
    "with_copies",
    "withheld_task",
]
