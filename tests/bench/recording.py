"""The floor of a write, taken from the product itself: whatever rows one operation left, in one prepared statement.

One operation is carried out, its new rows are read from the databases, and a single statement is built that inserts
such rows, under fresh ids, into tables with the same indexes. Rows that were changed in place are left out.
"""

import itertools
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from stepwell_shared.fhir.identifiers import new_id

# Written at most once per batch, token or start, not once per operation.
_NOT_PER_OPERATION = {"alembic_version", "assertion_seen", "client", "issuer_key_set", "subscription_state", "tenant"}

_COLUMNS = """
SELECT c.relname AS table_name, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
  a.attidentity <> '' OR a.atthasdef AS filled, coalesce(a.attnum = ANY(i.indkey), false) AS key
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname <> ALL ($1)
ORDER BY c.relname, a.attnum"""


@dataclass(frozen=True)
class Column:
    """One column of a table; `filled` by the database when it is left out."""

    name: str
    type: str
    filled: bool
    key: bool


Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Snapshot:
    """The rows of one database, by table and primary key."""

    columns: Mapping[str, Sequence[Column]]
    rows: Mapping[str, Mapping[Key, Row]]


async def snapshot(connection: asyncpg.Connection, tenant: str | None = None) -> Snapshot:
    """What a database holds now, or what it holds of one tenant."""
    columns: dict[str, list[Column]] = {}
    for name, *column in await connection.fetch(_COLUMNS, list(_NOT_PER_OPERATION)):
        columns.setdefault(name, []).append(Column(*column))
    if tenant is not None:
        columns = {name: found for name, found in columns.items() if found[0].name == "tenant"}
    where = "" if tenant is None else f"WHERE tenant = '{tenant}'"
    rows: dict[str, dict[Key, Row]] = {}
    for name, found in columns.items():
        keys = [column.name for column in found if column.key]
        listed = ", ".join(f'"{column.name}"' for column in found)
        rows[name] = {
            tuple(record[key] for key in keys): dict(record)
            for record in await connection.fetch(f"SELECT {listed} FROM {name} {where}")
        }
    return Snapshot(columns, rows)


@dataclass(frozen=True)
class NewRows:
    """What an operation added to one table of one service."""

    service: str
    table: str
    columns: Sequence[Column]
    rows: Sequence[Row]


def new_rows(service: str, before: Snapshot, after: Snapshot) -> list[NewRows]:
    """The rows that are there after an operation and were not before, for each table that has any."""
    found = []
    for table, columns in after.columns.items():
        fresh = [row for key, row in after.rows[table].items() if key not in before.rows[table]]
        if fresh:
            found.append(NewRows(service, table, columns, fresh))
    return found


@dataclass
class FloorWrite:
    """One prepared statement and what it is called with; each call gets fresh ids and stays otherwise the same."""

    statement: str
    rows_count: int
    fixed: list[Any]
    ids: list[str]
    texts: list[tuple[int, str]] = field(default_factory=list)
    """(argument, format string over the ids)"""
    numbers: list[int] = field(default_factory=list)
    """Arguments that take the next number: keys that no id makes unique."""

    def arguments(self) -> Iterator[Sequence[Any]]:
        """Endless; each is for one call."""
        for number in itertools.count(time.time_ns() // 1000):
            fresh = [new_id() if time_ordered(old) else _random_id() for old in self.ids]
            values = list(self.fixed)
            for position, text in self.texts:
                values[position] = text.format(*fresh)
            for position in self.numbers:
                values[position] = number
            yield values


def time_ordered(id_: str) -> bool:
    """Whether this is a UUID of version 7; ids derived from a cause are scattered."""
    return id_[14:15] == "7"


def _random_id() -> str:
    text = secrets.token_hex(16)
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-{text[16:20]}-{text[20:]}"


def floor_write(found: Sequence[NewRows], patient_id: str) -> FloorWrite:
    """The statement that writes all these rows; `service` of each is the schema of its table.

    `patient_id` was there before the operation; the floor takes another patient each time, as the load does.
    """
    ids = {patient_id: None}
    for each in found:
        for row in each.rows:
            ids |= {row[name]: None for name in ("id", "request_id") if isinstance(row.get(name), str)}
    builder = _Builder(list(ids))
    parts = [builder.insert(each) for each in found]
    shared = ", ".join(f"w{number} AS ({part})" for number, part in enumerate(parts[:-1]))
    statement = f"WITH {shared} {parts[-1]}" if shared else parts[-1]
    count = sum(len(each.rows) for each in found)
    return FloorWrite(statement, count, builder.fixed, builder.ids, builder.texts, builder.numbers)


class _Builder:
    """Collects the arguments of the statement; equal values share one."""

    def __init__(self, ids: list[str]) -> None:
        self.ids = ids
        self.fixed: list[Any] = []
        self.texts: list[tuple[int, str]] = []
        self.numbers: list[int] = []
        self._known: dict[tuple[str, Any], int] = {}

    def insert(self, found: NewRows) -> str:
        columns = [column for column in found.columns if not column.filled]
        names = ", ".join(f'"{column.name}"' for column in columns)
        unique = any(column.key and column.filled for column in found.columns)
        rows = []
        for row in found.rows:
            has_id = unique or any(column.key and self._varies(row[column.name]) for column in columns)
            counted = None if has_id else self._number(columns)
            rows.append(
                ", ".join(
                    self._next_number(column) if column is counted else self._value(column, row[column.name])
                    for column in columns
                )
            )
        values = ", ".join(f"({row})" for row in rows)
        return f'INSERT INTO {found.service}."{found.table}" ({names}) VALUES {values}'

    def _number(self, columns: Sequence[Column]) -> Column:
        return next(column for column in columns if column.key and column.type in {"bigint", "integer"})

    def _next_number(self, column: Column) -> str:
        self.numbers.append(len(self.fixed))
        self.fixed.append(0)
        return f"${len(self.fixed)}::{column.type}"

    def _varies(self, value: Any) -> bool:
        return isinstance(value, str) and any(id_ in value for id_ in self.ids)

    def _value(self, column: Column, value: Any) -> str:
        place = self._known.get((column.type, value))
        if place is None:
            place = self._known[column.type, value] = len(self.fixed)
            self.fixed.append(value)
            if self._varies(value):
                text = value.replace("{", "{{").replace("}", "}}")
                for number, id_ in enumerate(self.ids):
                    text = text.replace(id_, f"{{{number}}}")
                self.texts.append((place, text))
        return f"${place + 1}::{column.type}"
