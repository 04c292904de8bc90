"""`$extract`: what a finished response says, as resources in a transaction. Nothing is stored.

https://hl7.org/fhir/uv/sdc/OperationDefinition-QuestionnaireResponse-extract.html
"""

import asyncio
from functools import lru_cache, partial
from typing import Any
from uuid import uuid4

import orjson
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.definitions import served_types, type_names
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.validation.shape import shape
from stepwell_shared.runtime import Runtime

from stepwell_screening.instruments import find_instrument
from stepwell_screening.rules.extraction import Element, Extracted, extract
from stepwell_screening.rules.finding import FINISHED
from stepwell_screening.use_cases.sdc_parameters import (
    Asked,
    asked,
    issues_of,
    parameters_response,
    read_resource,
    resource_of,
    too_much,
    unprocessable,
)

Resource = dict[str, Any]

ROOT = "QuestionnaireResponse"


async def extract_response(runtime: Runtime, request: Request) -> Response:
    """`QuestionnaireResponse/$extract` and `/[id]/$extract`: Parameters with `return`, a transaction, and `issues`."""
    given = asked(request, "questionnaire-response", ("questionnaire-response", "questionnaire"))
    source: Resource | None
    if request.id:
        response = await read_resource(runtime, request, ROOT, request.id)
        source = {"reference": f"{runtime.engine.base_url}/{ROOT}/{request.id}"}
    else:
        response = resource_of(given.one("questionnaire-response"), "questionnaire-response", ROOT)
        source = _source(response)
    if response.get("status") not in FINISHED:
        raise unprocessable("only what is completed or amended is extracted", f"{ROOT}.status")
    questionnaire = await _questionnaire(runtime, request, given, response)
    try:
        # In a thread: what a form may ask for is bounded, and others need not wait for it.
        made = await asyncio.to_thread(
            partial(
                extract,
                questionnaire,
                response,
                structure=elements,
                new_uuid=lambda: f"urn:uuid:{uuid4()}",
                now=runtime.clock(),
                source=source,
            )
        )
    except ValueError as error:
        raise too_much(error) from error
    return await asyncio.to_thread(_answer, request, made, source)


def _source(response: Resource) -> Resource | None:
    """How an extracted Observation refers to a response that was sent along."""
    if "id" in response:
        return {"reference": f"{ROOT}/{response['id']}"}
    return {"type": ROOT, "identifier": response["identifier"]} if "identifier" in response else None


async def _questionnaire(runtime: Runtime, request: Request, given: Asked, response: Resource) -> Resource:
    """The one that was sent along, the one that the response contains, or the one that it names and is held to."""
    canonical = str(response.get("questionnaire", ""))
    sent = given.one("questionnaire")
    if sent is not None:
        questionnaire = resource_of(sent, "questionnaire", "Questionnaire")
        _refuse_another(questionnaire, canonical, sent.path)
        return questionnaire
    for each in response.get("contained", ()):
        if each.get("resourceType") == "Questionnaire" and canonical == f"#{each.get('id')}":
            contained: Resource = each
            return contained
    instrument = await find_instrument(runtime, request.access.tenant, canonical) if canonical else None
    if instrument is None:
        text = "the Questionnaire of this response is not known here; send it along as the parameter questionnaire"
        raise unprocessable(text, f"{ROOT}.questionnaire", "not-found")
    findings = [] if request.id else instrument.check(response)
    if findings:
        raise FhirError(Category.BUSINESS_RULE, issues_of(findings, "error"))
    return instrument.questionnaire


def _refuse_another(questionnaire: Resource, canonical: str, path: str) -> None:
    """The answers must be to this Questionnaire, or to one that it derives from."""
    url, _, version = canonical.partition("|")
    derived = {str(each).partition("|")[0] for each in questionnaire.get("derivedFrom", ())}
    if not url or url in derived:
        return
    is_same = questionnaire.get("url") == url and version in {"", questionnaire.get("version", version)}
    if not is_same:
        raise unprocessable("the response answers another Questionnaire", f"{path}.resource.url")


def _answer(request: Request, made: Extracted, source: Resource | None) -> Response:
    issues = issues_of(made.findings)
    if not made.entries:
        text = "nothing is extracted from this response: no answer is marked for it"
        return parameters_response({}, "issues", [*issues, Issue(text, "informational", ROOT, "warning")], request.id)
    if source is None:
        text = "the response has no id and no identifier, so that Observations cannot say what they derive from"
        issues.append(Issue(text, "incomplete", ROOT, "warning"))
    for index, entry in enumerate(made.entries):
        issues += _flaws(entry["resource"], f"Bundle.entry[{index}].resource")
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": made.entries}
    return parameters_response({"return": bundle}, "issues", issues[:100], request.id)


def _flaws(resource: Resource, path: str) -> list[Issue]:
    """What R4 has against an extracted resource: its author should know before somebody sends it."""
    kind = resource["resourceType"]
    if kind not in served_types():
        return []
    found = validation.validate(orjson.loads(encode(resource)), kind)
    places = [(each.expression or kind).replace(kind, path, 1) for each in found]
    return [Issue(each.diagnostics, each.code, at, "warning") for each, at in zip(found, places, strict=True)]


@lru_cache(maxsize=4096)
def elements(path: str, name: str) -> tuple[Element, ...]:
    """The element of this name in a type of R4, for `rules.extraction`."""
    if path.partition(".")[0] not in type_names():
        return ()
    try:
        properties = shape(path).properties
    except KeyError:
        return ()
    found = [properties[name]] if name in properties else []
    found = found or [each for each in properties.values() if each.element.is_choice and each.element.name == name]
    return tuple(Element(each.name, each.kind, each.content, each.element.repeats) for each in found)
