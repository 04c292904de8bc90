"""One operation of an OpenAPI document: its body, its answers and the refusals that all of its kind share."""

from typing import Any

from stepwell_shared.fhir.wire import FHIR_JSON

Json = dict[str, Any]
FORM = "application/x-www-form-urlencoded"
OUTCOME = {"$ref": "#/components/schemas/OperationOutcome"}
REFUSALS = {
    "400": "The request is not valid; every issue says where.",
    "401": "A bearer token is needed (SMART Backend Services).",
    "403": "The token's scopes do not grant this.",
    "404": "There is no such resource for this tenant.",
    "405": "This is not done by clients here; Allow says what is.",
    "406": "Only FHIR JSON is served.",
    "408": "The body did not arrive in time.",
    "409": "It contradicts what is stored.",
    "410": "It was deleted.",
    "412": "It is not at the version that If-Match names, or several match.",
    "413": "The body is too large.",
    "414": "The URL is too long; long searches go to POST _search.",
    "415": "The body is not FHIR JSON.",
    "422": "A business rule or the Questionnaire is not met; every finding says where.",
    "429": "This client asks too often, or too much of this is going on already; Retry-After says when to ask again.",
    "431": "There are too many headers, or they are too long.",
    "503": "The database does not answer, or too much is being worked on; try again shortly.",
}
ALWAYS = ("414", "431", "503")
READING = ("400", "401", "403", "404", "406", "429", *ALWAYS)
WRITING = (*READING, "408", "409", "412", "413", "415", "422")


def operation(
    operation_id: str,
    summary: str,
    result: str | None,
    *,
    body: str | None = None,
    status: str = "200",
    secured: bool = True,
    more: tuple[str, ...] = (),
    tag: str | None = None,
    example: Json | None = None,
) -> Json:
    """An operation that answers with a resource of type `result`, or without a body.

    `body` names the schema of what it takes, with an `example` that it accepts; `more` are further refusals.
    """
    refused = (*(WRITING if body else READING), *more) if secured else ("406", *ALWAYS)
    answer: Json = {"description": "Done."}
    if result is not None:
        answer["content"] = {FHIR_JSON: {"schema": schema_of(result)}}
    responses = {status: answer}
    if body is not None and status == "201":
        responses["200"] = {**answer, "description": "It existed already: sent again, or found by If-None-Exist."}
    if body is not None and status == "200":
        responses["201"] = {**answer, "description": "It was new."}
    responses |= refusals(*refused)
    found: Json = {"operationId": operation_id, "summary": summary, "responses": responses}
    if tag is not None:
        found["tags"] = [tag]
    if not secured:
        found["security"] = []
    if body is not None:
        content: Json = {"schema": schema_of(body)}
        if example is not None:
            content["examples"] = {"accepted": {"summary": "Accepted as it stands", "value": example}}
        found["requestBody"] = {"required": True, "content": {FHIR_JSON: content}}
    return found


def schema_of(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def refusals(*statuses: str) -> Json:
    """The answers for these statuses, as components name them."""
    return {status: {"$ref": f"#/components/responses/{status}"} for status in sorted(set(statuses))}


def refusal_components() -> Json:
    """Every refusal once: an OperationOutcome that says what is wrong and where."""
    content = {FHIR_JSON: {"schema": OUTCOME}}
    return {status: {"description": text, "content": content} for status, text in REFUSALS.items()}
