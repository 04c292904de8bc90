"""`$assemble`: a modular Questionnaire with its parts in place. Nothing is stored.

https://hl7.org/fhir/uv/sdc/OperationDefinition-Questionnaire-assemble.html
"""

import asyncio
from typing import Any

from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.runtime import Runtime

from stepwell_screening.rules.assembly import PARTS_MAX, assemble, references
from stepwell_screening.use_cases.sdc_parameters import (
    asked,
    issues_of,
    known_questionnaire,
    parameters_response,
    questionnaire_of,
    too_much,
    unprocessable,
)

Resource = dict[str, Any]


async def assemble_questionnaire(runtime: Runtime, request: Request) -> Response:
    """`Questionnaire/$assemble` and `/[id]/$assemble`: Parameters with `return`, the whole form, and `outcome`.

    Raises FhirError BUSINESS_RULE with everything that stands in the way: parts that are not known, circles, linkIds
    that would stand twice.
    """
    given = asked(request, "questionnaire", ("questionnaire", "canonical"))
    questionnaire = await questionnaire_of(runtime, request, given, "questionnaire", "canonical")
    parts = await _parts(runtime, request.access.tenant, questionnaire)
    try:
        made = await asyncio.to_thread(assemble, questionnaire, parts)
    except ValueError as error:
        raise too_much(error) from error
    if made.refused:
        raise FhirError(Category.BUSINESS_RULE, issues_of(made.refused, "error"))
    return parameters_response({"return": made.questionnaire}, "outcome", issues_of(made.warnings), request.id)


async def _parts(runtime: Runtime, tenant: str, questionnaire: Resource) -> dict[str, Resource]:
    """Every part, and the parts of parts, as far as they are known here."""
    found: dict[str, Resource] = {}
    pending, asked_for = references(questionnaire), set[str]()
    while pending:
        canonical = pending.pop()
        if canonical in asked_for:
            continue
        asked_for.add(canonical)
        if len(asked_for) > PARTS_MAX:
            raise unprocessable(f"a form is made of at most {PARTS_MAX} parts", "Questionnaire.item", "too-costly")
        part = await known_questionnaire(runtime, tenant, canonical)
        if part is not None:
            found[canonical] = part
            pending += references(part)
    return found
