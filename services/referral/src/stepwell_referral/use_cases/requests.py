"""What a ServiceRequest asks of referral: its tier, how soon, and whether safety had a say in it."""

from typing import Any

from stepwell_shared.canonical import code_system

SAFETY_RULES = "SAF-"

Resource = dict[str, Any]


def tier_of(request: Resource) -> str | None:
    """The tier of care that is asked for."""
    codings = (coding for category in request.get("category", ()) for coding in category.get("coding", ()))
    return next((coding.get("code") for coding in codings if coding.get("system") == code_system("tier")), None)


def priority_of(request: Resource) -> str:
    """How soon; R4 reads a missing priority as routine."""
    return str(request.get("priority", "routine"))


def has_safety_rule(request: Resource) -> bool:
    """Whether a safety rule had a say in it."""
    codings = (coding for concept in request.get("reasonCode", ()) for coding in concept.get("coding", ()))
    return any(
        coding.get("system") == code_system("rule") and str(coding.get("code", "")).startswith(SAFETY_RULES)
        for coding in codings
    )
