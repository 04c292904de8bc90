"""A search request as a statement: conditions, order, page. Everything it ignores is left out of the self link."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl

import orjson

from stepwell_shared.fhir.indexing import Localise
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import ServedType, Storage
from stepwell_shared.fhir.schema import column_names, current_table, index_table
from stepwell_shared.fhir.search.conditions import Context, Values, alternatives, condition, date_condition, refused
from stepwell_shared.fhir.values import date_range

PAGE_DEFAULT = 20
PAGE_MAX = 500
CURSOR = "_cursor"
PRESENTATION = frozenset({"_format", "_pretty"})


@dataclass(frozen=True)
class Order:
    """What a page is sorted by: an SQL expression of the row and its type; ids break ties."""

    column: str
    cast: str
    descending: bool


@dataclass
class SearchQuery:
    """A parsed search. `parameters` are those that were used, for the self link."""

    served_type: ServedType
    count: int = PAGE_DEFAULT
    total: bool = False
    order: Order = field(default_factory=lambda: Order("r.id", "text", descending=False))
    conditions: list[str] = field(default_factory=list)
    values: Values = field(default_factory=Values)
    parameters: list[tuple[str, str]] = field(default_factory=list)
    cursor: tuple[str | None, str] | None = None

    def page_statement(self) -> tuple[str, list[str | None]]:
        """One page and one row more, which tells whether there is a next page."""
        found = Values(list(self.values.entries))
        conditions = [*self.conditions]
        if self.cursor is not None:
            conditions.append(_after(self.order, self.cursor, found))
        direction = "DESC" if self.order.descending else "ASC"
        column = self.order.column
        order = f"{column} {direction} NULLS LAST, r.id {direction}" if column != "r.id" else f"r.id {direction}"
        return (
            f"SELECT r.id, r.version, r.last_updated, r.body, ({column})::text, NULL::bigint"
            f" FROM {self._where(conditions)} ORDER BY {order} LIMIT {self.count + 1}"
        ), found.entries

    def total_statement(self) -> tuple[str, list[str | None]]:
        return (
            "SELECT NULL::text, NULL::integer, NULL::timestamptz, NULL::bytea, NULL::text, count(*)"
            f" FROM {self._where(self.conditions)}"
        ), self.values.entries

    def _where(self, conditions: list[str]) -> str:
        table = current_table(self.served_type.name)
        return " AND ".join([f"{table} AS r WHERE r.tenant = $1 AND r.body IS NOT NULL", *conditions])


def parse_search(
    served_type: ServedType,
    parameters: Sequence[tuple[str, str]],
    *,
    localise: Localise,
    now: datetime,
    strict: bool,
    cursor_key: bytes,
    granted: Sequence[str] = (),
) -> SearchQuery:
    """The query of a request. Unknown parameters are ignored unless `strict`; `granted` are the queries of which
    the caller's scopes demand at least one. Raises FhirError INVALID."""
    query = SearchQuery(served_type)
    context = Context(index_table(served_type.name), localise, now)
    for name, value in parameters:
        if not value or name in PRESENTATION:
            continue
        if name == CURSOR:
            query.cursor = _open_cursor(value, cursor_key)
        elif _result_parameter(query, name, value) or _condition(query, name, value, context):
            query.parameters.append((name, value))
        elif strict:
            known = ", ".join(sorted(["_id", "_lastUpdated", *served_type.parameters]))
            raise FhirError(
                Category.INVALID,
                [Issue(f"{served_type.name} has no search parameter {name[:64]!r}; it has {known}", "not-supported")],
            )
    if granted:
        query.conditions.append(_granted(query, granted, context))
    return query


def _granted(query: SearchQuery, granted: Sequence[str], context: Context) -> str:
    alternatives_: list[str] = []
    for text in granted:
        scoped = SearchQuery(query.served_type, values=query.values)
        for name, value in parse_qsl(text):
            if not _condition(scoped, name, value, context):
                return "false"
        alternatives_.append(" AND ".join(scoped.conditions) or "true")
    return "(" + " OR ".join(f"({each})" for each in alternatives_) + ")"


def _condition(query: SearchQuery, name: str, value: str, context: Context) -> bool:
    plain, _, modifier = name.partition(":")
    if plain == "_id" and not modifier:
        query.conditions.append(f"r.id = ANY({query.values.add_all(alternatives(value))})")
        return True
    if plain == "_lastUpdated" and not modifier:
        prefix, text = (value[:2], value[2:]) if value[:2].isalpha() else ("eq", value)
        interval = date_range(text)
        if interval is None or prefix not in {"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}:
            raise refused(plain, "is not a date with an optional prefix such as ge2026-11-21")
        column = "r.last_updated"
        query.conditions.append(date_condition(prefix, interval, (column, column), context.now, query.values))
        return True
    parameter = query.served_type.parameters.get(plain)
    if parameter is None:
        return False
    query.conditions.append(condition(parameter, modifier, value, context, query.values))
    return True


def _result_parameter(query: SearchQuery, name: str, value: str) -> bool:
    if name == "_count":
        if not value.isdecimal():
            raise refused(name, "takes a whole number")
        query.count = min(int(value), PAGE_MAX)
        query.total = query.total or query.count == 0
    elif name == "_sort":
        query.order = _order(query.served_type, value)
    elif name == "_total":
        if value not in {"none", "estimate", "accurate"}:
            raise refused(name, "takes none, estimate or accurate")
        query.total = value == "accurate"
    elif name == "_summary" and value == "count":
        query.count, query.total = 0, True
    else:
        return False
    return True


def _order(served_type: ServedType, text: str) -> Order:
    name = text.removeprefix("-")
    descending = text.startswith("-")
    if name == "_id":
        return Order("r.id", "text", descending)
    if name == "_lastUpdated":
        return Order("r.last_updated", "timestamptz", descending)
    parameter = served_type.parameters.get(name)
    if parameter is None or parameter.storage is Storage.ROWS:
        raise refused("_sort", "takes one of _id, _lastUpdated or a parameter with a single value")
    if parameter.storage is Storage.DATE_COLUMNS:
        low, _ = column_names(parameter)
        return Order(f"r.{low}", "timestamptz", descending)
    return Order(f"r.{parameter.column}", "text", descending)


def _after(order: Order, cursor: tuple[str | None, str], found: Values) -> str:
    """The rows that come after the last one of the page before, by its sort key and id."""
    key, id_ = cursor
    comparison = "<" if order.descending else ">"
    after_id = f"r.id {comparison} {found.add(id_)}"
    if order.column == "r.id":
        return after_id
    if key is None:
        return f"({order.column} IS NULL AND {after_id})"
    value = f"{found.add(key)}::{order.cast}"
    return (
        f"({order.column} {comparison} {value} OR ({order.column} = {value} AND {after_id}) OR {order.column} IS NULL)"
    )


def seal_cursor(key: str | None, id_: str, cursor_key: bytes) -> str:
    """An opaque, signed place in a result: clients cannot make one, only hand it back."""
    body = orjson.dumps([key, id_])
    return base64.urlsafe_b64encode(hmac.digest(cursor_key, body, hashlib.sha256)[:16] + body).decode().rstrip("=")


def _open_cursor(text: str, cursor_key: bytes) -> tuple[str | None, str]:
    try:
        sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        sealed = b""
    signature, body = sealed[:16], sealed[16:]
    if not hmac.compare_digest(signature, hmac.digest(cursor_key, body, hashlib.sha256)[:16]):
        raise refused(CURSOR, "is not a page link of this server")
    key, id_ = orjson.loads(body)
    return key, id_
