"""Valid resources of the main types, as the services send and receive them, and the official R4 examples.

`official_examples.jsonl` holds valid examples of the package hl7.fhir.r4.examples 4.0.1 (CC0-1.0), one a line.
"""

import copy
from pathlib import Path
from typing import Any

import orjson

LOINC = "http://loinc.org"
STEPWELL = "https://stepwell.health/fhir"
PATIENT = {"reference": "Patient/p1"}
DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p>Hello</p></div>'

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o1",
    "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/Observation"]},
    "status": "final",
    "category": [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "survey"}]}
    ],
    "code": {"coding": [{"system": LOINC, "code": "44261-6", "display": "PHQ-9 total score"}]},
    "subject": PATIENT,
    "effectiveDateTime": "2026-11-21T20:54:00.000+00:00",
    "issued": "2026-11-21T20:54:00.000Z",
    "performer": [{"reference": "https://screening.example.org/fhir/Practitioner/x", "display": "Dr X"}],
    "valueQuantity": {"value": 12, "unit": "{score}", "system": "http://unitsofmeasure.org", "code": "{score}"},
    "derivedFrom": [{"reference": "QuestionnaireResponse/q1"}],
}
RESPONSE: dict[str, Any] = {
    "resourceType": "QuestionnaireResponse",
    "questionnaire": f"{STEPWELL}/Questionnaire/phq-9|1.0.0",
    "status": "completed",
    "subject": PATIENT,
    "authored": "2026-11-21T20:54:00Z",
    "item": [
        {"linkId": f"/{number}", "answer": [{"valueCoding": {"system": LOINC, "code": "LA6568-5"}}]}
        for number in range(1, 10)
    ],
}
QUESTIONNAIRE: dict[str, Any] = {
    "resourceType": "Questionnaire",
    "url": f"{STEPWELL}/Questionnaire/phq-9",
    "version": "1.0.0",
    "status": "active",
    "subjectType": ["Patient"],
    "item": [
        {"linkId": "1", "type": "choice", "text": "Little interest", "answerOption": [{"valueInteger": 0}]},
        {
            "linkId": "2",
            "type": "group",
            "enableWhen": [{"question": "1", "operator": ">", "answerInteger": 0}],
            "item": [{"linkId": "2.1", "type": "string", "maxLength": 100}],
        },
    ],
}
PATIENT_RESOURCE: dict[str, Any] = {
    "resourceType": "Patient",
    "text": {"status": "generated", "div": DIV},
    "identifier": [{"system": "urn:oid:1.2.36.146", "value": "12345", "period": {"start": "2001-05-06"}}],
    "active": True,
    "name": [{"family": "Chalmers", "given": ["Peter", "James"]}],
    "telecom": [{"system": "phone", "value": "555", "rank": 1}],
    "gender": "female",
    "birthDate": "1974-12-25",
    "_birthDate": {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/x", "valueDateTime": "1974-12-25"}]},
    "managingOrganization": {"identifier": {"system": "urn:x", "value": "o1"}},
}


def _request(resource_type: str, **fields: object) -> dict[str, Any]:
    return {"resourceType": resource_type, "status": "active", "intent": "proposal", "subject": PATIENT, **fields}


SAMPLES: list[dict[str, Any]] = [
    OBSERVATION,
    RESPONSE,
    QUESTIONNAIRE,
    PATIENT_RESOURCE,
    _request("ServiceRequest", priority="urgent", code={"text": "Tier 3"}, occurrencePeriod={"start": "2026-11-21"}),
    _request("RequestGroup", action=[{"title": "Offer", "resource": {"reference": "ServiceRequest/s1"}}]),
    {
        "resourceType": "RiskAssessment",
        "status": "final",
        "subject": PATIENT,
        "prediction": [{"outcome": {"text": "self-harm"}, "probabilityDecimal": 0.02}],
    },
    {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "for": PATIENT,
        "focus": {"reference": "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7"},
        "output": [{"type": {"text": "risk level"}, "valueCodeableConcept": {"text": "low"}}],
    },
    {"resourceType": "Flag", "status": "active", "code": {"text": "SAF-1"}, "subject": PATIENT},
    {
        "resourceType": "Provenance",
        "target": [{"reference": "Observation/o1/_history/1"}],
        "recorded": "2026-11-21T20:54:00Z",
        "agent": [{"who": {"reference": "#device"}}],
        "contained": [{"resourceType": "Device", "id": "device"}],
    },
    {"resourceType": "EpisodeOfCare", "status": "active", "patient": PATIENT},
    {
        "resourceType": "PlanDefinition",
        "status": "active",
        "action": [{"condition": [{"kind": "applicability", "expression": {"expression": "a", "language": "x"}}]}],
    },
    {"resourceType": "HealthcareService", "active": True, "name": "Group therapy"},
    {"resourceType": "Organization", "name": "Practice", "telecom": [{"system": "email", "value": "a@example.org"}]},
    {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "scores",
        "criteria": f"{STEPWELL}/SubscriptionTopic/score-finalized",
        "_criteria": {"extension": [{"url": "http://example.org/filter", "valueString": "Observation?code=x"}]},
        "channel": {"type": "rest-hook", "endpoint": "https://example.org/hook", "payload": "application/fhir+json"},
    },
    {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7",
                "resource": OBSERVATION,
                "request": {"method": "POST", "url": "Observation"},
            }
        ],
    },
    {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "count", "valueInteger": 3},
            {"name": "group", "part": [{"name": "response", "resource": RESPONSE}]},
        ],
    },
    {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "invalid", "diagnostics": "x"}]},
    {"resourceType": "MeasureReport", "status": "complete", "type": "summary", "period": {"start": "2026"},
     "measure": f"{STEPWELL}/Measure/reach", "group": [{"population": [{"count": 3}]}]},
    {"resourceType": "Binary", "contentType": "text/plain", "data": "aGVsbG8="},
    {"resourceType": "Condition", "subject": PATIENT, "code": {"text": "x"}, "onsetAge": {"value": 3, "unit": "a",
     "system": "http://unitsofmeasure.org", "code": "a"}},
    {"resourceType": "Appointment", "status": "proposed", "participant": [{"actor": PATIENT, "status": "accepted"}]},
    {"resourceType": "Consent", "status": "active", "scope": {"text": "x"}, "category": [{"text": "x"}],
     "policyRule": {"text": "x"}, "patient": PATIENT},
]  # fmt: skip


def official_examples() -> list[dict[str, Any]]:
    lines = (Path(__file__).parent / "official_examples.jsonl").read_bytes().splitlines()
    return [orjson.loads(line) for line in lines]


def changed(resource: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy with another value at a path of keys and indexes (`item/0/linkId`); Ellipsis removes what is there."""
    copied = copy.deepcopy(resource)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    node: Any = copied
    for step in steps:
        node = node[step]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return copied
