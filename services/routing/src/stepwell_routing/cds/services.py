"""The services that routing offers to EHRs, and how each is described: hooks, prefetch, and what it is for.

Two hooks of one id are one guidance that is updated while an order is written (CDS Hooks 2.0, Discovery).
"""

from dataclasses import dataclass, field
from typing import Any

PATIENT_VIEW, ORDER_SELECT, ORDER_SIGN = "patient-view", "order-select", "order-sign"
ORDER_HOOKS = (ORDER_SELECT, ORDER_SIGN)
CARE_STEP, REFERRAL_STEP, EARLIER_RESULTS = "care-step", "referral-step", "earlier-results"

_PATIENT = {"patient": "Patient/{{context.patientId}}"}
_USAGE = "Register the client with `stepwell cds add`. The prefetch is all that is looked at: nothing is called back."


@dataclass(frozen=True, slots=True)
class CdsService:
    """One service: `prefetch` are FHIR reads and searches that its client makes beforehand."""

    id: str
    hooks: tuple[str, ...]
    title: str
    description: str
    prefetch: dict[str, str] = field(default_factory=dict)


SERVICES = {
    each.id: each
    for each in (
        CdsService(
            CARE_STEP,
            (PATIENT_VIEW,),
            "Step of care",
            "Open safety questions, the step of care and its next review, questionnaires that are due, and whether"
            " care helps enough.",
            _PATIENT,
        ),
        CdsService(
            REFERRAL_STEP,
            ORDER_HOOKS,
            "Referral and step of care",
            "Whether a draft referral fits the step that is proposed or agreed, with a draft for that step. It never"
            " blocks an order.",
            _PATIENT,
        ),
        CdsService(
            EARLIER_RESULTS,
            ORDER_HOOKS,
            "Earlier results and the agreed plan",
            "Results of the same examination that are there already, beside the agreed plan. It never blocks an order,"
            " and it is silent where a warning sign or an urgent order says that the examination is needed.",
            {
                **_PATIENT,
                "results": "Observation?patient={{context.patientId}}&category=laboratory&_sort=-date&_count=100",
                "reports": "DiagnosticReport?patient={{context.patientId}}&_sort=-date&_count=50",
                "plans": "CarePlan?patient={{context.patientId}}&status=active",
            },
        ),
    )
}


def discovery() -> dict[str, Any]:
    """What `GET {base}/cds-services` answers: one entry for each hook of each service."""
    return {
        "services": [
            {
                "hook": hook,
                "id": each.id,
                "title": each.title,
                "description": each.description,
                "usageRequirements": _USAGE,
                "prefetch": each.prefetch,
            }
            for each in SERVICES.values()
            for hook in each.hooks
        ]
    }
