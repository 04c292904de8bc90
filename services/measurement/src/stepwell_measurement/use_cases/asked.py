"""What the operations of this service are asked: the parameters of a GET, or those of a Parameters resource."""

from typing import Any

import orjson
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.search.terms import escape

Resource = dict[str, Any]
Pairs = list[tuple[str, str]]


def parameters_in(request: Request) -> Pairs:
    """The parameters of a GET, or of a Parameters resource, as a search has them."""
    body: Resource = orjson.loads(request.body) if request.body else {}
    if body and body["resourceType"] != "Parameters":
        raise refused("this operation takes Parameters", "structure")
    found = list(request.parameters)
    for parameter in body.get("parameter", ()):
        value = next((value for name, value in parameter.items() if name.startswith("value")), None)
        found.append((parameter["name"], _text(parameter["name"], value)))
    if any("\0" in value for _, value in found):
        raise refused("a parameter has a character that no text has", "value")
    return found


def _text(name: str, value: Any) -> str:
    if isinstance(value, dict) and "reference" in value:
        return str(value["reference"])
    if isinstance(value, dict) and "code" in value:
        return f"{escape(str(value.get('system', '')))}|{escape(str(value['code']))}"
    if isinstance(value, dict) and {"start", "end"} & value.keys():
        return f"{value.get('start', '')}/{value.get('end', '')}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise refused(f"{name[:64]} has no value that this operation takes", "value")


def refused(text: str, code: str) -> FhirError:
    """What is said of a parameter that cannot be taken."""
    return FhirError(Category.INVALID, [Issue(text, code, "Parameters.parameter")])
