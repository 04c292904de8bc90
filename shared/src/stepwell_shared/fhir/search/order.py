"""The order of a search and the places in it: sort keys as SQL, and signed cursors that name where a page starts.

https://hl7.org/fhir/R4/search.html section 3.1.1.5.1
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from stepwell_shared.fhir.parameters import SearchParameter, Storage
from stepwell_shared.fhir.registry import ServedType
from stepwell_shared.fhir.search.terms import Values, refused, too_costly
from stepwell_shared.fhir.table_names import column_names, index_table, number_table

CURSOR = "_cursor"
SORT_KEYS_MAX = 4


@dataclass(frozen=True)
class Key:
    """One sort key: an SQL expression of the row, its type and its direction.

    What has no value comes last, and therefore first where the order is `turned`.
    """

    expression: str
    cast: str
    descending: bool
    is_column: bool = True
    is_nullable: bool = True
    turned: bool = False

    @property
    def direction(self) -> str:
        nulls = f" NULLS {'FIRST' if self.turned else 'LAST'}" if self.is_nullable else ""
        return ("DESC" if self.descending else "ASC") + nulls


@dataclass(frozen=True)
class Cursor:
    """A place in a result: the keys and the id of the row that a page starts behind, or ends before when `backward`.

    Without keys the page is the last one.
    """

    keys: tuple[str | None, ...] = ()
    backward: bool = False

    def sealed(self, place: str, cursor_key: bytes) -> str:
        """The cursor as a page link carries it; `place` is what it belongs to."""
        return seal_cursor(place, {"before": self.keys} if self.backward else self.keys, cursor_key)

    @classmethod
    def opened(cls, place: str, text: str, cursor_key: bytes) -> "Cursor":
        """The cursor in a page link; raises FhirError INVALID when it is not ours or of another search."""
        found = open_cursor(place, text, cursor_key)
        return cls(tuple(found["before"]), backward=True) if isinstance(found, dict) else cls(tuple(found))


@dataclass(frozen=True)
class Order:
    """What a page is sorted by; ids break ties, in the direction of the last key. `name` is the `_sort` of it."""

    keys: tuple[Key, ...] = ()
    name: str = ""
    descends: bool = False

    def turned(self) -> "Order":
        """The same order from its end."""
        keys = [replace(key, descending=not key.descending, turned=not key.turned) for key in self.keys]
        return Order(tuple(keys), self.name, not self.descends)

    @property
    def clause(self) -> str:
        """ORDER BY over the columns that `selected` names."""
        keys = [f"key_{number} {key.direction}" for number, key in enumerate(self.keys)]
        return ", ".join([*keys, f"id {'DESC' if self.descends else 'ASC'}"])

    @property
    def selected(self) -> str:
        """The row's keys as columns, for the order and for the pages around."""
        return "".join(f", {key.expression} AS key_{number}" for number, key in enumerate(self.keys))

    @property
    def taken(self) -> str:
        """Those columns again, of rows `f` that were selected so."""
        return "".join(f", f.key_{number}" for number in range(len(self.keys)))

    def keys_of(self, row: Mapping[str, Any]) -> tuple[str | None, ...]:
        """The keys and the id of a row that was selected so, as text."""
        return (*(_text(row[f"key_{number}"]) for number in range(len(self.keys))), row["id"])

    def parts(self) -> list[str]:
        """All rows, as conditions of which exactly one holds: for a column whose index keeps what is absent at the
        other end. Nothing where the order is that of the index."""
        key = self.keys[0] if len(self.keys) == 1 else None
        if key is None or not key.is_column or not key.is_nullable or key.turned is not key.descending:
            return []
        return [f"{key.expression} IS NOT NULL", f"{key.expression} IS NULL"]

    @property
    def part_clause(self) -> str:
        """ORDER BY within one of those conditions, where what is absent has no say: as the index has it."""
        if len(self.keys) != 1 or not self.keys[0].is_column:
            return self.clause
        (key,) = self.keys
        return replace(self, keys=(replace(key, turned=not key.descending),)).clause

    def after(self, keys: Sequence[str | None], found: Values, *, inclusive: bool = False) -> list[str]:
        """The rows behind a place, with `inclusive` the one at it too, as conditions of which exactly one holds.

        One key is compared as a row, which an index answers from that place on; what has no value stands apart.
        """
        *given, id_ = keys
        sign = ("<" if self.descends else ">") + ("=" if inclusive else "")
        beyond_id = f"r.id {sign} {found.add(str(id_))}"
        if not self.keys:
            return [beyond_id]
        if len(self.keys) > 1 or not self.keys[0].is_column:
            return [self._behind(given, beyond_id, found)]
        key, value = self.keys[0], given[0]
        column = key.expression
        if value is None:
            at_null = f"({column} IS NULL AND {beyond_id})"
            return [at_null, f"{column} IS NOT NULL"] if key.turned else [at_null]
        place = f"({found.add(value)}::{key.cast}, {found.add(str(id_))})"
        behind = f"({column}, r.id) {sign} {place}"
        return [behind, f"{column} IS NULL"] if key.is_nullable and not key.turned else [behind]

    def _behind(self, given: Sequence[str | None], condition: str, found: Values) -> str:
        """Several keys: each decides where those before it are equal."""
        for key, value in reversed(list(zip(self.keys, given, strict=True))):
            column = key.expression
            if value is None:
                away = f" OR {column} IS NOT NULL" if key.turned else ""
                condition = f"(({column} IS NULL AND {condition}){away})"
                continue
            place = f"{found.add(value)}::{key.cast}"
            beyond = f"{column} {'<' if key.descending else '>'} {place}"
            away = "" if key.turned or not key.is_nullable else f" OR {column} IS NULL"
            condition = f"({beyond} OR ({column} = {place} AND {condition}){away})"
        return condition


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.isoformat() if isinstance(value, datetime) else repr(value)


