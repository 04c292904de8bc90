"""The functions that a path of a view may use.

https://sql-on-fhir.org/ig/2.0.0/StructureDefinition-ViewDefinition.html#supported-fhirpath-functionality
"""

from collections.abc import Callable, Sequence
from typing import Any

from stepwell_shared.views.boundaries import boundary
from stepwell_shared.views.values import Path, Scope, Values, ViewError, members, single, truth

# The types that JSON holds as texts, numbers and truths.
_TEXTS = frozenset(
    {
        *("string", "code", "id", "uri", "url", "canonical", "oid", "uuid", "markdown", "base64Binary"),
        *("date", "dateTime", "instant", "time"),
    }
)
_NUMBERS = frozenset({"integer", "decimal", "positiveInt", "unsignedInt", "integer64"})


def function(name: str, arguments: Sequence[Path], kind: str) -> Path:
    """The function of this name. `kind` is the FHIR type of what it is called on, as far as the path says.

    Raises ViewError for one that views do not have, or that takes other arguments.
    """
    if name in _BOUNDARIES and not arguments:
        return _boundary(_BOUNDARIES[name], kind)
    for table, count in ((_PLAIN, 0), (_WITH_ONE, 1), (_WITH_TWO, 2)):
        if name in table and len(arguments) == count:
            return table[name](*arguments)
    raise ViewError(f"{name}() with {len(arguments)} arguments is no function of a view")


def of_type(kind: str) -> Path:
    """Those of a type: resources by their own name, primitive values by what JSON makes of them."""

    def run(values: Values, scope: Scope) -> Values:
        return [each for each in values if _is_of(each, kind)]

    return run


def _is_of(value: Any, kind: str) -> bool:
    if isinstance(value, dict):
        return bool(value.get("resourceType", kind) == kind)
    if isinstance(value, bool):
        return kind == "boolean"
    return kind in (_TEXTS if isinstance(value, str) else _NUMBERS)


def reference_key(kind: str | None) -> Path:
    """The key of what references point at, as `getResourceKey` has it; with a type, of resources of that alone."""

    def run(values: Values, scope: Scope) -> Values:
        keys = (_key(each, scope.bases) for each in members(values, "reference"))
        return [key for key in keys if kind is None or key.split("/")[-2:-1] == [kind]]

    return run


def _key(reference: str, bases: Sequence[str]) -> str:
    """A relative reference without its version; an address elsewhere as it is, for its ids are not ours."""
    plain = reference.partition("/_history/")[0]
    return next((plain.removeprefix(base) for base in bases if plain.startswith(base)), plain)


def _resource_key(values: Values, scope: Scope) -> Values:
    return [f"{each['resourceType']}/{each['id']}" for each in values if isinstance(each, dict) and "id" in each]


def _boundary(of: Callable[[Any, str], Any], kind: str) -> Path:
    def run(values: Values, scope: Scope) -> Values:
        value = single(values)
        return [] if value is None else [of(value, kind)]

    return run


def _where(criterion: Path) -> Path:
    def run(values: Values, scope: Scope) -> Values:
        return [each for each in values if truth(criterion([each], scope))]

    return run


def _exists_where(criterion: Path) -> Path:
    def run(values: Values, scope: Scope) -> Values:
        return [any(truth(criterion([each], scope)) for each in values)]

    return run


def _extension(url: Path) -> Path:
    def run(values: Values, scope: Scope) -> Values:
        wanted = single(url([], scope))
        return [each for each in members(values, "extension") if each.get("url") == wanted]

    return run


def _joined(separator: Path) -> Path:
    def run(values: Values, scope: Scope) -> Values:
        between = single(separator([], scope)) or ""
        return [between.join(map(str, values))]

    return run


def _texted(test: Callable[[str, str], bool]) -> Callable[[Path], Path]:
    def made(argument: Path) -> Path:
        def run(values: Values, scope: Scope) -> Values:
            value, given = single(values), single(argument([], scope))
            return [] if value is None or given is None else [test(str(value), str(given))]

        return run

    return made


def _substring(start: Path, length: Path | None = None) -> Path:
    def run(values: Values, scope: Scope) -> Values:
        text, first = single(values), single(start([], scope))
        if text is None or first is None or not 0 <= first < len(str(text)):
            return []
        count = None if length is None else single(length([], scope))
        return [str(text)[first:] if count is None else str(text)[first : first + count]]

    return run


def _negated(values: Values, scope: Scope) -> Values:
    found = truth(values)
    return [] if found is None else [not found]


def _fixed(path: Path) -> Callable[[], Path]:
    return lambda: path


_BOUNDARIES = {"lowBoundary": boundary(is_low=True), "highBoundary": boundary(is_low=False)}
_PLAIN: dict[str, Callable[..., Path]] = {
    "exists": _fixed(lambda values, scope: [bool(values)]),
    "empty": _fixed(lambda values, scope: [not values]),
    "first": _fixed(lambda values, scope: values[:1]),
    "last": _fixed(lambda values, scope: values[-1:]),
    "count": _fixed(lambda values, scope: [len(values)]),
    "not": _fixed(_negated),
    "join": _fixed(_joined(lambda values, scope: [""])),
    "getResourceKey": _fixed(_resource_key),
    "getReferenceKey": _fixed(reference_key(None)),
}
_WITH_ONE: dict[str, Callable[..., Path]] = {
    "where": _where,
    "exists": _exists_where,
    "extension": _extension,
    "join": _joined,
    "substring": _substring,
    "startsWith": _texted(str.startswith),
    "endsWith": _texted(str.endswith),
    "contains": _texted(lambda value, given: given in value),
}
_WITH_TWO: dict[str, Callable[..., Path]] = {"substring": _substring}
