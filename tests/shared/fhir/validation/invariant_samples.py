"""For each invariant: where its node stands, a node that keeps the rule and one that breaks it."""

from typing import Any

UCUM = "http://unitsofmeasure.org"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
LOINC = "http://loinc.org"
TEXT = {"text": "x"}
PATIENT = {"reference": "Patient/p1"}
STAFF = {"reference": "Practitioner/d1"}
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'


def code(value: str, system: str = LOINC) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": value}]}


def quantity(value: float, unit: str = "a", system: str = UCUM) -> dict[str, Any]:
    return {"value": value, "system": system, "code": unit}


def item(**fields: object) -> dict[str, Any]:
    return {"linkId": "1", **fields}


Sample = tuple[str, Any, Any]

DATATYPES: dict[str, Sample] = {
    "age-1": ("Condition.onsetAge", quantity(3), {"value": 3}),
    "att-1": ("Patient.photo", {"contentType": "image/png", "data": "aGk="}, {"data": "aGk="}),
    "cnt-3": ("Measure.extension.valueCount", quantity(3, "1"), quantity(3.5, "1")),
    "cpt-2": ("Patient.telecom", {"system": "phone", "value": "1"}, {"value": "1"}),
    "dis-1": ("Measure.extension.valueDistance", quantity(3, "m"), quantity(3, "m", "urn:x")),
    "drq-1": ("Library.dataRequirement.codeFilter", {"path": "code"}, {"path": "code", "searchParam": "code"}),
    "drq-2": ("Library.dataRequirement.dateFilter", {"path": "date"}, {"valueDateTime": "2026"}),
    "drt-1": ("Goal.target.dueDuration", quantity(3, "d"), {"code": "d"}),
    "exp-1": (
        "PlanDefinition.action.condition.expression",
        {"language": "text/fhirpath", "expression": "true"},
        {"language": "text/fhirpath"},
    ),
    "per-1": (
        "Patient.identifier.period",
        {"start": "2026-01-01T10:00:00Z", "end": "2026-01-01T12:00:00+01:00"},
        {"start": "2026-01-02", "end": "2026-01-01"},
    ),
    "qty-3": ("Observation.valueQuantity", quantity(3), {"value": 3, "code": "a"}),
    "rat-1": (
        "Observation.valueRatio",
        {"numerator": {"value": 1}, "denominator": {"value": 2}},
        {"numerator": {"value": 1}},
    ),
    "rng-2": (
        "Observation.valueRange",
        {"low": {"value": 1}, "high": {"value": 2}},
        {"low": {"value": 3}, "high": {"value": 2}},
    ),
    "tim-1": ("ServiceRequest.occurrenceTiming.repeat", {"duration": 1, "durationUnit": "h"}, {"duration": 1}),
    "tim-2": ("ServiceRequest.occurrenceTiming.repeat", {"period": 1, "periodUnit": "wk"}, {"period": 1}),
    "tim-4": (
        "ServiceRequest.occurrenceTiming.repeat",
        {"duration": 0, "durationUnit": "h"},
        {"duration": -1, "durationUnit": "h"},
    ),
    "tim-5": (
        "ServiceRequest.occurrenceTiming.repeat",
        {"period": 0, "periodUnit": "h"},
        {"period": -1, "periodUnit": "h"},
    ),
    "tim-6": ("ServiceRequest.occurrenceTiming.repeat", {"period": 1, "periodMax": 2}, {"periodMax": 2}),
    "tim-7": ("ServiceRequest.occurrenceTiming.repeat", {"duration": 1, "durationMax": 2}, {"durationMax": 2}),
    "tim-8": ("ServiceRequest.occurrenceTiming.repeat", {"count": 1, "countMax": 2}, {"countMax": 2}),
    "tim-9": ("ServiceRequest.occurrenceTiming.repeat", {"offset": 5, "when": ["HS"]}, {"offset": 5, "when": ["C"]}),
    "tim-10": (
        "ServiceRequest.occurrenceTiming.repeat",
        {"timeOfDay": ["10:00:00"]},
        {"timeOfDay": ["10:00:00"], "when": ["HS"]},
    ),
    "trd-1": (
        "PlanDefinition.action.trigger",
        {"type": "data-added", "data": [{"type": "Observation"}]},
        {"type": "data-added", "data": [{"type": "Observation"}], "timingDate": "2026-01-01"},
    ),
    "trd-2": (
        "PlanDefinition.action.trigger",
        {"type": "named-event", "name": "x"},
        {"type": "named-event", "name": "x", "condition": {"language": "text/fhirpath", "expression": "true"}},
    ),
    "trd-3": ("PlanDefinition.action.trigger", {"type": "periodic", "timingDate": "2026-01-01"}, {"type": "periodic"}),
    "txt-1": ("Patient.text.div", f"{DIV}hello</div>", f"{DIV}hello<script>1</script></div>"),
    "txt-2": ("Patient.text.div", f"{DIV}hello</div>", f"{DIV} </div>"),
}

