"""What partners send beside what is asked of them is looked at before anything is built from it."""

from typing import Any

import structlog
from stepwell_shared.federation.partners import Partner
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.outcome import FhirError

log = structlog.get_logger("stepwell.referral")


def is_valid(partner: Partner, told: dict[str, Any]) -> bool:
    """Whether what a partner has sent is a valid resource of its type."""
    try:
        validation.check(encode(told), told["resourceType"])
    except FhirError:
        log.warning("a partner has sent a resource that is not valid", tenant=partner.tenant, partner=partner.name)
        return False
    return True
