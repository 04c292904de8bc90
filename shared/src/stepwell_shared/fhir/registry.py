"""The registry: which resource types a service serves, and how. Routes, validation, search columns, tables,
the CapabilityStatement and OpenAPI all follow from it; a second registration of the same thing fails at start.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.parameters import COMMON_PARAMETERS, SearchParameter, Storage, coded, search_parameter
from stepwell_shared.fhir.unit import Stored, UnitOfWork


class Interaction(StrEnum):
    """The type-level and instance-level interactions of the R4 REST API that the engine knows."""

    # An enumeration takes two calls to find a hash; every request looks its interaction up several times.
    __hash__ = str.__hash__

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

    `interaction` is what the caller's scopes must grant on the type; None for one that asks for what it needs itself.
    One that affects no state answers GET too. One that is asynchronous answers 202 with the address of its status.
    """

    name: str
    handler: Callable[[Any], Awaitable[Any]]
    interaction: Interaction | None
    documentation: str
    instance: bool = True
    affects_state: bool = True
    # what it answers with, when that is not a resource of its own type
    result: str | None = None
    # the canonical URL of its definition, when somebody else has defined it
    definition: str = ""
    is_asynchronous: bool = False
    # its parameters by name, as the documents say what they are
    parameters: Mapping[str, str] = field(default_factory=dict)


_MEMBERS_REMEMBERED_MAX = 1000
_IN_COLUMNS = frozenset({Storage.COLUMN, Storage.CODED, Storage.DATE_COLUMNS})


class Indexed(NamedTuple):
    """The parameters that can have a value in resources with certain members; columns with their place in the row.

    `coded` are the places of those that are kept in rows where columns cannot say them.
    """

    columns: tuple[tuple[int, SearchParameter], ...]
    coded: Mapping[str, int]
    rows: tuple[SearchParameter, ...]
    references: tuple[SearchParameter, ...]
    numbers: tuple[SearchParameter, ...]


@dataclass(frozen=True)
class Content:
    """What a type (Binary) holds and gives back as it came: the media types that are taken with the ending of the names
    of their files, and how many bytes at most."""

    endings: dict[str, str]
    bytes_max: int