_OBSERVATION = {"status": "final", "code": code("44261-6")}
_COMPONENT = {"valueQuantity": quantity(1, "{score}")}
CLINICAL_RULES: dict[str, Sample] = {
    "con-1": ("Condition.stage", {"summary": TEXT}, {"type": TEXT}),
    "con-2": ("Condition.evidence", {"code": [TEXT]}, {"id": "e1"}),
    "con-4": (
        "Condition",
        {"subject": PATIENT, "abatementDateTime": "2026", "clinicalStatus": code("resolved", CLINICAL)},
        {"subject": PATIENT, "abatementDateTime": "2026", "clinicalStatus": code("active", CLINICAL)},
    ),
    "con-5": (
        "Condition",
        {"subject": PATIENT, "verificationStatus": code("entered-in-error", VERIFICATION)},
        {
            "subject": PATIENT,
            "verificationStatus": code("entered-in-error", VERIFICATION),
            "clinicalStatus": code("active", CLINICAL),
        },
    ),
    "gol-1": ("Goal.target", {"measure": TEXT, "detailString": "x"}, {"detailString": "x"}),
    "grp-1": (
        "Group",
        {"type": "person", "actual": True, "member": [{"entity": PATIENT}]},
        {"type": "person", "actual": False, "member": [{"entity": PATIENT}]},
    ),
    "obs-3": ("Observation.referenceRange", {"text": "0-27"}, {"appliesTo": [TEXT]}),
    "obs-6": (
        "Observation",
        {**_OBSERVATION, "dataAbsentReason": TEXT},
        {**_OBSERVATION, "dataAbsentReason": TEXT, "valueInteger": 3},
    ),
    "obs-7": (
        "Observation",
        {**_OBSERVATION, "valueInteger": 3, "component": [{"code": code("other"), **_COMPONENT}]},
        {**_OBSERVATION, "valueInteger": 3, "component": [{"code": code("44261-6"), **_COMPONENT}]},
    ),
    "pat-1": ("Patient.contact", {"name": {"family": "x"}}, {"gender": "female"}),
    "qrs-1": (
        "QuestionnaireResponse.item",
        item(answer=[{"valueInteger": 1}]),
        item(answer=[{"valueInteger": 1}], item=[{"linkId": "2"}]),
    ),
    "ras-1": (
        "RiskAssessment.prediction.probabilityRange",
        {"low": quantity(1, "%"), "high": quantity(2, "%")},
        {"low": quantity(1, "1"), "high": quantity(2, "1")},
    ),
    "ras-2": ("RiskAssessment.prediction", {"probabilityDecimal": 100}, {"probabilityDecimal": 101}),
}

