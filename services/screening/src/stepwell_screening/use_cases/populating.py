"""`$populate`: a response in progress with what is known about its subject. Nothing is stored.

https://hl7.org/fhir/uv/sdc/OperationDefinition-Questionnaire-populate.html
"""

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from stepwell_shared.canonical import instant
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.runtime import Runtime

from stepwell_screening.rules.fhirpath import Collection, root
from stepwell_screening.rules.population import Known, about, launch_names, populate
from stepwell_screening.use_cases.sdc_parameters import (
    Asked,
    Parameter,
    asked,
    invalid,
    issues_of,
    parameters_response,
    questionnaire_of,
    referred,
    too_much,
)

Resource = dict[str, Any]

PARAMETERS = ("questionnaire", "canonical", "questionnaireRef", "subject", "context", "local", "data", "launchContext")
CONTEXTS_MAX = 50


async def populate_questionnaire(runtime: Runtime, request: Request) -> Response:
    """`Questionnaire/$populate` and `/[id]/$populate`: Parameters with `response`, in progress, and `issues`."""
    given = asked(request, "questionnaire", PARAMETERS)
    names = ("questionnaire", "canonical", "questionnaireRef")
    questionnaire = await questionnaire_of(runtime, request, given, *names)
    subject = _subject(given)
    issues: list[Issue] = []
    contexts = await _contexts(runtime, request, given, questionnaire, subject, issues)
    resources = [each for found in contexts.values() for each in _flat(item.value for item in found)]
    data = given.one("data")
    resources += _flat([data.resource]) if data is not None and data.resource is not None else []
    observations = [each for each in resources if each.get("resourceType") == "Observation"]
    now = runtime.clock()
    response = _response(questionnaire, subject, instant(now))
    reference = subject.get("reference") if subject is not None else None
    known = Known(contexts, about(observations, reference), resources)
    try:
        made = await asyncio.to_thread(partial(populate, questionnaire, response, known, now=now))
    except ValueError as error:
        raise too_much(error) from error
    if made.items:
        response["item"] = made.items
    return parameters_response({"response": response}, "issues", [*issues, *issues_of(made.findings)], request.id)


def _subject(given: Asked) -> Resource | None:
    parameter = given.one("subject")
    if parameter is None:
        return None
    value = parameter.value
    if isinstance(value, str) and value:
        return {"reference": value}
    if not isinstance(value, Mapping):
        raise invalid("the subject is a Reference", parameter.path, "value")
    return dict(value)


def _response(questionnaire: Resource, subject: Resource | None, authored: str) -> Resource:
    url, version = questionnaire.get("url"), questionnaire.get("version")
    canonical = f"{url}|{version}" if url and version else url
    return {
        "resourceType": "QuestionnaireResponse",
        **({"questionnaire": canonical} if canonical else {}),
        "status": "in-progress",
        **({"subject": subject} if subject is not None else {}),
        "authored": authored,
    }


async def _contexts(
    runtime: Runtime,
    request: Request,
    given: Asked,
    questionnaire: Resource,
    subject: Resource | None,
    issues: list[Issue],
) -> dict[str, Collection]:
    """What the request gives under names, and with `local` the subject as it is kept here."""
    found: dict[str, list[Resource]] = {}
    rows = [*given.all("context"), *given.all("launchContext")]
    if len(rows) > CONTEXTS_MAX:
        raise invalid(f"at most {CONTEXTS_MAX} contexts are taken", rows[CONTEXTS_MAX].path, "too-costly")
    for row in rows:
        name, contents = _named(row)
        for each in contents:
            content = each.resource
            if content is None:
                content = await _read(runtime, request, each, issues)
            if content is not None:
                found.setdefault(name, []).append(content)
    declared = launch_names(questionnaire)
    is_local = _is_true(given)
    if is_local and subject is not None and "reference" in subject and "patient" in declared and "patient" not in found:
        at = Parameter("subject", {"valueReference": subject}, "Parameters.parameter.where(name = 'subject')")
        patient = await _read(runtime, request, at, issues, "Patient")
        if patient is not None:
            found["patient"] = [patient]
    return {name: [item for each in contents for item in root(each)] for name, contents in found.items()}


def _named(row: Parameter) -> tuple[str, list[Parameter]]:
    parts = list(row.parts())
    names = [part.value for part in parts if part.name == "name"]
    contents = [part for part in parts if part.name == "content"]
    name = names[0].get("code") if len(names) == 1 and isinstance(names[0], Mapping) else next(iter(names), None)
    if not isinstance(name, str) or not contents:
        raise invalid("a context has one name and its content", row.path, "required")
    return name, contents


async def _read(
    runtime: Runtime, request: Request, parameter: Parameter, issues: list[Issue], *kinds: str
) -> Resource | None:
    """What a Reference names, if it is kept here and the caller may read it; else a warning says why not."""
    if not isinstance(parameter.value, Mapping):
        raise invalid("the content of a context is a resource or a Reference", parameter.path, "value")
    try:
        return await referred(runtime, request, parameter, *kinds)
    except FhirError as error:
        if error.category in {Category.UNAVAILABLE, Category.FORBIDDEN, Category.FAULT}:
            raise
        text = "what this refers to is not kept here, or not within reach; send it along as content"
        issues.append(Issue(text, "not-found", parameter.path, "warning"))
        return None


def _is_true(given: Asked) -> bool:
    parameter = given.one("local")
    value = False if parameter is None else parameter.value
    if parameter is not None and value not in (True, False, "true", "false"):
        raise invalid("local is true or false", parameter.path, "value")
    return value in (True, "true")


def _flat(resources: Iterable[Any]) -> list[Resource]:
    """The resources, and those in Bundles."""
    found: list[Resource] = []
    for each in resources:
        if not isinstance(each, dict):
            continue
        if each.get("resourceType") == "Bundle":
            found += [entry["resource"] for entry in each.get("entry", ()) if "resource" in entry]
        else:
            found.append(each)
    return found
