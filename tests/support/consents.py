"""Consents as people give them: to sharing, and to treatment."""

from collections.abc import Sequence
from typing import Any

SCOPES = "http://terminology.hl7.org/CodeSystem/consentscope"
ACT_CODES = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
PURPOSES = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
TYPES = "http://hl7.org/fhir/resource-types"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
LOINC = "http://loinc.org"
OURS = "https://stepwell.health/fhir"

Resource = dict[str, Any]


def sharing(
    person: str, provision: Resource | None = None, *, id_: str = "", rule: str = "OPTOUT", status: str = "active"
) -> Resource:
    """A Consent to sharing; `rule` is what holds where the provision says nothing."""
    consent = {
        "resourceType": "Consent",
        "id": id_ or f"sharing-{person}",
        "status": status,
        "scope": {"coding": [{"system": SCOPES, "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": ACT_CODES, "code": "IDSCL"}]}],
        "patient": {"reference": f"Patient/{person}"},
        "dateTime": "2026-11-21T08:00:00Z",
        "policyRule": {"coding": [{"system": ACT_CODES, "code": rule}]},
    }
    return consent if provision is None else {**consent, "provision": provision}


def opt_in(person: str) -> Resource:
    """To sharing with whoever treats the person."""
    return sharing(person, id_=f"opt-in-{person}", rule="OPTIN")


def provision(
    type_: str, *actors: str, role: str = "IRCP", classes: Sequence[Resource] = (), **conditions: Any
) -> Resource:
    """One provision about these actors and classes."""
    concept = {"coding": [{"system": PARTICIPATION, "code": role}]}
    named = [{"role": concept, "reference": {"reference": each}} for each in actors]
    given = {"type": type_, "actor": named, "class": list(classes), **conditions}
    return {name: value for name, value in given.items() if value}


def of_types(*names: str) -> list[Resource]:
    """Classes of a provision: resource types."""
    return [{"system": TYPES, "code": each} for each in names]


def label(code: str) -> Resource:
    """A security label of v3-ActCode, such as PSY."""
    return {"system": ACT_CODES, "code": code}


def coded(code: str, system: str = LOINC) -> Resource:
    """A code of a provision."""
    return {"coding": [{"system": system, "code": code}]}


def treatment(person: str, **changed: Any) -> Resource:
    """A Consent to a treatment option, given after there was time for questions."""
    return {
        "resourceType": "Consent",
        "id": f"treatment-{person}",
        "extension": [
            {
                "url": f"{OURS}/StructureDefinition/treatment-option",
                "valueCodeableConcept": {"coding": [{"system": f"{OURS}/CodeSystem/tier", "code": "tier-2"}]},
            },
            {
                "url": f"{OURS}/StructureDefinition/question-period",
                "valuePeriod": {"start": "2026-11-20T09:00:00Z", "end": "2026-11-21T07:00:00Z"},
            },
        ],
        "status": "active",
        "scope": {"coding": [{"system": SCOPES, "code": "treatment"}]},
        "category": [{"coding": [{"system": LOINC, "code": "64292-6"}]}],
        "patient": {"reference": f"Patient/{person}"},
        "dateTime": "2026-11-21T08:00:00Z",
        "policyRule": {"coding": [{"system": "https://clinic.example/texts/guided-self-help", "version": "3"}]},
        **changed,
    }
