"""Invariants of what is said about people: patients, observations, risks, conditions, goals and groups.

https://hl7.org/fhir/R4/observation.html, riskassessment.html, condition.html, patient.html, goal.html, group.html
"""

import json

from stepwell_shared.fhir.validation.invariants.nodes import (
    UCUM,
    Node,
    Rules,
    codings,
    has,
    has_any,
    has_choice,
    has_coding,
)

_CLINICAL_STATUS = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFICATION_STATUS = "http://terminology.hl7.org/CodeSystem/condition-ver-status"


def _no_component_repeats_the_code(observation: Node) -> bool:
    components = observation.get("component")
    if not components or not has_choice(observation, "value"):
        return True
    own = {_identity(coding) for coding in codings(observation.get("code"))}
    return not any(_identity(each) in own for component in components for each in codings(component.get("code")))


def _identity(coding: Node) -> str:
    """Equal for codings that are equal as a whole, as FHIRPath's intersect compares them."""
    return json.dumps(coding, sort_keys=True, default=str)


def _is_percent_where_given(limits: object) -> bool:
    """The limits of a probability given as a Range; a decimal probability has none."""
    if not isinstance(limits, dict):
        return True
    given = [limits[name] for name in ("low", "high") if name in limits]
    return all(each.get("code") == "%" and each.get("system") == UCUM for each in given)


def _abatement_agrees_with_status(condition: Node) -> bool:
    return not has_choice(condition, "abatement") or has_coding(
        condition.get("clinicalStatus"), _CLINICAL_STATUS, "resolved", "remission", "inactive"
    )


def _no_status_when_entered_in_error(condition: Node) -> bool:
    in_error = has_coding(condition.get("verificationStatus"), _VERIFICATION_STATUS, "entered-in-error")
    return not in_error or "clinicalStatus" not in condition


RULES: Rules = {
    "con-1": lambda stage: "summary" in stage or "assessment" in stage,
    "con-2": lambda evidence: "code" in evidence or "detail" in evidence,
    "con-4": _abatement_agrees_with_status,
    "con-5": _no_status_when_entered_in_error,
    "gol-1": lambda target: not has_choice(target, "detail") or "measure" in target,
    "grp-1": lambda group: "member" not in group or group.get("actual") is True,
    "obs-3": lambda reference_range: has_any(reference_range, "low", "high", "text"),
    "obs-6": lambda observation: "dataAbsentReason" not in observation or not has_choice(observation, "value"),
    "obs-7": _no_component_repeats_the_code,
    "pat-1": lambda contact: has_any(contact, "name", "telecom", "address", "organization"),
    "qrs-1": lambda item: not ("answer" in item and "item" in item),
    "ras-1": _is_percent_where_given,
    "ras-2": lambda prediction: (
        not has(prediction, "probabilityDecimal") or prediction.get("probabilityDecimal", 0) <= 100
    ),
}