def parse_order(served_type: ServedType, text: str) -> Order:
    """`_sort=a,-b`; raises FhirError INVALID."""
    names = text.split(",")
    if len(names) > SORT_KEYS_MAX:
        raise too_costly(f"_sort: takes at most {SORT_KEYS_MAX} parameters")
    keys = [_key(served_type, name.removeprefix("-"), descending=name.startswith("-")) for name in names]
    return Order(tuple(keys), text, keys[-1].descending)


def _key(served_type: ServedType, name: str, *, descending: bool) -> Key:
    if name == "_id":
        return Key("r.id", "text", descending, is_nullable=False)
    if name == "_lastUpdated":
        return Key("r.last_updated", "timestamptz", descending, is_nullable=False)
    parameter = served_type.parameters.get(name)
    if parameter is None or parameter.type == "composite" or parameter.storage is Storage.ANY_OF:
        raise refused("_sort", "takes _id, _lastUpdated and parameters of the type that have values of their own")
    if parameter.storage is Storage.DATE_COLUMNS:
        return Key(f"r.{_end(parameter, descending=descending)}", "timestamptz", descending)
    if parameter.storage is Storage.COLUMN:
        return Key(f"r.{parameter.column}", "text", descending)
    return _of_many(served_type, parameter, descending=descending)


def _end(parameter: SearchParameter, *, descending: bool) -> str:
    """Of several dates the earliest, and in a descending order the latest."""
    low, high = column_names(parameter)
    return high if descending and not parameter.is_single else low


def _of_many(served_type: ServedType, parameter: SearchParameter, *, descending: bool) -> Key:
    """Of several values the one that comes first in the order."""
    best, either = ("max", "greatest") if descending else ("min", "least")
    is_number = parameter.storage is Storage.NUMBERS
    table = number_table(served_type.name) if is_number else index_table(served_type.name)
    column = "low" if is_number else "code"
    said = "" if is_number else " AND o.code > ''"  # words alone have no code
    found = (
        f"(SELECT {best}(o.{column}) FROM {table} AS o WHERE o.tenant = s.tenant AND o.id = r.id"
        f" AND o.parameter = '{parameter.name}'{said})"
    )
    if parameter.storage is Storage.CODED:
        found = f"{either}(r.{parameter.column}, {found})"
    return Key(found, "float8" if is_number else "text", descending, is_column=False)


def seal_cursor(place: str, content: Any, cursor_key: bytes) -> str:
    """An opaque, signed place in a result: clients cannot make one, only hand it back to the search that gave it."""
    body = orjson.dumps(content)
    return base64.urlsafe_b64encode(_signature(place, body, cursor_key) + body).decode().rstrip("=")


def _signature(place: str, body: bytes, cursor_key: bytes) -> bytes:
    return hmac.digest(cursor_key, place.encode() + b"\n" + body, hashlib.sha256)[:16]


def open_cursor(place: str, text: str, cursor_key: bytes) -> Any:
    """What a cursor names; raises FhirError INVALID when it is not ours or of another search."""
    try:
        sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        sealed = b""
    signature, body = sealed[:16], sealed[16:]
    if not hmac.compare_digest(signature, _signature(place, body, cursor_key)):
        raise refused(CURSOR, "is not a page link of this search")
    return orjson.loads(body)
