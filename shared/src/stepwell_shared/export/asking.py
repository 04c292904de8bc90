"""What a kick-off asks for: its parameters read, held to what is served and to what the caller may, made a recipe.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-kick-off-request
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.export.people import PATIENT, PROVENANCE, can_be_theirs
from stepwell_shared.export.recipe import Level, Recipe, Selection
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.presentation import ELEMENTS_MAX
from stepwell_shared.fhir.registry import Interaction, ServedType
from stepwell_shared.fhir.search.order import CURSOR
from stepwell_shared.fhir.values import date_range

EXPORT: Final = "$export"
SYSTEM_CONTEXT: Final = "system"
# Figures about groups and never a person: https://hl7.org/fhir/smart-app-launch has no scope that says so.
IMPERSONAL_ROLE: Final = "analyst"
NDJSON = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
FILTERS_MAX = 40
MEMBERS_MAX = 50_000
_KNOWN = frozenset({"_outputFormat", "_since", "_type", "_typeFilter", "_elements"})
_OF_ANSWERS = frozenset({"_format", "_pretty"})
_ABOUT_RESULTS = frozenset(
    {"_count", "_sort", "_total", "_include", "_revinclude", "_summary", "_elements", "_format", "_pretty", CURSOR}
)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_NEXT_FILTER = re.compile(r",(?=[A-Z][A-Za-z]*\?)")
_VALUE_SETS = frozenset({"in", "not-in", "above", "below"})

Pairs = list[tuple[str, str]]


class _Reference(msgspec.Struct):
    reference: str = ""


class _Parameter(msgspec.Struct, rename="camel"):
    name: str
    value_string: str | None = None
    value_code: str | None = None
    value_instant: str | None = None
    value_reference: _Reference | None = None


class _Parameters(msgspec.Struct, tag_field="resourceType", tag="Parameters"):
    parameter: list[_Parameter] = []


_decode = msgspec.json.Decoder(_Parameters).decode


@dataclass(frozen=True)
class Asked:
    """What the parameters say; `people` are the patients that a POST names."""

    types: tuple[str, ...]
    filters: dict[str, tuple[str, ...]]
    since: datetime | None
    elements: tuple[str, ...]
    people: tuple[str, ...]
    used: tuple[tuple[str, str], ...]


def exporter_of(caller: Access) -> Caller:
    """The caller as far as it may export: by `system/` scopes, for whoever acts for no person.

    Raises FhirError FORBIDDEN.
    """
    if not isinstance(caller, Caller) or caller.patient is not None:
        raise FhirError(Category.FORBIDDEN, "a token that is bound to one patient exports nothing")
    own = Scopes(tuple(scope for scope in caller.scopes if scope.context == SYSTEM_CONTEXT))
    if not own.scopes:
        raise FhirError(Category.FORBIDDEN, "exports are for systems: a scope such as system/Observation.rs would do")
    return replace(caller, scopes=own, _answers={})


def asked(engine: Engine, request: Request, level: Level) -> Asked:
    """The parameters of the URL and of the body. Raises FhirError INVALID for what is not served, unless the client
    prefers that it is left out (`handling=lenient`)."""
    pairs = [*_of_body(request.body), *request.parameters]
    is_lenient = "handling=lenient" in request.headers.get("prefer", "").replace(" ", "")
    known = _KNOWN | ({"patient"} if request.body and level != "system" else set())
    unknown = sorted({name for name, _ in pairs} - known - _OF_ANSWERS)
    if unknown and not is_lenient:
        issues = [Issue(f"{name[:64]} is not served by $export", "not-supported") for name in unknown]
        raise FhirError(Category.INVALID, issues)
    used = tuple((name, value) for name, value in pairs if name in known and value)
    _check_format(_values(used, "_outputFormat"))
    names = [each for value in _values(used, "_type") for each in value.split(",") if each]
    filters = _filters(engine, _values(used, "_typeFilter"), is_lenient=is_lenient)
    types = tuple(name for name in dict.fromkeys(names) if _is_exported(engine, name, level, is_lenient=is_lenient))
    if names and not types:
        raise _refused("_type", f"names nothing that {engine.registry.service} exports here")
    strangers = [name for name in filters if types and name not in types]
    if strangers and not is_lenient:
        raise _refused("_typeFilter", "is for a type that _type does not name")
    return Asked(types, filters, _since(_values(used, "_since")), _elements(used), _people(used), used)


def recipe_of(
    engine: Engine, caller: Caller, asked: Asked, level: Level, members: Sequence[str], floors: dict[str, Selection]
) -> Recipe:
    """All that is fixed of an export. `floors` say by type since when, where `_since` is given; a type without one has
    nothing that new. Raises FhirError FORBIDDEN for a type that is asked for by name and not granted."""
    is_impersonal = IMPERSONAL_ROLE in caller.roles
    chosen: list[Selection] = []
    for served_type in _types(engine, caller, asked, level, is_impersonal=is_impersonal):
        name = served_type.name
        granted = tuple(caller.filters(name, EXPORT))
        selection = Selection(name, asked.filters.get(name, ()), (granted,) if granted else ())
        if asked.since is None:
            chosen.append(selection)
        elif name in floors:
            floor = floors[name]
            begun = msgspec.structs.replace(selection, changed_in=floor.changed_in, changed_since=floor.changed_since)
            chosen.append(begun)
            if not granted:  # a deletion has nothing that a scope could match
                chosen.append(msgspec.structs.replace(begun, filters=(), is_deleted=True))
    return Recipe(level, tuple(chosen), tuple(members), asked.elements, is_impersonal)


def names_of(engine: Engine, caller: Caller, asked: Asked, level: Level) -> list[str]:
    """The types of an export, by name. Raises FhirError FORBIDDEN."""
    is_impersonal = IMPERSONAL_ROLE in caller.roles
    return [each.name for each in _types(engine, caller, asked, level, is_impersonal=is_impersonal)]


def _types(engine: Engine, caller: Caller, asked: Asked, level: Level, *, is_impersonal: bool) -> list[ServedType]:
    """Those that are asked for; without `_type` all that the caller may export."""
    for name in asked.types:
        caller.require(name, EXPORT)
    wanted = [engine.registry.types[name] for name in asked.types] or [
        each for each in engine.registry if _is_read(each) and caller.permits(each.name, EXPORT)
    ]
    kept = [each for each in wanted if level == "system" or each.name == PROVENANCE or can_be_theirs(each)]
    if is_impersonal:
        kept = [each for each in kept if each.name not in {PATIENT, PROVENANCE}]
    if not kept:
        caller.require("*", EXPORT)  # says which scope is missing
        raise FhirError(Category.FORBIDDEN, "there is nothing here that this client may export")
    return kept


def _is_read(served_type: ServedType) -> bool:
    """Whether it is kept in the history, which an export reads: the audit is not."""
    return (
        served_type.view is None
        and served_type.allows(Interaction.READ)
        and served_type.allows(Interaction.SEARCH_TYPE)
    )


def _is_exported(engine: Engine, name: str, level: Level, *, is_lenient: bool) -> bool:
    """Whether the type is served and can belong to this kind of export; if not, a refusal unless that is left out."""
    served_type = engine.registry.types.get(name)
    if served_type is not None and _is_read(served_type):
        if level == "system" or name == PROVENANCE or can_be_theirs(served_type):
            return True
        text = f"{name} is no part of what a patient has; it is exported by [base]/$export"
    else:
        text = f"{engine.registry.service} does not serve {name[:64]}"
    if is_lenient:
        return False
    raise _refused("_type", text)


def _filters(engine: Engine, texts: Iterable[str], *, is_lenient: bool) -> dict[str, tuple[str, ...]]:
    """Searches by type. They are by what a resource itself says, so that they find the same whenever they are asked."""
    found: dict[str, tuple[str, ...]] = {}
    queries = [each for text in texts for each in _NEXT_FILTER.split(text)]
    if len(queries) > FILTERS_MAX:
        raise _refused("_typeFilter", f"is given at most {FILTERS_MAX} times")
    for each in queries:
        name, _, query = each.partition("?")
        served_type = engine.registry.types.get(name)
        if served_type is None or not query:
            if is_lenient:
                continue
            raise _refused("_typeFilter", "is a search such as Observation?status=final of a type that is served here")
        pairs = parse_qsl(query, keep_blank_values=True)
        for parameter, _ in pairs:
            plain, _, modifier = parameter.partition(":")
            if plain in _ABOUT_RESULTS or "." in parameter or plain == "_has" or modifier in _VALUE_SETS:
                text = "takes what a resource itself says: no chains, no value sets, nothing about the answer"
                raise _refused("_typeFilter", text)
        query_of(engine, served_type, pairs, (), strict=True)
        found[name] = (*found.get(name, ()), query)
    return found


def _check_format(given: Sequence[str]) -> None:
    for each in given:
        if each.partition(";")[0].strip().replace(" ", "+") not in NDJSON:
            raise FhirError(Category.INVALID, [Issue("_outputFormat is application/fhir+ndjson", "not-supported")])


def _since(given: Sequence[str]) -> datetime | None:
    if not given:
        return None
    text = given[0].replace(" ", "+")  # a plus sign that was not escaped
    found = date_range(text) if _INSTANT.fullmatch(text) else None
    if found is None or len(given) > 1:
        raise _refused("_since", "is one instant such as 2026-11-21T20:54:00Z")
    return found[0]


def _elements(used: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Names, which may say the type before a point; a name counts for every type."""
    names = [each.strip().rpartition(".")[2] for value in _values(used, "_elements") for each in value.split(",")]
    if len(names) > ELEMENTS_MAX:
        raise _refused("_elements", f"takes at most {ELEMENTS_MAX} names")
    return tuple(sorted({each for each in names if each}))


def _people(used: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(_values(used, "patient")))
    if len(found) > MEMBERS_MAX:
        raise _refused("patient", f"is given at most {MEMBERS_MAX} times")
    return found


def _values(used: Iterable[tuple[str, str]], name: str) -> list[str]:
    return [value for each, value in used if each == name]


def _of_body(body: bytes) -> Pairs:
    if not body:
        return []
    try:
        given = _decode(body).parameter
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = "the body is a Parameters resource with one simple value for each parameter"
        raise FhirError(Category.INVALID, [Issue(text, "structure", "Parameters")]) from error
    return [(each.name, _value(each)) for each in given]


def _value(given: "_Parameter") -> str:
    if given.value_reference is not None:
        return given.value_reference.reference
    return given.value_instant or given.value_string or given.value_code or ""


def _refused(name: str, text: str) -> FhirError:
    return FhirError(Category.INVALID, [Issue(f"{name} {text}", "invalid", f"http.{name}")])
