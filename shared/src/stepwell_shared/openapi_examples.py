"""Requests for the OpenAPI documents that the services accept as they stand: the examples of /docs, held to it by test.

They are about `Patient/example`, whom the example of Patient brings into being.
"""

from typing import Any

from stepwell_shared.canonical import CANONICAL

Resource = dict[str, Any]
_LOINC = "http://loinc.org"
_PERSON = {"reference": "Patient/example"}
_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
# PHQ-9 in LOINC: the nine scored questions in order, and answers for a total of 16 with item nine denied.
_PHQ_9_QUESTIONS = (
    "44250-9", "44255-8", "44259-0", "44254-1", "44251-7", "44258-2", "44252-5", "44253-3", "44260-8",
)  # fmt: skip
_MORE_THAN_HALF_THE_DAYS = {"system": _LOINC, "code": "LA6570-1", "display": "More than half the days"}
_NOT_AT_ALL = {"system": _LOINC, "code": "LA6568-5", "display": "Not at all"}


def _patient() -> Resource:
    return {
        "resourceType": "Patient",
        "id": "example",
        "identifier": [{"system": "https://clinic.example/mrn", "value": "100-042"}],
        "active": True,
        "name": [{"family": "Example", "given": ["Alex"]}],
        "gender": "other",
        "birthDate": "1984-05-17",
    }


def _response() -> Resource:
    answers = [_MORE_THAN_HALF_THE_DAYS] * 8 + [_NOT_AT_ALL]
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "example",
        "identifier": {"system": "https://clinic.example/forms", "value": "2026-000117"},
        "questionnaire": f"{CANONICAL}/Questionnaire/phq-9|1.0.0",
        "status": "completed",
        "subject": _PERSON,
        "authored": "2026-11-20T09:30:00Z",
        "item": [
            {"linkId": f"/{question}", "answer": [{"valueCoding": coding}]}
            for question, coding in zip(_PHQ_9_QUESTIONS, answers, strict=True)
        ],
    }


def _observation() -> Resource:
    return {
        "resourceType": "Observation",
        "id": "example",
        "status": "final",
        "code": {"coding": [{"system": _LOINC, "code": "8867-4", "display": "Heart rate"}]},
        "subject": _PERSON,
        "effectiveDateTime": "2026-11-20T09:40:00Z",
        "valueQuantity": {"value": 72, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
    }


def _organization() -> Resource:
    return {
        "resourceType": "Organization",
        "id": "example",
        "identifier": [{"system": "https://clinic.example/organizations", "value": "north-hospital"}],
        "active": True,
        "name": "North Hospital, Department of Psychosomatic Medicine",
    }


def _healthcare_service() -> Resource:
    return {
        "resourceType": "HealthcareService",
        "id": "example",
        "active": True,
        "name": "Group therapy, Tuesdays",
        "comment": "Eight places; interpreters on request.",
    }


def _subscription(topic: str) -> Resource:
    content = {"url": f"{_BACKPORT}/backport-payload-content", "valueCode": "id-only"}
    return {
        "resourceType": "Subscription",
        "id": "example",
        "meta": {"profile": [f"{_BACKPORT}/backport-subscription"]},
        "status": "requested",
        "reason": "Keep the clinic's record up to date",
        "criteria": topic,
        "channel": {
            "type": "rest-hook",
            "endpoint": "https://clinic.example/notifications",
            "payload": "application/fhir+json",
            "_payload": {"extension": [content]},
        },
    }


def _risk_level() -> Resource:
    return {"resourceType": "Parameters", "parameter": [{"name": "level", "valueCode": "moderate"}]}


def example_of(resource_type: str, topics: tuple[str, ...]) -> Resource | None:
    """A resource as a client sends it, or None for types without one; `topics` are the canonicals of the service."""
    makers = {
        "Patient": _patient,
        "QuestionnaireResponse": _response,
        "Observation": _observation,
        "Organization": _organization,
        "HealthcareService": _healthcare_service,
    }
    if resource_type == "Subscription":
        return _subscription(topics[0]) if topics else None
    maker = makers.get(resource_type)
    return None if maker is None else maker()


def operation_example(name: str) -> Resource | None:
    """Parameters for an operation, or None where it takes none."""
    return _risk_level() if name == "record-risk-level" else None
