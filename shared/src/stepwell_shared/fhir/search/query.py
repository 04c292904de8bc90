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
from stepwell_shared.fhir.presentation import PARAMETERS
from stepwell_shared.fhir.registry import ServedType, Storage
from stepwell_shared.fhir.schema import column_names, current_table, index_table
from stepwell_shared.fhir.search.conditions import Context, Values, alternatives, condition, date_condition, refused
from stepwell_shared.fhir.unit import Change

PAGE_DEFAULT = 20
PAGE_MAX = 500
COUNT_DIGITS_MAX = 9
CURSOR = "_cursor"
PRESENTATION = frozenset({"_format", "_pretty"})
# A stored moment is a point: for the range table it is the shortest interval that PostgreSQL can tell.
_LAST_UPDATED = ("r.last_updated", "(r.last_updated + interval '1 microsecond')")


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
    page: str = ""
    cursor_key: bytes = b""

    @property
    def page_parameters(self) -> list[tuple[str, str]]:
        """What the self link states: everything that was used, the page as well."""
        return [*self.parameters, (CURSOR, self.page)] if self.page else self.parameters

    def page_after(self, key: str | None, id_: str) -> list[tuple[str, str]]:
        """The parameters of the page that follows the row with this sort key and id."""
        return [*self.parameters, (CURSOR, seal_cursor(self._place, key, id_, self.cursor_key))]

    @property
    def _place(self) -> str:
        """What a cursor belongs to: its sort key means nothing in another order."""
        return f"{self.served_type.name} {self.order.column} {self.order.descending}"

    def page_statement(self) -> tuple[str, list[str | None]]:
        """One page and one row more, which tells whether there is a next page."""
        found = Values(list(self.values.entries), self.values.entries_max + 2)
        conditions = [*self.conditions]
        if self.page:
            conditions.append(_after(self.order, open_cursor(self._place, self.page, self.cursor_key), found))
        direction = "DESC" if self.order.descending else "ASC"
        column = self.order.column
        order = f"{column} {direction} NULLS LAST, r.id {direction}" if column != "r.id" else f"r.id {direction}"
        return in_tenant(
            f"SELECT r.id, r.version, r.last_updated, r.body, ({column})::text AS sort_key, NULL::bigint AS total"
            f" FROM {self._where(conditions)} ORDER BY {order} LIMIT {self.count + 1}"
        ), found.entries

    def total_statement(self) -> tuple[str, list[str | None]]:
        return in_tenant(f"SELECT count(*) AS total FROM {self._where(self.conditions)}"), self.values.entries

    def _where(self, conditions: list[str]) -> str:
        table = current_table(self.served_type.name)
        return " AND ".join([f"{table} AS r WHERE r.tenant = s.tenant AND r.body IS NOT NULL", *conditions])


def in_tenant(statement: str) -> str:
    """The statement with row-level security set to the tenant `$1` before it runs, all in one round trip.

    As text of its own it is prepared once per connection and planned a few times, not on every call. That the inner
    part reads `s.tenant` makes the order certain; were it wrong, row-level security would show nothing.
    """
    return f"SELECT f.* FROM (SELECT $2::text[]) AS v, set_config('stepwell.tenant', $1, true) AS s(tenant) CROSS JOIN LATERAL ({statement}) AS f"


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
    query = SearchQuery(served_type, cursor_key=cursor_key)
    context = Context(index_table(served_type.name), localise, now)
    for name, value in parameters:
        if not value or name in PRESENTATION:
            continue
        if name == CURSOR:
            query.page = value
        elif _result_parameter(query, name, value) or _condition(query, name, value, context):
            query.parameters.append((name, value))
        elif strict:
            known = ", ".join(sorted(["_id", "_lastUpdated", *served_type.parameters]))
            raise FhirError(
                Category.INVALID,
                [Issue(f"{served_type.name} has no search parameter {name[:64]!r}; it has {known}", "not-supported")],
            )
    query.total = query.total or query.count == 0
    if granted:
        query.conditions.append(_granted(query, granted, context))
    return query


