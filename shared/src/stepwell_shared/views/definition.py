"""A ViewDefinition, read once: what is wrong with it is said before any resource is looked at.

https://sql-on-fhir.org/ig/2.0.0/StructureDefinition-ViewDefinition.html
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stepwell_shared.views.paths import compiled, constants_in
from stepwell_shared.views.values import Path, ViewError

DEPTH_MAX = 20
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ITERATIONS = ("forEach", "forEachOrNull", "repeat")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its FHIR type, and whether it holds lists."""

    name: str
    path: Path
    type: str
    is_collection: bool


@dataclass(frozen=True, slots=True)
class Select:
    """Columns of an element, and what is joined to them. `over` are the paths to its elements, for `repeat` again and
    again; `or_null` gives one row without values where there is no element."""

    over: tuple[Path, ...]
    is_repeated: bool
    or_null: bool
    columns: tuple[Column, ...]
    selects: tuple["Select", ...]
    unions: tuple["Select", ...]

    def all_columns(self) -> list[Column]:
        """The columns of its rows in their order."""
        found = [*self.columns, *(each for select in self.selects for each in select.all_columns())]
        return [*found, *(self.unions[0].all_columns() if self.unions else ())]


@dataclass(frozen=True, slots=True)
class View:
    """A view that can be run: of which resources it is, which it takes, and the rows that it makes of each."""

    name: str
    resource_type: str
    where: tuple[Path, ...]
    select: Select
    constants: Mapping[str, Any]

    @property
    def columns(self) -> list[Column]:
        return self.select.all_columns()


def view_of(definition: Any) -> View:
    """The view that a ViewDefinition says. Raises ViewError."""
    if not isinstance(definition, dict):
        raise ViewError("a ViewDefinition is a JSON object")
    resource_type = definition.get("resource")
    if not isinstance(resource_type, str) or not resource_type:
        raise ViewError("resource: names the type of which the view is")
    constants = _constants(definition.get("constant", []))
    selects = tuple(_select(each, set(constants), 0) for each in _objects(definition, "select"))
    if not selects:
        raise ViewError("select: a view has columns")
    where = tuple(_path(each, set(constants), "where") for each in _objects(definition, "where"))
    view = View(
        str(definition.get("name", "")), resource_type, where, Select((), False, False, (), selects, ()), constants
    )
    names = [column.name for column in view.columns]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ViewError(f"column: {', '.join(doubled)} is there twice")
    return view


def _constants(given: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in given if isinstance(given, list) else [None]:
        own: dict[str, Any] = each if isinstance(each, dict) else {}
        values = [value for name, value in own.items() if name.startswith("value")]
        if len(values) != 1 or not isinstance(own.get("name"), str):
            raise ViewError("constant: has a name and one value")
        found[own["name"]] = values[0]
    return found


def _select(given: Any, known: set[str], depth: int) -> Select:
    if depth > DEPTH_MAX:
        raise ViewError("select: nested too deep")
    ways = [name for name in _ITERATIONS if name in given]
    if len(ways) > 1:
        raise ViewError(f"select: takes one of {', '.join(_ITERATIONS)}")
    over: list[str] = []
    if ways:
        over = given[ways[0]] if ways[0] == "repeat" else [given[ways[0]]]
    if not isinstance(over, list):
        raise ViewError("repeat: is a list of paths")
    found = Select(
        over=tuple(_compiled(each, known) for each in over),
        is_repeated=ways == ["repeat"],
        or_null=ways == ["forEachOrNull"],
        columns=tuple(_column(each, known) for each in _objects(given, "column")),
        selects=tuple(_select(each, known, depth + 1) for each in _objects(given, "select")),
        unions=tuple(_select(each, known, depth + 1) for each in _objects(given, "unionAll")),
    )
    shapes = [[(column.name, column.is_collection) for column in union.all_columns()] for union in found.unions]
    if any(shape != shapes[0] for shape in shapes):
        raise ViewError("unionAll: all parts have the same columns in the same order")
    return found


def _column(given: Any, known: set[str]) -> Column:
    name = given.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ViewError("column: its name begins with a letter and has letters, digits and underscores")
    is_collection = given.get("collection", False)
    return Column(name, _path(given, known, "column"), str(given.get("type", "string")), is_collection is True)


def _path(given: Any, known: set[str], what: str) -> Path:
    if not isinstance(given.get("path"), str):
        raise ViewError(f"{what}: has a path")
    return _compiled(given["path"], known)


def _compiled(path: Any, known: set[str]) -> Path:
    found = compiled(path)
    unknown = sorted(constants_in(path) - known)
    if unknown:
        raise ViewError(f"constant: {', '.join(unknown)} is not declared")
    return found


def _objects(given: Any, name: str) -> Iterator[Any]:
    listed = given.get(name, [])
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise ViewError(f"{name}: is a list of objects")
    return iter(listed)
