"""Who acts and whom it is about: what the use cases of care plans, content, choices and reviews ask of each request."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from stepwell_shared.auth.caller import Caller
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.runtime import Runtime

WORDS_CHARACTERS_MAX = 2_000
SAFETY_RULES = "SAF-"

Resource = dict[str, Any]
Read = Callable[[str, str], Awaitable[Stored | None]]


class Person(NamedTuple):
    """Somebody whom a resource is about: what names them in our rows, and the Reference that we store."""

    key: str
    reference: Resource


async def person_of(runtime: Runtime, read: Read, reference: Any, expression: str) -> Person:
    """The Patient of a Reference. Raises FhirError BUSINESS_RULE when there is none or a local one is not known."""
    if not isinstance(reference, dict) or not ("reference" in reference or "value" in reference.get("identifier", {})):
        raise unprocessable("say whom this is about", expression)
    if "reference" not in reference:
        identifier = reference["identifier"]
        return Person(f"{identifier.get('system', '')}|{identifier['value']}", reference)
    key = runtime.engine.localise(str(reference["reference"])).partition("/_history/")[0]
    if key.rpartition("/")[0].rpartition("/")[2] != "Patient":
        raise unprocessable("this must be a Patient", f"{expression}.reference")
    if "://" not in key:
        known = await read("Patient", key.partition("/")[2])
        if known is None or known.body is None:
            text = "this Patient is not known here yet; refer to it by the absolute URL of its EHR, or try again"
            raise unprocessable(text, f"{expression}.reference")
    return Person(key, {**reference, "reference": key})


def acting_person(request: Request) -> str:
    """The reference of the person who acts. Raises FORBIDDEN when the token names none."""
    person = request.access.fhir_user
    if person is None:
        text = "a person does this: use a client that is registered with --fhir-user Practitioner/..."
        raise FhirError(Category.FORBIDDEN, text)
    return person


def own_patient(request: Request) -> str | None:
    """The reference of the patient to whom the token is bound, when it is the patient who acts."""
    access = request.access
    return f"Patient/{access.patient}" if isinstance(access, Caller) and access.patient is not None else None


def require_whole(request: Request, resource_type: str, interaction: str) -> None:
    """Raises FORBIDDEN unless the caller may do this with every resource of the type."""
    if request.access.filters(resource_type, interaction):
        raise FhirError(Category.FORBIDDEN, f"this needs a token that reaches every {resource_type}")


def parameters(request: Request, known: Sequence[str], *, repeated: Sequence[str] = ()) -> dict[str, list[Resource]]:
    """The parameters of an operation by name, from a body or the query. Raises INVALID for unknown or repeated ones."""
    body = orjson.loads(request.body) if request.body else {}
    given = [*body.get("parameter", ())]
    given += [{"name": name, "valueString": value} for name, value in request.parameters if not name.startswith("_")]
    found: dict[str, list[Resource]] = {}
    for each in given:
        found.setdefault(each["name"], []).append(each)
    twice = [name for name, values in found.items() if len(values) > 1 and name not in repeated]
    if not found.keys() <= set(known) or twice:
        text = f"the parameters are {', '.join(known)}" + (f"; {twice[0]} at most once" if twice else "")
        raise FhirError(Category.INVALID, [Issue(text, "invalid", "Parameters.parameter")])
    return found


def one(given: Mapping[str, list[Resource]], name: str, kind: str) -> Any:
    """The value of a parameter that must be there, such as `valueReference`. Raises INVALID."""
    value = optional(given, name, kind)
    if value is None:
        raise required(name, kind)
    return value


def optional(given: Mapping[str, list[Resource]], name: str, kind: str) -> Any:
    """The value of a parameter that may be absent. Raises INVALID for one of another type, or for blank words."""
    if name not in given:
        return None
    value = given[name][0].get(kind)
    if value is None or (isinstance(value, str) and not 0 < len(value.strip()) <= WORDS_CHARACTERS_MAX):
        raise required(name, kind)
    return value


def required(name: str, kind: str) -> FhirError:
    place = f"Parameters.parameter.where(name = '{name}')"
    return FhirError(Category.INVALID, [Issue(f"the parameter {name} is needed as {kind}", "required", place)])


def why_held(rules: Collection[str]) -> str:
    """Why nobody answers a proposal yet, by the rules that it names: only a question of safety is called one."""
    if any(code.startswith(SAFETY_RULES) for code in rules):
        return "a safety question is open (the reason codes say which); a clinician records a risk level first"
    return "something is asked for first, or a person decides first: the reason codes say which"


def unprocessable(text: str, expression: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", expression)])


def content(stored: Stored | None) -> Resource | None:
    """The resource of a stored version; nothing for what is not there."""
    found: Resource | None = orjson.loads(stored.body) if stored is not None and stored.body else None
    return found
