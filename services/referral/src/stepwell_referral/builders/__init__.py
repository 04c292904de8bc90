"""The FHIR R4 resources that referral emits, as plain dicts: its own Tasks, and what goes to partner organisations."""

from stepwell_referral.builders.exchange import (
    ABORT_IDENTIFIERS,
    PARTNER_TASK,
    TASK_CODE_ABORT,
    Placer,
    followed_task,
    noted_task,
    outgoing_cancellation,
    outgoing_referral,
    partner_state,
    undelivered_task,
)
from stepwell_referral.builders.referral import (
    FALLBACK_LANGUAGE,
    Referral,
    cancelled_task,
    place_of,
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
    "Placer",
    "Referral",
    "cancelled_task",
    "followed_task",
    "noted_task",
    "outgoing_cancellation",
    "outgoing_referral",
    "partner_state",
    "place_of",
    "placed_task",
    "referral_task",
    "renewed_task",
    "requested_task",
    "undelivered_task",
    "wait_extension",
]
