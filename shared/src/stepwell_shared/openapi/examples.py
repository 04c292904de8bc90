"""Requests for the OpenAPI documents that the services accept as they stand: the examples of /docs, held to it by test.

They are about `Patient/example`, whom the example of Patient brings into being.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from stepwell_shared.canonical import CANONICAL
from stepwell_shared.fhir.registry import Interaction, Registry
from stepwell_shared.fhir.validation.profiles import BASE

Resource = dict[str, Any]
_LOINC = "http://loinc.org"
# Where clients make what other services keep copies of, or take from partner organisations only.
_MADE_AT = {"Patient": "screening", "QuestionnaireResponse": "screening"}
_PLACEHOLDER = "urn:uuid:4f0c5c1e-6c1b-4c3a-9a52-0d6c1f6f1a01"
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


def _schedule() -> Resource:
    return {
        "resourceType": "Schedule",
        "id": "example",
        "active": True,
        "actor": [{"reference": "HealthcareService/example"}],
        "comment": "Groups on Monday mornings",
    }


def _slot() -> Resource:
    places = [{"url": "total", "valuePositiveInt": 12}, {"url": "free", "valueUnsignedInt": 12}]
    return {
        "resourceType": "Slot",
        "id": "example",
        "extension": [{"url": f"{CANONICAL}/StructureDefinition/slot-places", "extension": places}],
        "schedule": {"reference": "Schedule/example"},
        "status": "free",
        "start": "2031-03-03T09:00:00Z",
        "end": "2031-03-03T10:30:00Z",
    }


def _booking(number: str) -> Resource:
    """A place of the group for somebody who is named by a number of their clinic."""
    identifier = {"system": "https://clinic.example/mrn", "value": number}
    return _asked(
        {"name": "slot", "valueReference": {"reference": "Slot/example"}},
        {"name": "patient-reference", "valueReference": {"type": "Patient", "identifier": identifier}},
    )


def _asked(*parameters: Resource) -> Resource:
    return {"resourceType": "Parameters", "parameter": list(parameters)}


def _find() -> Resource:
    return _asked(
        {"name": "start", "valueDateTime": "2031-03-01T00:00:00Z"},
        {"name": "end", "valueDateTime": "2031-03-31T00:00:00Z"},
        {"name": "healthcare-service", "valueReference": {"reference": "HealthcareService/example"}},
    )


def _move() -> Resource:
    return _asked({"name": "slot", "valueReference": {"reference": "Slot/example"}})


def _match() -> Resource:
    return _asked(
        {"name": "tier", "valueCode": "tier-2"},
        {"name": "spoken", "valueCode": "de,en"},
        {"name": "barrier", "valueCode": "work,transport"},
    )


def _match_again() -> Resource:
    return _asked({"name": "modality", "valueCode": "telehealth"}, {"name": "audience", "valueCode": "patient"})


def _nothing() -> Resource:
    return {"resourceType": "Parameters"}


# What operations take, by the type that they are asked at.
_OPERATIONS: dict[str, Callable[[], Resource]] = {
    "Task-record-risk-level": _risk_level,
    "Appointment-find": _find,
    "Appointment-hold": partial(_booking, "100-051"),
    "Appointment-book": partial(_booking, "100-052"),
    "Appointment-reschedule": _move,
    "HealthcareService-match": _match,
    "Task-match": _match_again,
    "HealthcareService-queue": _nothing,
    "HealthcareService-wait-calibration": _nothing,
    "HealthcareService-capacity-forecast": _nothing,
    "Task-wait": _nothing,
    "Patient-care-coordination": _nothing,
}


def example_of(resource_type: str, topics: tuple[str, ...]) -> Resource | None:
    """A resource as a client sends it, or None for types without one; `topics` are the canonicals of the service."""
    makers = {
        "Patient": _patient,
        "QuestionnaireResponse": _response,
        "Observation": _observation,
        "Organization": _organization,
        "HealthcareService": _healthcare_service,
        "Schedule": _schedule,
        "Slot": _slot,
    }
    if resource_type == "Subscription":
        return _subscription(topics[0]) if topics else None
    maker = makers.get(resource_type)
    return None if maker is None else maker()


def is_made_at(service: str, resource_type: str) -> bool:
    """Whether clients of this service send such resources themselves."""
    return _MADE_AT.get(resource_type, service) == service


def operation_example(resource_type: str | None, name: str) -> Resource | None:
    """Parameters for an operation of a type, or None where no example of them is kept."""
    maker = _OPERATIONS.get(f"{resource_type}-{name}")
    return None if maker is None else maker()


def validation_example(resource: Resource, *, creates: bool) -> Resource:
    """Parameters of $validate for a resource: a profile to hold it to, and as a create where clients create it."""
    profile = resource.get("meta", {}).get("profile") or [f"{BASE}{resource['resourceType']}"]
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "resource", "resource": resource},
            *([{"name": "mode", "valueCode": "create"}] if creates else []),
            {"name": "profile", "valueUri": profile[0]},
        ],
    }


def bundle_examples(registry: Registry) -> dict[str, Any]:
    """A batch of searches, and a transaction where clients create what belongs together."""
    names = [each.name for each in registry if each.allows(Interaction.SEARCH_TYPE)][:2]
    batch = [{"request": {"method": "GET", "url": f"{name}?_count=5&_sort=-_lastUpdated"}} for name in names]
    found = {"batch": {"summary": "Two searches", "value": _bundle("batch", batch)}}
    together = ("Patient", "QuestionnaireResponse")
    if all(is_made_at(registry.service, name) and _creates(registry, name) for name in together):
        linked = _bundle("transaction", [_person_entry(), _response_entry()])
        found["transaction"] = {"summary": "A person, unless known, and their answers", "value": linked}
    return found


def _creates(registry: Registry, name: str) -> bool:
    served_type = registry.types.get(name)
    return served_type is not None and served_type.allows(Interaction.CREATE)


def _bundle(kind: str, entries: list[Resource]) -> Resource:
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def _person_entry() -> Resource:
    (identifier,) = [{**each, "value": "100-043"} for each in _patient()["identifier"]]
    person = {key: value for key, value in _patient().items() if key != "id"} | {"identifier": [identifier]}
    criteria = f"identifier={identifier['system']}|{identifier['value']}"
    request = {"method": "POST", "url": "Patient", "ifNoneExist": criteria}
    return {"fullUrl": _PLACEHOLDER, "resource": person, "request": request}


def _response_entry() -> Resource:
    response = {key: value for key, value in _response().items() if key != "id"}
    response["identifier"] = {**response["identifier"], "value": "2026-000118"}
    response["subject"] = {"reference": _PLACEHOLDER}
    return {"resource": response, "request": {"method": "POST", "url": "QuestionnaireResponse"}}
