"""The CDS services in routing's OpenAPI document: addresses, what they take and answer, and examples that hold."""

from typing import Any

from stepwell_shared.canonical import code_system
from stepwell_shared.openapi.operation import refusals

from stepwell_routing.cds.services import EARLIER_RESULTS, ORDER_SIGN, PATIENT_VIEW, SERVICES, CdsService

PATH = "/routing/cds-services"
TAG = "CDS Hooks"
JSON = "application/json"
_REFUSED = ("400", "401", "404", "405", "408", "412", "413", "414", "415", "422", "431", "503")
_INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
_TEXT = {"type": "string"}

Json = dict[str, Any]


def documented() -> Json:
    """Paths, tag and security scheme, to be put beside those of FHIR."""
    paths: Json = {PATH: {"get": _discovery()}}
    for service in SERVICES.values():
        paths[f"{PATH}/{service.id}"] = {"post": _service(service)}
        paths[f"{PATH}/{service.id}/feedback"] = {"post": _feedback(service)}
    scheme = {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token that the registered EHR signs itself (ES384 or RS384): iss, aud = the exact URL that is"
        " called, iat, exp at most 5 minutes ahead, jti used once; https://cds-hooks.hl7.org/2.0/",
    }
    about = "Cards for EHRs while a chart is open or an order is written; see docs/cds-hooks.md"
    return {
        "paths": paths,
        "tags": [{"name": TAG, "description": about}],
        "securitySchemes": {"cds": scheme},
    }


def _discovery() -> Json:
    services = {"type": "object", "required": ["services"], "properties": {"services": {"type": "array"}}}
    answer = {"description": "Every hook of every service, with its prefetch.", "content": {JSON: {"schema": services}}}
    return {
        "operationId": "cds-services",
        "summary": "Which CDS services there are",
        "tags": [TAG],
        "security": [],
        "responses": {"200": answer, "304": {"description": "Not changed."}, **refusals("405", "414", "431", "503")},
    }


def _service(service: CdsService) -> Json:
    cards = {"type": "object", "required": ["cards"], "properties": {"cards": {"type": "array", "items": _card()}}}
    answer = {"description": "The cards; none is an answer too.", "content": {JSON: {"schema": cards}}}
    found = _posted(f"cds-{service.id}", service.description, _call(service), _example(service))
    return {**found, "responses": {"200": answer, **refusals(*_REFUSED)}}


def _feedback(service: CdsService) -> Json:
    one = {
        "type": "object",
        "required": ["card", "outcome", "outcomeTimestamp"],
        "properties": {
            "card": {**_TEXT, "format": "uuid"},
            "outcome": {"enum": ["accepted", "overridden"]},
            "outcomeTimestamp": {**_TEXT, "format": "date-time"},
            "acceptedSuggestions": {"type": "array", "items": {"type": "object", "required": ["id"]}},
            "overrideReason": {"type": "object", "properties": {"reason": {"type": "object"}, "userComment": _TEXT}},
        },
    }
    listed = {"type": "array", "minItems": 1, "maxItems": 200, "items": one}
    schema = {"type": "object", "required": ["feedback"], "properties": {"feedback": listed}}
    reason = {"system": code_system("cds-override-reason"), "code": "not-now"}
    example = {
        "feedback": [
            {
                "card": "4e0a3a1e-3283-4575-ab82-028d55fe2719",
                "outcome": "overridden",
                "overrideReason": {"reason": reason},
                "outcomeTimestamp": "2026-11-21T10:05:31Z",
            }
        ]
    }
    summary = "What became of cards; said again it counts once, and a comment is not kept"
    found = _posted(f"cds-{service.id}-feedback", summary, schema, example)
    answer = {"description": "Kept.", "content": {JSON: {"schema": {"type": "object"}}}}
    return {**found, "responses": {"200": answer, **refusals(*_REFUSED)}}


def _posted(operation_id: str, summary: str, schema: Json, example: Json) -> Json:
    content = {JSON: {"schema": schema, "examples": {"as the specification has it": {"value": example}}}}
    return {
        "operationId": operation_id,
        "summary": summary,
        "tags": [TAG],
        "security": [{"cds": []}],
        "requestBody": {"required": True, "content": content},
    }


def _call(service: CdsService) -> Json:
    context: Json = {"userId": _TEXT, "patientId": _TEXT}
    if PATIENT_VIEW not in service.hooks:
        selections = {"type": "array", "items": _TEXT}
        context |= {"draftOrders": {"type": "object"}, "selections": selections}
    needed = [name for name in context if name != "selections"]
    return {
        "type": "object",
        "required": ["hook", "hookInstance", "context"],
        "properties": {
            "hook": {"enum": list(service.hooks)},
            "hookInstance": {**_TEXT, "format": "uuid"},
            "context": {"type": "object", "required": needed, "properties": context},
            "prefetch": {"type": "object", "properties": {name: {"type": "object"} for name in service.prefetch}},
            "fhirServer": _TEXT,
            "fhirAuthorization": {"type": "object", "description": "It is not used: nothing is called back."},
        },
    }


def _card() -> Json:
    return {
        "type": "object",
        "required": ["uuid", "summary", "indicator", "source"],
        "properties": {
            "uuid": {**_TEXT, "format": "uuid"},
            "summary": {**_TEXT, "maxLength": 139},
            "indicator": {"enum": ["info", "warning", "critical"]},
            "detail": {**_TEXT, "description": "Markdown"},
        },
    }


def _example(service: CdsService) -> Json:
    context: Json = {"userId": "Practitioner/example", "patientId": "example"}
    prefetch: Json = {"patient": {"resourceType": "Patient", "id": "example"}}
    hook = PATIENT_VIEW
    if PATIENT_VIEW not in service.hooks:
        hook = ORDER_SIGN
        context["draftOrders"] = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": _order()}]}
    if service.id == EARLIER_RESULTS:
        prefetch["results"] = {"resourceType": "Bundle", "type": "searchset"}
    return {"hook": hook, "hookInstance": _INSTANCE, "context": context, "prefetch": prefetch}


def _order() -> Json:
    specialty = {"system": "http://snomed.info/sct", "code": "394913002", "display": "Psychotherapy"}
    return {
        "resourceType": "ServiceRequest",
        "id": "draft-1",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": "Patient/example"},
        "performerType": {"coding": [specialty]},
    }
