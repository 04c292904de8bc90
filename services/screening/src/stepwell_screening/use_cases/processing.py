"""`$process-response`: a response is handed in, and what follows from it follows as from a create.

https://hl7.org/fhir/uv/sdc/OperationDefinition-Questionnaire-process-response.html
"""

from dataclasses import replace
from typing import Any

import msgspec
from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Issue, outcome_bytes
from stepwell_shared.runtime import Runtime

from stepwell_screening.use_cases.sdc_parameters import invalid, read_resource, unprocessable

KIND = "QuestionnaireResponse"
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_rows = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


async def process_response(runtime: Runtime, request: Request) -> Response:
    """`Questionnaire/$process-response` and `/[id]/$process-response` with the parameter `in`, or it as the body.

    Answers with an OperationOutcome, and says in Location what was stored. Raises FhirError as a create does.
    """
    body = _response(request.body)
    if request.id:
        questionnaire = await read_resource(runtime, request, "Questionnaire", request.id)
        _refuse_another(questionnaire, msgspec.json.decode(body))
    keep = request.keep
    witness = request.witness_of(KIND) if request.witness_of is not None else request.witness
    creating = replace(
        request,
        resource_type=KIND,
        id="",
        body=body,
        parameters=(),
        witness=witness,
        keep=None if keep is None else lambda stored: keep(_told(stored)),
    )
    return _told(await interactions.create(runtime.engine, creating))


def _response(body: bytes) -> bytes:
    """The response byte for byte as it was sent."""
    members = _members.decode(body) if body else {}
    kind = _text(members.get("resourceType"))
    if kind == KIND:
        return body
    if kind != "Parameters":
        raise invalid(f"send the {KIND} as the parameter in", "Parameters", "required")
    rows = _rows.decode(members["parameter"]) if "parameter" in members else []
    found = [row["resource"] for row in rows if _text(row.get("name")) == "in" and "resource" in row]
    if len(found) != 1 or len(rows) != 1:
        raise invalid(f"the one parameter is in, a {KIND}", "Parameters.parameter", "required")
    if _text(_members.decode(found[0]).get("resourceType")) != KIND:
        raise invalid(f"the parameter in is a {KIND}", "Parameters.parameter[0]", "value")
    return bytes(found[0])


def _text(raw: msgspec.Raw | None) -> Any:
    return None if raw is None else msgspec.json.decode(raw)


def _refuse_another(questionnaire: dict[str, Any], response: dict[str, Any]) -> None:
    url, _, version = str(response.get("questionnaire", "")).partition("|")
    if url != questionnaire.get("url") or version not in {"", questionnaire.get("version", "")}:
        raise unprocessable("the response answers another Questionnaire", f"{KIND}.questionnaire")


def _told(stored: Response) -> Response:
    """The answer to a create, told as an OperationOutcome."""
    text = f"the response is stored as {KIND}/{stored.id}"
    body = outcome_bytes([Issue(text, "informational", severity="information")])
    return replace(stored, status=200, body=body)
