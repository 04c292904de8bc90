"""What a Condition or MedicationStatement says as evidence: whether it holds, since when, and by which codes.

What was ruled out or has ended was looked at, and is not active; what was an error says nothing.
https://hl7.org/fhir/R4/condition.html, https://hl7.org/fhir/R4/medicationstatement.html
"""

from collections.abc import Iterator, Mapping
from typing import Any

Resource = Mapping[str, Any]

ACTIVE, INACTIVE = "active", "inactive"
UNCODED = "|"
WITHDRAWN = "entered-in-error"
_HOLDS = frozenset({"active", "recurrence", "relapse"})


def condition_state(condition: Resource) -> tuple[str | None, frozenset[str]]:
    """`active|<onset>`, `inactive|` or None when it was an error, and its codes as `system|code`.

    Only what is confirmed, or written without saying how sure it is, counts; a diagnosis that is merely considered
    does not.
    """
    verification = set(_codes_of(condition.get("verificationStatus")))
    codes = _codes(condition.get("code"))
    if WITHDRAWN in verification:
        return None, codes
    clinical = set(_codes_of(condition.get("clinicalStatus")))
    holds = (not clinical or bool(clinical & _HOLDS)) and (not verification or "confirmed" in verification)
    return (f"{ACTIVE}|{_onset(condition)}" if holds else f"{INACTIVE}|"), codes


def medicine_state(statement: Resource) -> tuple[str | None, frozenset[str]]:
    """`active|`, `inactive|` or None when it was an error, and the codes of the medicine."""
    codes = _codes(statement.get("medicationCodeableConcept"))
    if statement.get("status") == WITHDRAWN:
        return None, codes
    return (f"{ACTIVE}|" if statement.get("status") == ACTIVE else f"{INACTIVE}|"), codes


def _onset(condition: Resource) -> str:
    return str(condition.get("onsetDateTime") or condition.get("onsetPeriod", {}).get("start") or "")[:10]


def _codes(concept: Resource | None) -> frozenset[str]:
    """Its codings; one without any is kept all the same, so that it is counted."""
    codings = (each for each in (concept or {}).get("coding", ()) if "code" in each)
    return frozenset(f"{each.get('system', '')}|{each['code']}" for each in codings) or frozenset({UNCODED})


def _codes_of(concept: Resource | None) -> Iterator[str]:
    return (str(each["code"]) for each in (concept or {}).get("coding", ()) if "code" in each)