_APPOINTMENT = {"participant": [{"actor": PATIENT, "status": "accepted"}]}
_TIMES = {"start": "2026-01-01T10:00:00Z", "end": "2026-01-01T11:00:00Z"}
_LIST = {"status": "current", "mode": "working"}
WORKFLOW: dict[str, Sample] = {
    "app-1": ("Appointment.participant", {"actor": PATIENT, "status": "accepted"}, {"status": "accepted"}),
    "app-2": (
        "Appointment",
        {**_APPOINTMENT, **_TIMES, "status": "proposed"},
        {**_APPOINTMENT, "start": "2026-01-01T10:00:00Z", "status": "proposed"},
    ),
    "app-3": ("Appointment", {**_APPOINTMENT, "status": "waitlist"}, {**_APPOINTMENT, "status": "booked"}),
    "app-4": (
        "Appointment",
        {**_APPOINTMENT, **_TIMES, "status": "cancelled", "cancelationReason": TEXT},
        {**_APPOINTMENT, **_TIMES, "status": "booked", "cancelationReason": TEXT},
    ),
    "apr-1": (
        "AppointmentResponse",
        {"appointment": {"reference": "Appointment/a"}, "participantStatus": "accepted", "actor": PATIENT},
        {"appointment": {"reference": "Appointment/a"}, "participantStatus": "accepted"},
    ),
    "cpl-3": (
        "CarePlan.activity",
        {"detail": {"status": "scheduled"}},
        {"detail": {"status": "scheduled"}, "reference": {"reference": "Task/t1"}},
    ),
    "ctm-1": (
        "CareTeam.participant",
        {"member": STAFF, "onBehalfOf": {"reference": "Organization/o1"}},
        {"member": PATIENT, "onBehalfOf": {"reference": "Organization/o1"}},
    ),
    "inv-1": (
        "Task",
        {"status": "draft", "intent": "order", "authoredOn": "2026-01-01", "lastModified": "2026-01-02"},
        {"status": "draft", "intent": "order", "authoredOn": "2026-01-02", "lastModified": "2026-01-01"},
    ),
    "lst-1": (
        "List",
        {**_LIST, "emptyReason": TEXT},
        {**_LIST, "emptyReason": TEXT, "entry": [{"item": PATIENT}]},
    ),
    "lst-2": (
        "List",
        {**_LIST, "mode": "changes", "entry": [{"item": PATIENT, "deleted": True}]},
        {**_LIST, "entry": [{"item": PATIENT, "deleted": True}]},
    ),
    "lst-3": (
        "List",
        {**_LIST, "entry": [{"item": PATIENT, "date": "2026"}]},
        {**_LIST, "mode": "snapshot", "entry": [{"item": PATIENT, "date": "2026"}]},
    ),
    "org-1": ("Organization", {"name": "x"}, {"active": True}),
    "org-2": ("Organization.address", {"use": "work"}, {"use": "home"}),
    "org-3": ("Organization.telecom", {"use": "work"}, {"use": "home"}),
    "ppc-1": (
        "Consent",
        {"status": "active", "scope": TEXT, "category": [TEXT], "policyRule": TEXT},
        {"status": "active", "scope": TEXT, "category": [TEXT]},
    ),
    "prr-1": (
        "ServiceRequest",
        {"status": "active", "intent": "plan", "subject": PATIENT, "code": TEXT, "orderDetail": [TEXT]},
        {"status": "active", "intent": "plan", "subject": PATIENT, "orderDetail": [TEXT]},
    ),
    "rqg-1": (
        "RequestGroup.action",
        {"resource": {"reference": "Task/t1"}},
        {"resource": {"reference": "Task/t1"}, "action": [{"resource": {"reference": "Task/t2"}}]},
    ),
    "sev-1": ("AuditEvent.entity", {"name": "x"}, {"name": "x", "query": "aGk="}),
}