def reach_statement(
    served_type: ServedType, change: Change, granted: Sequence[str], localise: Localise, now: datetime
) -> tuple[str, list[str | None]]:
    """Counts 1 when what is about to be stored matches at least one of the granted queries, else 0.

    The conditions are those of search; they read the values of the change instead of the tables.
    """
    found = Values()
    names = [name for parameter in served_type.columns for name in column_names(parameter)]
    columns = [f"s.tenant AS tenant, {found.place(change.stored.id)} AS id"]
    columns.append(f"{found.place(change.stored.last_updated.isoformat())}::timestamptz AS last_updated")
    for name, value in zip(names, change.columns, strict=True):
        is_moment = isinstance(value, datetime)
        place = found.place(value.isoformat() if isinstance(value, datetime) else None if value is None else str(value))
        kind = "::timestamptz" if is_moment or name.endswith(("_low", "_high")) else ' COLLATE "C"'
        columns.append(f"{place}{kind} AS {name}")
    rows = [f"({', '.join(found.place(each) for each in row)})" for row in change.rows] or ["(NULL, NULL, NULL)"]
    index = (
        f'(SELECT s.tenant AS tenant, $2[1] AS id, u.parameter, u.system, u.code COLLATE "C" AS code'
        f" FROM (VALUES {', '.join(rows)}) AS u(parameter, system, code))"
    )
    found.entries_max += len(found.entries)
    query = SearchQuery(served_type, values=found)
    condition_ = _granted(query, granted, Context(index, localise, now))
    return in_tenant(
        f"SELECT count(*) AS total FROM (SELECT {', '.join(columns)}) AS r WHERE {condition_}"
    ), found.entries


def _granted(query: SearchQuery, granted: Sequence[str], context: Context) -> str:
    """The query narrowed to what the scopes reach; a scope whose parameter is not served reaches nothing."""
    reached: list[str] = []
    for text in granted:
        scoped = SearchQuery(query.served_type, values=query.values)
        if all(_condition(scoped, name, value, context) for name, value in parse_qsl(text)):
            reached.append(" AND ".join(scoped.conditions) or "true")
    return "(" + (" OR ".join(f"({each})" for each in reached) or "false") + ")"


def _condition(query: SearchQuery, name: str, value: str, context: Context) -> bool:
    plain, _, modifier = name.partition(":")
    if plain in {"_id", "_lastUpdated"}:
        if modifier:
            raise refused(plain, "takes no modifier")
        query.conditions.append(_common(plain, value, context, query.values))
        return True
    if plain == "_query":
        raise refused(plain, "no named query is served")
    parameters = query.served_type.parameters
    head, chain, _ = plain.partition(".")
    if chain and head in parameters:
        raise refused(head, "chained search is not supported")
    parameter = parameters.get(plain)
    if parameter is None:
        return False
    query.conditions.append(condition(parameter, modifier, value, context, query.values))
    return True


def _common(name: str, value: str, context: Context, found: Values) -> str:
    """The parameters that every resource type has."""
    if name == "_id":
        return f"r.id = ANY({found.add_all(alternatives(value))}::text[])"
    tests = [date_condition(name, part, _LAST_UPDATED, context.now, found) for part in alternatives(value)]
    return "(" + (" OR ".join(tests) or "false") + ")"


def whole_number(name: str, text: str) -> int:
    """A count in a request; raises FhirError INVALID."""
    if not (text.isascii() and text.isdecimal()):
        raise refused(name, "takes a whole number")
    return int(text) if len(text) <= COUNT_DIGITS_MAX else 10**COUNT_DIGITS_MAX


def _result_parameter(query: SearchQuery, name: str, value: str) -> bool:
    if name == "_count":
        query.count = min(whole_number(name, value), PAGE_MAX)
    elif name == "_sort":
        query.order = _order(query.served_type, value)
    elif name == "_total":
        if value not in {"none", "estimate", "accurate"}:
            raise refused(name, "takes none, estimate or accurate")
        query.total = value == "accurate"
    elif name == "_summary" and value == "count":
        query.count, query.total = 0, True
    else:
        return name in PARAMETERS
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


def seal_cursor(place: str, key: str | None, id_: str, cursor_key: bytes) -> str:
    """An opaque, signed place in a result: clients cannot make one, only hand it back to the search that gave it."""
    body = orjson.dumps([key, id_])
    return base64.urlsafe_b64encode(_signature(place, body, cursor_key) + body).decode().rstrip("=")


def _signature(place: str, body: bytes, cursor_key: bytes) -> bytes:
    return hmac.digest(cursor_key, place.encode() + b"\n" + body, hashlib.sha256)[:16]


def open_cursor(place: str, text: str, cursor_key: bytes) -> tuple[str | None, str]:
    """The sort key and id in a cursor; raises FhirError INVALID when it is not ours or of another search."""
    try:
        sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        sealed = b""
    signature, body = sealed[:16], sealed[16:]
    if not hmac.compare_digest(signature, _signature(place, body, cursor_key)):
        raise refused(CURSOR, "is not a page link of this search")
    key, id_ = orjson.loads(body)
    return key, id_
