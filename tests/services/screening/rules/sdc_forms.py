"""Small forms with SDC's extensions, and what their extraction, population and assembly is called with."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import orjson
from stepwell_screening.rules.extraction import Extracted, extract
from stepwell_screening.rules.fhirpath import Budget
from stepwell_screening.use_cases.extracting import elements
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode

Resource = dict[str, Any]
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
CORE = "http://hl7.org/fhir/StructureDefinition/"
LOINC = "http://loinc.org"
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SOURCE = {"reference": "QuestionnaireResponse/r1"}


def said(name: str, **value: Any) -> Resource:
    """An extension of SDC with its value."""
    return {"url": f"{SDC}{name}", **value}


def period(value: int, code: str) -> Resource:
    """How old an Observation may be that answers a question."""
    duration = {"value": value, "unit": code, "system": "http://unitsofmeasure.org", "code": code}
    return said("observationLinkPeriod", valueDuration=duration)


def expression(extension: str, source: str, **more: Any) -> Resource:
    """An extension of SDC whose value is a FHIRPath expression."""
    return said(extension, valueExpression={"language": "text/fhirpath", "expression": source, **more})


def variable(name: str, source: str) -> Resource:
    value = {"name": name, "language": "text/fhirpath", "expression": source}
    return {"url": f"{CORE}variable", "valueExpression": value}


def unit(code: str) -> Resource:
    return {
        "url": f"{CORE}questionnaire-unit",
        "valueCoding": {"system": "http://unitsofmeasure.org", "code": code},
    }


def launch_context(name: str, kind: str) -> Resource:
    coding = {"system": "http://hl7.org/fhir/uv/sdc/CodeSystem/launchContext", "code": name}
    return said("launchContext", extension=[{"url": "name", "valueCoding": coding}, {"url": "type", "valueCode": kind}])


def coded(code: str, *extensions: Resource) -> Resource:
    return {"system": LOINC, "code": code, **({"extension": list(extensions)} if extensions else {})}


def question(link_id: str, kind: str = "string", *extensions: Resource, **members: Any) -> Resource:
    """An item; members that are lists of items make a group of it when `kind` says so."""
    return {
        "linkId": link_id,
        "type": kind,
        "text": link_id,
        **({"extension": list(extensions)} if extensions else {}),
        **members,
    }


def questionnaire(*items: Resource, extensions: tuple[Resource, ...] = (), **members: Any) -> Resource:
    return {
        "resourceType": "Questionnaire",
        "url": "https://forms.example/Questionnaire/form",
        "version": "1",
        "status": "draft",
        **({"extension": list(extensions)} if extensions else {}),
        "item": list(items),
        **members,
    }


def given(link_id: str, *values: Resource, items: tuple[Resource, ...] = ()) -> Resource:
    """A response item with these answers, or with items below it."""
    found: Resource = {"linkId": link_id}
    if values:
        found["answer"] = list(values)
    if items:
        found["item"] = list(items)
    return found


def response(*items: Resource, **members: Any) -> Resource:
    body = {
        "resourceType": "QuestionnaireResponse",
        "id": "r1",
        "questionnaire": "https://forms.example/Questionnaire/form|1",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "authored": "2026-11-21T09:50:00+01:00",
        "author": {"reference": "Practitioner/dr-1"},
        "item": list(items),
        **members,
    }
    return {name: value for name, value in body.items() if value is not None}


def numbered() -> Iterator[str]:
    for number in count(1):
        yield f"urn:uuid:00000000-0000-4000-8000-{number:012d}"


def extracted(form: Resource, answers: Resource, *, steps: int = 100_000) -> Extracted:
    """The extraction of a form that R4 accepts; every resource that comes of it is held to R4 too."""
    assert validation.validate(orjson.loads(encode(form)), "Questionnaire") == []
    assert validation.validate(orjson.loads(encode(answers)), "QuestionnaireResponse") == []
    ids = numbered()
    return extract(
        form,
        answers,
        structure=elements,
        new_uuid=lambda: next(ids),
        now=NOW,
        source=SOURCE,
        budget=Budget(steps),
    )


def resources(made: Extracted) -> list[Resource]:
    """What was extracted, once a transaction of it is what R4 accepts."""
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": made.entries}
    assert validation.validate(orjson.loads(encode(bundle)), "Bundle") == []
    return [entry["resource"] for entry in made.entries]