_MEASURE = {"status": "draft"}
_REPORT = {"status": "complete", "measure": "https://example.org/m", "period": {"start": "2026"}}
_VALUE_SET = "ValueSet.compose.include"
_EXPANSION = "ValueSet.expansion.contains"
_STATEMENT = {"status": "draft", "date": "2026", "fhirVersion": "4.0.1", "format": ["json"]}
_REST = {"rest": [{"mode": "server"}], "description": "x"}
_REQUIREMENTS = {**_STATEMENT, **_REST, "kind": "requirements"}
DEFINITIONAL: dict[str, Sample] = {
    "que-1": ("Questionnaire.item", item(type="group", item=[item(linkId="2", type="display")]), item(type="group")),
    "que-2": (
        "Questionnaire",
        {"status": "draft", "item": [item(type="group", item=[item(linkId="2", type="display")])]},
        {"status": "draft", "item": [item(type="group", item=[item(linkId="1", type="display")])]},
    ),
    "que-3": ("Questionnaire.item", item(type="display"), item(type="display", code=[{"code": "x"}])),
    "que-4": (
        "Questionnaire.item",
        item(type="choice", answerValueSet="https://example.org/v"),
        item(type="choice", answerValueSet="https://example.org/v", answerOption=[{"valueInteger": 1}]),
    ),
    "que-5": (
        "Questionnaire.item",
        item(type="choice", answerOption=[{"valueInteger": 1}]),
        item(type="boolean", answerOption=[{"valueInteger": 1}]),
    ),
    "que-6": ("Questionnaire.item", item(type="string", required=True), item(type="display", required=True)),
    "que-7": (
        "Questionnaire.item.enableWhen",
        {"question": "1", "operator": "exists", "answerBoolean": True},
        {"question": "1", "operator": "exists", "answerString": "x"},
    ),
    "que-8": (
        "Questionnaire.item",
        item(type="string", initial=[{"valueString": "x"}]),
        item(type="display", initial=[{"valueString": "x"}]),
    ),
    "que-9": ("Questionnaire.item", item(type="string", readOnly=True), item(type="display", readOnly=True)),
    "que-10": ("Questionnaire.item", item(type="string", maxLength=3), item(type="date", maxLength=3)),
    "que-11": (
        "Questionnaire.item",
        item(type="choice", answerOption=[{"valueInteger": 1}]),
        item(type="choice", answerOption=[{"valueInteger": 1}], initial=[{"valueInteger": 1}]),
    ),
    "que-12": (
        "Questionnaire.item",
        item(
            type="string",
            enableBehavior="all",
            enableWhen=[{"question": "1", "operator": "exists", "answerBoolean": True}] * 3,
        ),
        item(type="string", enableWhen=[{"question": "1", "operator": "exists", "answerBoolean": True}] * 3),
    ),
    "que-13": (
        "Questionnaire.item",
        item(type="string", repeats=True, initial=[{"valueString": "x"}] * 2),
        item(type="string", initial=[{"valueString": "x"}] * 2),
    ),
    "mea-1": (
        "Measure",
        {**_MEASURE, "group": [{"stratifier": [{"code": TEXT}]}]},
        {
            **_MEASURE,
            "group": [
                {"stratifier": [{"code": TEXT, "component": [{"criteria": {"language": "x", "expression": "y"}}]}]}
            ],
        },
    ),
    "mrp-1": (
        "MeasureReport",
        {**_REPORT, "type": "summary", "group": [{"code": TEXT}]},
        {**_REPORT, "type": "data-collection", "group": [{"code": TEXT}]},
    ),
    "mrp-2": (
        "MeasureReport",
        {**_REPORT, "type": "summary", "group": [{"stratifier": [{"stratum": [{"value": TEXT}]}]}]},
        {
            **_REPORT,
            "type": "summary",
            "group": [{"stratifier": [{"stratum": [{"value": TEXT, "component": [{"code": TEXT, "value": TEXT}]}]}]}],
        },
    ),
    "csd-1": (
        "CodeSystem",
        {"status": "draft", "content": "complete", "concept": [{"code": "a", "concept": [{"code": "b"}]}]},
        {"status": "draft", "content": "complete", "concept": [{"code": "a", "concept": [{"code": "a"}]}]},
    ),
    "vsd-1": (_VALUE_SET, {"system": "urn:x"}, {"version": "1"}),
    "vsd-2": (_VALUE_SET, {"system": "urn:x", "concept": [{"code": "a"}]}, {"concept": [{"code": "a"}]}),
    "vsd-3": (
        _VALUE_SET,
        {"system": "urn:x", "concept": [{"code": "a"}]},
        {"system": "urn:x", "concept": [{"code": "a"}], "filter": [{"property": "p", "op": "=", "value": "v"}]},
    ),
    "vsd-6": (_EXPANSION, {"display": "x", "abstract": True}, {"abstract": True}),
    "vsd-9": (_EXPANSION, {"display": "x", "abstract": True}, {"display": "x"}),
    "vsd-10": (_EXPANSION, {"system": "urn:x", "code": "a"}, {"code": "a"}),
    "cpb-1": ("CapabilityStatement", _REQUIREMENTS, {**_STATEMENT, "kind": "requirements", "description": "x"}),
    "cpb-2": (
        "CapabilityStatement",
        _REQUIREMENTS,
        {**_STATEMENT, "kind": "requirements", "rest": [{"mode": "server"}]},
    ),
    "cpb-3": (
        "CapabilityStatement",
        {**_REQUIREMENTS, "messaging": [{"reliableCache": 1}]},
        {**_REQUIREMENTS, "messaging": [{"endpoint": [{"protocol": {"code": "http"}, "address": "urn:x"}]}]},
    ),
    "cpb-7": (
        "CapabilityStatement",
        {
            **_REQUIREMENTS,
            "document": [{"mode": "producer", "profile": "urn:a"}, {"mode": "consumer", "profile": "urn:a"}],
        },
        {
            **_REQUIREMENTS,
            "document": [{"mode": "producer", "profile": "urn:a"}, {"mode": "producer", "profile": "urn:a"}],
        },
    ),
    "cpb-9": (
        "CapabilityStatement.rest",
        {"mode": "server", "resource": [{"type": "Patient"}, {"type": "Task"}]},
        {"mode": "server", "resource": [{"type": "Patient"}, {"type": "Patient"}]},
    ),
    "cpb-12": (
        "CapabilityStatement.rest.resource",
        {"type": "Patient", "searchParam": [{"name": "a", "type": "token"}, {"name": "b", "type": "token"}]},
        {"type": "Patient", "searchParam": [{"name": "a", "type": "token"}, {"name": "a", "type": "token"}]},
    ),
    "cpb-14": (
        "CapabilityStatement",
        {**_STATEMENT, **_REST, "kind": "instance", "implementation": {"description": "x"}},
        {**_STATEMENT, **_REST, "kind": "instance"},
    ),
    "cpb-15": (
        "CapabilityStatement",
        {**_STATEMENT, **_REST, "kind": "capability", "software": {"name": "x"}},
        {**_STATEMENT, **_REST, "kind": "capability", "implementation": {"description": "x"}},
    ),
    "cpb-16": ("CapabilityStatement", _REQUIREMENTS, {**_REQUIREMENTS, "software": {"name": "x"}}),
}

