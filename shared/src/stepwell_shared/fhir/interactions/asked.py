"""What an operation was asked: the query of a GET, a Parameters resource, or the one resource that it takes.

https://hl7.org/fhir/R4/operations.html#executing
"""

from collections.abc import Mapping
from typing import Any

import orjson

from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import Category, FhirError, Issue

_ABOUT_THE_ANSWER = frozenset({"_format", "_pretty"})
WHOLE_NUMBER_MAX = 1_000_000


def asked(request: Request, known: Mapping[str, tuple[str, ...]], resource: str = "") -> dict[str, Any]:
    """The values by parameter name. `known` says which JSON types each takes, such as `valueUri`, `resource`.

    A value of a GET is text. `resource` names the parameter that may be the whole body. Raises FhirError INVALID for a
    parameter that is not known, has no value or another one than it takes, or stands twice.
    """
    found: dict[str, Any] = {}
    body: Mapping[str, Any] = orjson.loads(request.body) if request.body else {}
    if body and body["resourceType"] != "Parameters":
        if not resource:
            raise _refused("Parameters", "this operation takes Parameters", "structure")
        found[resource] = body
        body = {}
    for index, parameter in enumerate(body.get("parameter", ())):
        place = f"Parameters.parameter[{index}]"
        name = _new(parameter["name"], known, found, place)
        value = next((parameter[key] for key in known[name] if key in parameter), None)
        if value is None:
            raise _refused(place, f"{name} takes {' or '.join(known[name])}", "value")
        found[name] = value
    for written, text in request.parameters:
        if written in _ABOUT_THE_ANSWER:
            continue
        name = _new(written, known, found, f"http.{written[:64]}")
        if not text or not any(key.startswith("value") for key in known[name]):
            raise _refused(f"http.{name}", f"{name} takes {' or '.join(known[name])}", "value")
        found[name] = text
    return found


def whole_number(given: Mapping[str, Any], name: str) -> int | None:
    """A whole number from 0, of a GET or a POST; None when it was not given. Raises FhirError INVALID."""
    value = given.get(name)
    if value is None:
        return None
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and int(text) <= WHOLE_NUMBER_MAX):
        raise _refused(f"Parameters.parameter.where(name = '{name}')", f"{name} is a whole number from 0", "value")
    return int(text)


def is_true(given: Mapping[str, Any], name: str) -> bool:
    """A boolean, of a GET or a POST; false when it was not given. Raises FhirError INVALID."""
    value = given.get(name, False)
    if value not in (True, False, "true", "false"):
        raise _refused(f"Parameters.parameter.where(name = '{name}')", f"{name} is true or false", "value")
    return value in (True, "true")


def _new(name: str, known: Mapping[str, tuple[str, ...]], found: Mapping[str, Any], place: str) -> str:
    if name not in known:
        text = f"{name[:64]} is no parameter of this operation here: {', '.join(sorted(known))}"
        raise _refused(place, text, "not-supported")
    if name in found:
        raise _refused(place, f"{name} stands twice", "invalid")
    return name


def _refused(place: str, text: str, code: str) -> FhirError:
    return FhirError(Category.INVALID, [Issue(text, code, place)])
