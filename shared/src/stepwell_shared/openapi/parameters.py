"""Query and header parameters of OpenAPI documents: search parameters with an example of each kind, and views."""

from typing import Any

from stepwell_shared.fhir.parameters import SearchParameter
from stepwell_shared.fhir.registry import Registry, ServedType

Json = dict[str, Any]
ID: Json = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"},
}
VERSION_ID: Json = {**ID, "name": "version_id"}
# What values of each kind of search parameter look like. https://hl7.org/fhir/R4/search.html#ptypes
KINDS = {
    "token": ("a code: code, system|code, |code or system|", "http://loinc.org|44261-6"),
    "reference": ("a reference: id, Type/id or an absolute URL", "Patient/example"),
    "date": ("a date or a part of one, with eq, ne, gt, lt, ge, le, sa, eb or ap", "ge2026-01-01"),
    "string": ("the beginning of a text, whatever its case and accents; :exact, :contains", "example"),
    "number": ("a number, with the prefixes of dates", "gt0.5"),
    "quantity": ("[prefix]number|system|code", "ge10"),
    "uri": ("a URI, exactly; :below and :above for URLs", "https://stepwell.health/fhir/Questionnaire/phq-9"),
    "composite": ("two values with $ between them", None),
    "special": ("see the specification", None),
}
COMMON = {
    "_id": ("ids, with commas between alternatives", "example"),
    "_lastUpdated": ("when the current version was stored", "ge2026-01-01"),
    "_count": ("most matches on a page", "20"),
    "_sort": ("names of search parameters, with - in front for the other direction", "-_lastUpdated"),
    "_total": ("none, estimate or accurate", "accurate"),
}
# These choose what of a result is shown; criteria that stand for one resource have no use for them.
SHOWING = frozenset({"_count", "_sort", "_total"})


def query(names: dict[str, str]) -> list[Json]:
    """Optional query parameters by name, with their description."""
    return [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}} for name, text in names.items()
    ]


def _header(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _named(name: str) -> Json:
    """A parameter that the components describe once."""
    return {"$ref": f"#/components/parameters/{name}"}


_VIEWS = {"_summary": "true, text, data or false", "_elements": "names of the elements that are wanted"}
_HISTORIES = {
    "_count": "most versions on a page",
    "_since": "an instant: versions of this time or later",
    "_at": "a date or dateTime: versions that were current then",
}
_HEADERS = {
    "If-Match": _header("If-Match", 'only if it is still at this version, such as W/"3"'),
    "If-None-Match": _header("If-None-Match", "304 where the client has this version already"),
    "If-None-Exist": _header("If-None-Exist", "a search; what it finds is answered instead of creating another one"),
    "Prefer-return": _header("Prefer", "return=minimal, return=representation or return=OperationOutcome"),
    "Prefer-handling": _header(
        "Prefer", "handling=strict refuses unknown parameters, handling=lenient passes over them"
    ),
    "Idempotency-Key": {
        **_header("Idempotency-Key", "What is asked twice under one key happens once, with one answer; best a UUID."),
        "schema": {"type": "string", "pattern": "^[!#-~]{1,255}$"},
    },
}
# Of a Binary that is sent as it is. https://hl7.org/fhir/R4/binary.html#rest
SECURITY_CONTEXT = _header("X-Security-Context", "whose it is, such as Patient/example: who may read that may read it")
IF_MATCH, IF_NONE_MATCH, IF_NONE_EXIST, PREFER, HANDLING, KEY = (_named(name) for name in _HEADERS)
VIEW = [_named(name) for name in _VIEWS]
HISTORY = [_named(f"versions.{name}") for name in _HISTORIES]


def components(registry: Registry) -> Json:
    """Every parameter that is named in more than one place, once."""
    found: Json = {name: _common(name) for name in COMMON}
    found |= {each["name"]: each for each in query(_VIEWS)}
    found |= {f"versions.{each['name']}": each for each in query(_HISTORIES)}
    found |= _HEADERS
    for served_type in registry:
        found |= {f"{served_type.name}.{name}": _own(each) for name, each in served_type.parameters.items()}
    return found


def search(served_type: ServedType) -> list[Json]:
    """All that a type is searched by, as query parameters."""
    return [*map(_named, COMMON), *_own_names(served_type)]


def criteria(served_type: ServedType) -> list[Json]:
    """Search parameters that choose, without those that only present a result."""
    return [*(_named(name) for name in COMMON if name not in SHOWING), *_own_names(served_type)]


def _own_names(served_type: ServedType) -> list[Json]:
    return [_named(f"{served_type.name}.{name}") for name in served_type.parameters]


def everywhere(names: dict[str, str]) -> list[Json]:
    """What several types at once are searched by, beside the given ones."""
    return [*query(names), *(_named(name) for name in COMMON if name != "_sort")]


def form(served_type: ServedType) -> Json:
    """The same as the schema of a form (POST _search)."""
    parameters = [*map(_common, COMMON), *map(_own, served_type.parameters.values())]
    return {
        "type": "object",
        "properties": {each["name"]: {**each["schema"], "description": each["description"]} for each in parameters},
        "additionalProperties": {"type": "string"},
    }


def _common(name: str) -> Json:
    text, example = COMMON[name]
    return {"name": name, "in": "query", "description": text, "schema": {"type": "string"}, "example": example}


def _own(parameter: SearchParameter) -> Json:
    text, example = KINDS.get(parameter.type, KINDS["special"])
    found: Json = {
        "name": parameter.name,
        "in": "query",
        "description": f"search parameter of type {parameter.type}: {text}",
        "schema": {"type": "string"},
    }
    return found if example is None else {**found, "example": example}