_RESOURCE = {"resource": {"resourceType": "Basic", "id": "b", "code": TEXT}}
_REQUEST = {"request": {"method": "GET", "url": "Patient/p1"}}
_DOCUMENT = {"type": "document", "timestamp": "2026-01-01T00:00:00Z", "identifier": {"system": "urn:x", "value": "1"}}
INFRASTRUCTURE: dict[str, Sample] = {
    "bdl-1": ("Bundle", {"type": "searchset", "total": 1}, {"type": "collection", "total": 1}),
    "bdl-2": (
        "Bundle",
        {"type": "searchset", "entry": [{**_RESOURCE, "search": {"mode": "match"}}]},
        {"type": "collection", "entry": [{**_RESOURCE, "search": {"mode": "match"}}]},
    ),
    "bdl-3": ("Bundle", {"type": "batch", "entry": [_REQUEST]}, {"type": "batch", "entry": [_RESOURCE]}),
    "bdl-4": (
        "Bundle",
        {"type": "batch-response", "entry": [{"response": {"status": "200"}}]},
        {"type": "batch-response", "entry": [_RESOURCE]},
    ),
    "bdl-5": ("Bundle.entry", _RESOURCE, {"fullUrl": "urn:x"}),
    "bdl-7": (
        "Bundle",
        {"type": "collection", "entry": [{"fullUrl": "urn:x", **_RESOURCE}, {"fullUrl": "urn:y", **_RESOURCE}]},
        {"type": "collection", "entry": [{"fullUrl": "urn:x", **_RESOURCE}, {"fullUrl": "urn:x", **_RESOURCE}]},
    ),
    "bdl-8": (
        "Bundle.entry",
        {**_RESOURCE, "fullUrl": "https://example.org/Basic/b"},
        {**_RESOURCE, "fullUrl": "https://example.org/Basic/b/_history/1"},
    ),
    "bdl-9": ("Bundle", _DOCUMENT, {**_DOCUMENT, "identifier": {"system": "urn:x"}}),
    "bdl-10": ("Bundle", _DOCUMENT, {"type": "document", "identifier": {"system": "urn:x", "value": "1"}}),
    "bdl-11": ("Bundle", {"type": "collection", "entry": [_RESOURCE]}, {**_DOCUMENT, "entry": [_RESOURCE]}),
    "bdl-12": ("Bundle", {"type": "collection", "entry": [_RESOURCE]}, {"type": "message", "entry": [_RESOURCE]}),
    "inv-1:Parameters": (
        "Parameters.parameter",
        {"name": "x", "valueString": "y"},
        {"name": "x", "valueString": "y", "part": [{"name": "p", "valueString": "z"}]},
    ),
}

SAMPLES: dict[str, Sample] = {**DATATYPES, **CLINICAL_RULES, **WORKFLOW, **DEFINITIONAL, **INFRASTRUCTURE}
