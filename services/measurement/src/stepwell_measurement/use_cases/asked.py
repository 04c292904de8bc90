"""What the operations of this service are asked: the parameters of a GET, or those of a Parameters resource."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

import orjson
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.search.terms import escape

Resource = dict[str, Any]
Pairs = list[tuple[str, str]]
Given = Mapping[str, Sequence[str]]

# What says how an answer is written, and asks for nothing.
FORMAT = frozenset({"_format", "_pretty"})


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


def grouped(pairs: Pairs, known: Collection[str], repeated: Collection[str]) -> Given:
    """The values of each parameter. Raises FhirError INVALID for one that is not known, or is there twice."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in known and name not in FORMAT:
            raise refused(f"this operation takes {', '.join(sorted(known))}", "not-supported")
        found.setdefault(name, []).append(value)
    twice = [name for name, values in found.items() if len(values) > 1 and name not in repeated]
    if twice:
        raise refused(f"{twice[0]} at most once", "invalid")
    return found


def single(given: Given, name: str) -> str:
    """The value of a parameter that is there once; empty where it is not there."""
    return next(iter(given.get(name, ())), "")


def day_in(given: Given, name: str) -> date:
    """The day that a parameter says. Raises FhirError INVALID."""
    said = single(given, name)
    try:
        return date.fromisoformat(said[:10])
    except ValueError as error:
        raise refused(f"{name} is a day, such as 2026-01-31", "value" if said else "required") from error


def restriction(said: str) -> tuple[str, str]:
    """A dimension and its value, as `tier|tier-2`. Raises FhirError INVALID."""
    name, bar, value = said.partition("|")
    if not bar or not value:
        raise refused("only is a dimension and its value, such as tier|tier-2", "invalid")
    return name, value


def require_whole(request: Request, resource_type: str) -> None:
    """Raises FhirError FORBIDDEN for a token that reaches only some of these resources."""
    if request.access.filters(resource_type, Interaction.SEARCH_TYPE):
        raise FhirError(Category.FORBIDDEN, f"this needs a token that reaches every {resource_type}")


def require_persons(request: Request) -> None:
    """Raises FhirError FORBIDDEN for a token that does not reach every Patient and every Observation."""
    for resource_type in ("Patient", "Observation"):
        request.access.require(resource_type, Interaction.SEARCH_TYPE)
        require_whole(request, resource_type)


def sees_persons(request: Request) -> bool:
    """Whether the token reaches every Patient and every Observation."""
    try:
        require_persons(request)
    except FhirError:
        return False
    return True
