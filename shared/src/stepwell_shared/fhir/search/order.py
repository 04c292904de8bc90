"""The order of a search and the places in it: sort keys as SQL, and signed cursors that name the last row of a page.

https://hl7.org/fhir/R4/search.html section 3.1.1.5.1
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from stepwell_shared.fhir.parameters import SearchParameter, Storage
from stepwell_shared.fhir.registry import ServedType
from stepwell_shared.fhir.schema import column_names, index_table, number_table
from stepwell_shared.fhir.search.terms import Values, refused, too_costly

CURSOR = "_cursor"
SORT_KEYS_MAX = 4


@dataclass(frozen=True)
class Key:
    """One sort key: an SQL expression of the row, its type and its direction."""

    expression: str
    cast: str
    descending: bool

    @property
    def direction(self) -> str:
        return "DESC" if self.descending else "ASC"


@dataclass(frozen=True)
class Order:
    """What a page is sorted by; ids break ties, in the direction of the last key."""

    keys: tuple[Key, ...] = ()

    @property
    def id_direction(self) -> str:
        return self.keys[-1].direction if self.keys else "ASC"

    @property
    def clause(self) -> str:
        keys = [f"{key.expression} {key.direction} NULLS LAST" for key in self.keys]
        return ", ".join([*keys, f"r.id {self.id_direction}"])

    @property
    def selected(self) -> str:
        """The row's keys as columns for the page that may follow."""
        return "".join(f", ({key.expression})::text AS key_{number}" for number, key in enumerate(self.keys))

    def keys_of(self, row: Mapping[str, Any]) -> list[str | None]:
        """The keys and the id of a row that was selected so."""
        return [*(row[f"key_{number}"] for number in range(len(self.keys))), row["id"]]

    def after(self, cursor: Sequence[str | None], found: Values) -> str:
        """The rows that come after the last one of the page before; what has no value comes last."""
        *given, id_ = cursor
        condition = f"r.id {'<' if self.id_direction == 'DESC' else '>'} {found.add(str(id_))}"
        for key, value in reversed(list(zip(self.keys, given, strict=True))):
            column = key.expression
            if value is None:
                condition = f"({column} IS NULL AND {condition})"
                continue
            place = f"{found.add(value)}::{key.cast}"
            beyond = f"{column} {'<' if key.descending else '>'} {place}"
            condition = f"({beyond} OR ({column} = {place} AND {condition}) OR {column} IS NULL)"
        return condition


def parse_order(served_type: ServedType, text: str) -> Order:
    """`_sort=a,-b`; raises FhirError INVALID."""
    names = text.split(",")
    if len(names) > SORT_KEYS_MAX:
        raise too_costly(f"_sort: takes at most {SORT_KEYS_MAX} parameters")
    keys = [_key(served_type, name.removeprefix("-"), descending=name.startswith("-")) for name in names]
    return Order(tuple(keys))


def _key(served_type: ServedType, name: str, *, descending: bool) -> Key:
    if name == "_id":
        return Key("r.id", "text", descending)
    if name == "_lastUpdated":
        return Key("r.last_updated", "timestamptz", descending)
    parameter = served_type.parameters.get(name)
    if parameter is None or parameter.type == "composite" or parameter.storage is Storage.ANY_OF:
        raise refused("_sort", "takes _id, _lastUpdated and parameters of the type that have values of their own")
    if parameter.storage is Storage.DATE_COLUMNS:
        return Key(f"r.{column_names(parameter)[0]}", "timestamptz", descending)
    if parameter.storage is Storage.COLUMN:
        return Key(f"r.{parameter.column}", "text", descending)
    return _of_many(served_type, parameter, descending=descending)


def _of_many(served_type: ServedType, parameter: SearchParameter, *, descending: bool) -> Key:
    """Of several values the one that comes first in the order."""
    best = "max" if descending else "min"
    is_number = parameter.storage is Storage.NUMBERS
    table = number_table(served_type.name) if is_number else index_table(served_type.name)
    column = "low" if is_number else "code"
    found = (
        f"(SELECT {best}(o.{column}) FROM {table} AS o WHERE o.tenant = s.tenant AND o.id = r.id"
        f" AND o.parameter = '{parameter.name}')"
    )
    return Key(found, "float8" if is_number else "text", descending)


def seal_cursor(place: str, keys: Sequence[str | None], cursor_key: bytes) -> str:
    """An opaque, signed place in a result: clients cannot make one, only hand it back to the search that gave it."""
    body = orjson.dumps(list(keys))
    return base64.urlsafe_b64encode(_signature(place, body, cursor_key) + body).decode().rstrip("=")


def _signature(place: str, body: bytes, cursor_key: bytes) -> bytes:
    return hmac.digest(cursor_key, place.encode() + b"\n" + body, hashlib.sha256)[:16]


def open_cursor(place: str, text: str, cursor_key: bytes) -> list[str | None]:
    """The sort keys and the id in a cursor; raises FhirError INVALID when it is not ours or of another search."""
    try:
        sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        sealed = b""
    signature, body = sealed[:16], sealed[16:]
    if not hmac.compare_digest(signature, _signature(place, body, cursor_key)):
        raise refused(CURSOR, "is not a page link of this search")
    keys: list[str | None] = orjson.loads(body)
    return keys
