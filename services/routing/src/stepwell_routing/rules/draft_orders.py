"""Reads the orders that a clinician is writing: which are referrals into stepped care, and which repeat a test.

Pure. Orders come from outside and are read with care: what is not as FHIR R4 has it says nothing.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

Resource = Mapping[str, Any]
Code = tuple[str, str]

ORDER_PLACES = ("category", "code", "performerType")
URGENT = frozenset({"urgent", "asap", "stat"})


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Codes by what they mean to us; each is (system, code). `repeat_within` is how old a result still counts."""

    referrals: Set[Code]
    tests: Set[Code]
    repeat_within: timedelta


@dataclass(frozen=True, slots=True)
class Referral:
    """A draft referral, and the step that it names, if any."""

    order: Resource
    step_code: str | None


@dataclass(frozen=True, slots=True)
class Earlier:
    """A result that is here already: what was looked at, when, and what came out in short."""

    title: str
    observed_at: datetime
    result: str


def referrals_in(
    orders: Sequence[Resource], catalogue: Catalogue, step_systems: Sequence[str], service_system: str
) -> list[Referral]:
    """The ServiceRequests that lead into stepped care: by our own codes, or by those that sites refer with.

    The step is coded in one of `step_systems`; where an order has codes of several, the first of these says which.
    """
    found = []
    for order in _requests(orders):
        codes = [code for place in ORDER_PLACES for code in codes_of(order.get(place))]
        step = next((code for known in step_systems for system, code in codes if system == known), None)
        is_ours = step is not None or any(system == service_system for system, _ in codes)
        if is_ours or any(code in catalogue.referrals for code in codes):
            found.append(Referral(order, step))
    return found


def tests_in(orders: Sequence[Resource], catalogue: Catalogue) -> list[Resource]:
    """The ServiceRequests for examinations."""
    return [
        order for order in _requests(orders) if any(code in catalogue.tests for code in codes_of(order.get("category")))
    ]


def is_urgent(order: Resource) -> bool:
    """Whether whoever orders says that it cannot wait."""
    return order.get("priority") in URGENT


def codes_of(concepts: object) -> Iterator[Code]:
    """The codings of a CodeableConcept or of a list of them, as (system, code)."""
    for concept in concepts if isinstance(concepts, list) else [concepts]:
        codings = concept.get("coding") if isinstance(concept, dict) else None
        for coding in codings if isinstance(codings, list) else ():
            if isinstance(coding, dict) and isinstance(coding.get("code"), str):
                yield str(coding.get("system", "")), coding["code"]


def title_of(concept: object) -> str:
    """What a CodeableConcept is called."""
    if not isinstance(concept, dict):
        return ""
    codings = concept.get("coding")
    displays = [each.get("display") for each in codings if isinstance(each, dict)] if isinstance(codings, list) else []
    return next((text for text in (concept.get("text"), *displays) if isinstance(text, str) and text), "")


def earlier_results(
    tests: Sequence[Resource], results: Sequence[tuple[Resource, datetime]], catalogue: Catalogue, now: datetime
) -> list[Earlier]:
    """Results of the same tests by code, the newest first; what was entered in error or is too old is left out."""
    wanted = {code for test in tests for code in codes_of(test.get("code"))}
    found = [
        Earlier(title_of(result.get("code")), observed_at, _outcome(result))
        for result, observed_at in results
        if result.get("status") not in {"entered-in-error", "cancelled"}
        and now - catalogue.repeat_within <= observed_at <= now
        and wanted.intersection(codes_of(result.get("code")))
    ]
    return sorted(found, key=lambda each: each.observed_at, reverse=True)


def _requests(orders: Sequence[Resource]) -> list[Resource]:
    return [order for order in orders if order.get("resourceType") == "ServiceRequest"]


def _outcome(result: Resource) -> str:
    """The value with its unit, the words of its code, or the conclusion of a report."""
    quantity = result.get("valueQuantity")
    if isinstance(quantity, dict) and isinstance(quantity.get("value"), int | float):
        return f"{quantity['value']} {quantity.get('unit', '')}".strip()
    for text in (result.get("valueString"), title_of(result.get("valueCodeableConcept")), result.get("conclusion")):
        if isinstance(text, str) and text:
            return text
    return ""
