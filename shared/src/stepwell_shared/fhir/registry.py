"""The registry: which resource types a service serves, and how. Routes, validation, search columns, tables,
the CapabilityStatement and OpenAPI all follow from it; a second registration of the same thing fails at start.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from stepwell_shared.fhir import definitions
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.paths import Extractor, compile_path, filtered_targets
from stepwell_shared.fhir.unit import Stored, UnitOfWork


class Interaction(StrEnum):
    """The type-level and instance-level interactions of the R4 REST API that the engine knows."""

    READ = "read"
    VREAD = "vread"
    CREATE = "create"
    UPDATE = "update"
    PATCH = "patch"
    DELETE = "delete"
    HISTORY_INSTANCE = "history-instance"
    HISTORY_TYPE = "history-type"
    SEARCH_TYPE = "search-type"


READ_ONLY = frozenset(
    {
        Interaction.READ,
        Interaction.VREAD,
        Interaction.HISTORY_INSTANCE,
        Interaction.HISTORY_TYPE,
        Interaction.SEARCH_TYPE,
    }
)
READ_WRITE = frozenset(Interaction)


class Storage(StrEnum):
    """Where a parameter's values are kept: in columns of the row, or as rows of the type's index table."""

    COLUMN = "column"
    DATE_COLUMNS = "date columns"
    ROWS = "rows"


@dataclass(frozen=True)
class SearchParameter:
    """One search parameter of one type, with the extractor compiled from its official expression."""

    name: str
    type: str
    definition: str
    targets: tuple[str, ...]
    storage: Storage
    extract: Extractor

    @property
    def column(self) -> str:
        """Stem of the column names; hyphens are not for SQL."""
        return "p_" + self.name.replace("-", "_")


Reader = Callable[[str, str], Awaitable[Stored | None]]


@dataclass(slots=True)
class Write:
    """A validated write on its way to the store. A hook may refuse it or add to its unit of work."""

    access: Access
    interaction: Interaction
    resource: dict[str, Any] | None
    previous: Stored | None
    stored: Stored
    unit: UnitOfWork
    now: datetime
    # current versions by type and id as they are once this unit of work is committed
    read: Reader


Hook = Callable[[Write], Awaitable[None]]


@dataclass(frozen=True)
class Operation:
    """A `$operation` of a type: `handler` takes the engine's Request and gives its Response.

    `interaction` is what the caller's scopes must grant on the type. One that affects no state answers GET too.
    """

    name: str
    handler: Callable[[Any], Awaitable[Any]]
    interaction: Interaction
    documentation: str
    instance: bool = True
    affects_state: bool = True
    # what it answers with, when that is not a resource of its own type
    result: str | None = None


@dataclass(frozen=True)
class ServedType:
    """A resource type as one service serves it."""

    name: str
    interactions: frozenset[Interaction]
    parameters: dict[str, SearchParameter]
    on_write: Hook | None = None
    mask: Callable[[bytes], bytes] | None = None
    indexes: tuple[tuple[str, ...], ...] = ()
    unique_identifier: bool = False
    operations: tuple[Operation, ...] = ()
    profiles: tuple[str, ...] = ()
    documentation: str = ""

    def allows(self, interaction: Interaction) -> bool:
        """Whether it is served so; a patch is an update that says only what changes."""
        return (Interaction.UPDATE if interaction is Interaction.PATCH else interaction) in self.interactions

    @property
    def allows_update_create(self) -> bool:
        """Whether an update may bring a new id into being: where clients may create at all."""
        return self.allows(Interaction.UPDATE) and self.allows(Interaction.CREATE)

    @property
    def columns(self) -> list[SearchParameter]:
        return [p for p in self.parameters.values() if p.storage is not Storage.ROWS]

    @property
    def rows(self) -> list[SearchParameter]:
        return [p for p in self.parameters.values() if p.storage is Storage.ROWS]


@dataclass
class Registry:
    """The served types of one service, by name, and the operations that belong to none of them."""

    service: str
    types: dict[str, ServedType] = field(default_factory=dict)
    operations: tuple[Operation, ...] = ()

    def add(self, served: ServedType) -> None:
        if served.name in self.types:
            raise ValueError(f"{served.name} is registered twice in {self.service}")
        self.types[served.name] = served

    def __iter__(self) -> Iterator[ServedType]:
        return iter(self.types.values())


def served(
    name: str,
    search: Iterable[str],
    *,
    interactions: frozenset[Interaction] = READ_WRITE,
    on_write: Hook | None = None,
    mask: Callable[[bytes], bytes] | None = None,
    indexes: tuple[tuple[str, ...], ...] = (),
    unique_identifier: bool = False,
    operations: tuple[Operation, ...] = (),
    profiles: tuple[str, ...] = (),
    documentation: str = "",
) -> ServedType:
    """Declares a type with official search parameters by name; `indexes` name parameters searched together.

    `mask` changes the bytes that leave the server, for secrets that only a write may carry.
    """
    names = list(search)
    if len(names) != len(set(names)):
        raise ValueError(f"{name} declares a search parameter twice")
    parameters = {parameter: search_parameter(name, parameter) for parameter in names}
    for index in indexes:
        for parameter in index:
            if parameters[parameter].storage is Storage.ROWS:
                raise ValueError(f"{name}: {parameter} is kept in rows and cannot be part of a composite index")
    return ServedType(
        name, interactions, parameters, on_write, mask, indexes, unique_identifier, operations, profiles, documentation
    )


def search_parameter(resource_type: str, name: str) -> SearchParameter:
    """The official parameter, ready to index; raises KeyError or UnsupportedPathError when it cannot be."""
    definition = definitions.search_parameter(resource_type, name)

    def choice_types(path: str) -> list[str]:
        element = definitions.element(resource_type, path.partition(".")[2])
        return list(element.types) if element.is_choice else []

    extract, paths = compile_path(resource_type, definition.expression, choice_types)
    storage = _storage(resource_type, definition.type, paths)
    targets = filtered_targets(resource_type, definition.expression) or definition.targets
    return SearchParameter(name, definition.type, definition.url, targets, storage, extract)


def _storage(resource_type: str, kind: str, paths: list[str]) -> Storage:
    relative = [path.partition(".")[2] for path in paths]
    single = len(paths) == 1 and definitions.is_single_valued(resource_type, relative[0])
    if kind == "date":
        return Storage.DATE_COLUMNS
    if kind == "token":
        kinds = definitions.element(resource_type, relative[0]).types
        primitive = all(definitions.type_definition(kind).kind == "primitive-type" for kind in kinds)
        return Storage.COLUMN if single and primitive else Storage.ROWS
    if kind in {"reference", "uri"} and single:
        return Storage.COLUMN
    if kind in {"reference", "uri", "string"}:
        return Storage.ROWS
    raise ValueError(f"search parameters of type {kind} are not kept yet: {resource_type} {paths}")
