"""Search parameters of R4, ready to index: what each reads of a resource and where its values are kept."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

from stepwell_shared.fhir import definitions
from stepwell_shared.fhir.paths import Extractor, compile_member, compile_path, filtered_targets, reads_absence

# What every resource type is searched by, beside _id and _lastUpdated which are the row's own.
COMMON_PARAMETERS = ("_profile", "_security", "_source", "_tag")


class Storage(StrEnum):
    """Where a parameter's values are kept: in columns of the row, as rows of one of the type's two index tables, or
    nowhere because other parameters say it: one of them (`ANY_OF`) or all of them (`ALL_OF`).

    `CODED` is for a concept that does not repeat: its one coding stands in columns; what a column cannot say (several
    codings, words alone) stands in rows while the columns are empty.
    """

    COLUMN = "column"
    CODED = "coded columns"
    DATE_COLUMNS = "date columns"
    ROWS = "rows"
    NUMBERS = "numbers"
    ANY_OF = "any of"
    ALL_OF = "all of"


@dataclass(frozen=True)
class SearchParameter:
    """One search parameter of one type, with the extractor compiled from its official expression.

    `parts` are the parameters that answer for it, or of a composite the kinds of its parts; `members` extract the
    parts from each element that `extract` finds. `element_types` are the types of what it reads, `paths` where it
    stands, and `is_single` says that there is at most one. `patient_column` of a reference is the column that says
    the same of the patients among its targets.
    """

    name: str
    type: str
    definition: str
    targets: tuple[str, ...]
    storage: Storage
    extract: Extractor
    parts: tuple[str, ...] = ()
    members: tuple[Extractor, ...] = ()
    element_types: frozenset[str] = frozenset()
    codes: str | None = None
    paths: tuple[str, ...] = ()
    is_single: bool = False
    patient_column: str = ""
    reads_absence: bool = False
    # of plain codes that R4 does not bind: the systems that they are of
    systems: tuple[str, ...] = ()

    def may_read(self, members: Iterable[str]) -> bool:
        """Whether a resource with these members can have a value; a choice is spelt with its type after its name."""
        return self.reads_absence or any(_is_spelt(root, member) for root in self._roots for member in members)

    @property
    def width(self) -> int:
        """How many columns keep it."""
        return {Storage.DATE_COLUMNS: 2, Storage.CODED: 3, Storage.COLUMN: 1}.get(self.storage, 0)

    @property
    def _roots(self) -> set[str]:
        return {path.split(".")[1] for path in self.paths}

    @property
    def can_be_coded(self) -> bool:
        """Whether it is a concept that does not repeat, which columns can keep."""
        is_concept = self.element_types == {"CodeableConcept"} and self.storage is Storage.ROWS
        return self.type == "token" and is_concept and self.is_single

    @property
    def column(self) -> str:
        """Stem of the column names; hyphens are not for SQL."""
        return "p_" + self.name.replace("-", "_")


def _is_spelt(root: str, member: str) -> bool:
    return member.startswith(root) and (len(member) == len(root) or member[len(root)].isupper())


@cache
def search_parameter(resource_type: str, name: str) -> SearchParameter:
    """The official parameter, ready to index; raises KeyError or UnsupportedPathError when it cannot be."""
    definition = definitions.search_parameter(resource_type, name)
    if name.startswith("combo-"):
        parts = (name.removeprefix("combo-"), name.replace("combo-", "component-", 1).replace("-code-code", "-code"))
        return _answered_by(definition, Storage.ANY_OF, parts)
    if definition.type == "composite":
        return _composite(resource_type, definition)

    def choice_types(path: str) -> list[str]:
        return _choice_types(resource_type, path)

    extract, paths = compile_path(resource_type, definition.expression, choice_types)
    targets = filtered_targets(resource_type, definition.expression) or definition.targets
    elements = [definitions.element(resource_type, path.partition(".")[2]) for path in paths]
    return SearchParameter(
        name,
        definition.type,
        definition.url,
        targets,
        Storage.ROWS if name in COMMON_PARAMETERS else _storage(resource_type, definition.type, paths),
        extract,
        element_types=frozenset(
            kind for element, path in zip(elements, paths, strict=True) for kind in _types_read(element, path)
        ),
        codes=elements[0].codes if len(elements) == 1 else None,
        paths=tuple(paths),
        is_single=name not in COMMON_PARAMETERS and _is_single(resource_type, paths),
        reads_absence=reads_absence(resource_type, definition.expression),
    )


def coded(parameter: SearchParameter) -> SearchParameter:
    """The parameter with its one coding in columns, for a composite index. Raises ValueError when it may repeat."""
    if not parameter.can_be_coded:
        raise ValueError(f"{parameter.name} is kept in rows and cannot be part of a composite index")
    return replace(parameter, storage=Storage.CODED)


def _is_single(resource_type: str, paths: list[str]) -> bool:
    return len(paths) == 1 and definitions.is_single_valued(resource_type, paths[0].partition(".")[2])


def _types_read(element: definitions.ElementDefinition, path: str) -> tuple[str, ...]:
    """The types of an element; of a choice only the one that the path names, such as valueQuantity."""
    kind = definitions.json_names(element).get(path.rpartition(".")[2])
    return (kind,) if kind is not None else element.types


def _choice_types(resource_type: str, path: str) -> list[str]:
    element = definitions.element(resource_type, path.partition(".")[2])
    return list(element.types) if element.is_choice else []


def _answered_by(
    definition: definitions.SearchParameterDefinition, storage: Storage, parts: tuple[str, ...]
) -> SearchParameter:
    return SearchParameter(definition.name, definition.type, definition.url, (), storage, _nothing, parts)


def _nothing(resource: dict[str, object]) -> list[object]:
    """What is kept of a parameter that others answer for."""
    return []


def _composite(resource_type: str, definition: definitions.SearchParameterDefinition) -> SearchParameter:
    """Parts of the whole resource are parameters of their own; those of a repeating element are kept side by side."""
    by_url = {each.url: each for each in definitions.search_parameters(resource_type).values()}
    parts = [by_url[url] for url, _ in definition.components]
    base = definition.expression
    if base == resource_type:
        return _answered_by(definition, Storage.ALL_OF, tuple(part.name for part in parts))

    def choice_types(path: str) -> list[str]:
        return _choice_types(resource_type, path)

    extract, paths = compile_path(resource_type, base, choice_types)
    members = tuple(compile_member(base, expression, choice_types) for _, expression in definition.components)
    kinds = tuple(part.type for part in parts)
    return SearchParameter(
        definition.name, definition.type, definition.url, (), Storage.NUMBERS, extract, kinds, members,
        paths=tuple(paths),
    )  # fmt: skip


def _storage(resource_type: str, kind: str, paths: list[str]) -> Storage:
    single = _is_single(resource_type, paths)
    if kind == "date":
        return Storage.DATE_COLUMNS
    if kind in {"number", "quantity"}:
        return Storage.NUMBERS
    if kind == "token":
        element = definitions.element(resource_type, paths[0].partition(".")[2])
        primitive = all(definitions.type_definition(kind).kind == "primitive-type" for kind in element.types)
        return Storage.COLUMN if single and primitive and not element.is_choice else Storage.ROWS
    if kind in {"reference", "uri"} and single:
        return Storage.COLUMN
    return Storage.ROWS
