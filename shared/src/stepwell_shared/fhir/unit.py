"""A unit of work: what one request or event changes, committed as one or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from stepwell_shared.database.functions import Effect


class Method(Enum):
    """How a version came to be, as history reports it."""

    POST = "POST"
    PUT = "PUT"
    DELETE = "DELETE"


@dataclass(slots=True)
class Stored:
    """One stored version; `body` is the exact JSON that is sent, None for a deletion."""

    resource_type: str
    id: str
    version: int
    last_updated: datetime
    body: bytes | None
    method: Method = Method.PUT


class Span(NamedTuple):
    """Which versions of a history: those since a time, and those that were current at some time of an interval."""

    since: datetime | None = None
    at_low: datetime | None = None
    at_high: datetime | None = None


EVER = Span()


class Place(NamedTuple):
    """Where a version stands in the history of all resources; `transaction` is the number of PostgreSQL's."""

    transaction: str | None
    last_updated: datetime | None
    resource_type: str
    id: str
    version: int


@dataclass(slots=True)
class Change:
    """A new version of one resource with what search needs to know of it.

    `columns` stand in the order of the type's promoted columns, `rows` are (parameter, system, code, display)
    of its index table, `numbers` the rows of its other one (see `indexing.numbers_of`).
    Version 1 must not exist yet; any other must follow the one before.
    """

    stored: Stored
    columns: tuple[object, ...] = ()
    rows: Sequence[tuple[str, str, str, str | None]] = ()
    numbers: Sequence[tuple[object, ...]] = ()


@dataclass(slots=True)
class UnitOfWork:
    """Changes and effect rows of one tenant; hooks and use cases add to it before it is committed."""

    tenant: str
    changes: list[Change] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