@dataclass(frozen=True)
class View:
    """What is kept in a table of its own and rendered as a resource in SQL whenever it is read.

    `source` is what follows FROM, whose rows have the columns `tenant`, `id` (a bigint, in text the id of the resource)
    and `last_updated`; `body` is an expression of type json, and `values` are those of the search columns, by name.
    """

    source: str
    body: str
    values: Mapping[str, str]
    # of codes: the systems that they are of, by the name of the search parameter
    systems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class ServedType:
    """A resource type as one service serves it.

    Each of `indexes` names the parameters of a composite b-tree; `-date` descends, as the newest are asked for first.
    """

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
    update_create: bool = True
    # whether reads and searches honour Accept-Language with the translations that its strings carry
    translated: bool = False
    # how a search is sorted that does not say, as in `_sort`
    order: str = ""
    # what it holds that is no FHIR: it is sent and read as it is
    content: Content | None = None
    # for what is kept in another form, and rendered when it is read: see `View`
    view: View | None = None

    def allows(self, interaction: Interaction) -> bool:
        """Whether it is served so; a patch is an update that says only what changes."""
        return interaction in self._allowed

    @cached_property
    def _allowed(self) -> frozenset[Interaction]:
        patch = {Interaction.PATCH} if Interaction.UPDATE in self.interactions else set()
        return frozenset(self.interactions) - {Interaction.PATCH} | patch

    @property
    def allows_update_create(self) -> bool:
        """Whether an update may bring a new id into being: where clients may create at all."""
        return self.update_create and self.allows(Interaction.UPDATE) and self.allows(Interaction.CREATE)

    @cached_property
    def columns(self) -> list[SearchParameter]:
        return [p for p in self.parameters.values() if p.storage in _IN_COLUMNS]

    @cached_property
    def rows(self) -> list[SearchParameter]:
        return [p for p in self.parameters.values() if p.storage in {Storage.ROWS, Storage.CODED}]

    @cached_property
    def looked_up(self) -> list[SearchParameter]:
        """References and URIs in columns that no composite index leads with: each has an index of its own."""
        leading = {index[0] for index in self.indexes}
        kept = [p for p in self.columns if p.storage is Storage.COLUMN and p.type in {"reference", "uri"}]
        return [p for p in kept if p.name not in leading]

    @cached_property
    def references(self) -> list[SearchParameter]:
        return [p for p in self.parameters.values() if p.type == "reference" and "Reference" in p.element_types]

    @cached_property
    def referring(self) -> dict[str, str]:
        """The parameters that take an id or an address, with the type that a bare id is of, where there is only one."""
        plain = [p for p in self.references if "canonical" not in p.element_types]
        return {p.name: p.targets[0] if len(p.targets) == 1 else "" for p in plain}

    @cached_property
    def numbers(self) -> list[SearchParameter]:
        return [p for p in self.parameters.values() if p.storage is Storage.NUMBERS]

    @cached_property
    def width(self) -> int:
        """How many columns a row has for search."""
        return sum(parameter.width for parameter in self.columns)

    def indexed(self, resource: Iterable[str]) -> Indexed:
        """What can have a value in a resource with these members: most parameters have none in most resources, and
        resources of one client have the same members."""
        members = frozenset(resource)
        found = self._indexed.get(members)
        if found is None:
            if len(self._indexed) >= _MEMBERS_REMEMBERED_MAX:
                self._indexed.clear()
            found = self._indexed[members] = self._read_from(members)
        return found

    @cached_property
    def _indexed(self) -> dict[frozenset[str], Indexed]:
        return {}

    @cached_property
    def remembered(self) -> dict[Hashable, Any]:
        """What searches of the type make of the same words again and again; bounded by who keeps it."""
        return {}

    def _read_from(self, members: frozenset[str]) -> Indexed:
        def read(parameters: Iterable[SearchParameter]) -> tuple[SearchParameter, ...]:
            return tuple(each for each in parameters if each.may_read(members))

        places = accumulate((each.width for each in self.columns), initial=0)
        columns = tuple(
            (place, each) for place, each in zip(places, self.columns, strict=False) if each.may_read(members)
        )
        coded = {each.name: place for place, each in columns if each.storage is Storage.CODED}
        return Indexed(columns, coded, read(self.rows), read(self.references), read(self.numbers))


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
    update_create: bool = True,
    translated: bool = False,
    order: str = "",
    view: View | None = None,
) -> ServedType:
    """Declares a type with official search parameters by name; `indexes` name parameters searched together.

    A concept that an index names is kept in columns (`Storage.CODED`). `mask` changes the bytes that leave the server,
    for secrets that only a write may carry; `update_create` says whether an update may bring a new id into being, where
    clients may create at all; `translated` whether Accept-Language picks the language of its strings; `order`
    sorts a search that does not say how.
    """
    names = [*search, *COMMON_PARAMETERS]
    if len(names) != len(set(names)):
        raise ValueError(f"{name} declares a search parameter twice")
    parameters = {parameter: search_parameter(name, parameter) for parameter in names}
    for each in parameters.values():
        if each.storage in {Storage.ANY_OF, Storage.ALL_OF} and not parameters.keys() >= set(each.parts):
            raise ValueError(f"{name}: {each.name} needs {', '.join(each.parts)}")
    if view is not None:
        for name_, each in parameters.items():
            if each.column in view.values and each.storage is Storage.ROWS:
                parameters[name_] = replace(each, storage=Storage.COLUMN, systems=view.systems.get(name_, ()))
    for parameter in {each.removeprefix("-") for index in indexes for each in index}:
        if parameters[parameter].storage not in _IN_COLUMNS:
            parameters[parameter] = coded(parameters[parameter])
    subject, patient = parameters.get("subject"), parameters.get("patient")
    if subject and patient and subject.paths == patient.paths and patient.storage is Storage.COLUMN:
        parameters["subject"] = replace(subject, patient_column=patient.column)
    return ServedType(
        name,
        interactions,
        parameters,
        on_write,
        mask,
        indexes,
        unique_identifier,
        operations,
        profiles,
        documentation,
        update_create,
        translated,
        order,
        view=view,
    )
