"""A search request as a statement: conditions, order, page. Everything it ignores is left out of the self link."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stepwell_shared.fhir.indexing import Localise
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.presentation import PARAMETERS
from stepwell_shared.fhir.registry import Registry, ServedType
from stepwell_shared.fhir.schema import column_names, current_table, index_table, number_table
from stepwell_shared.fhir.search.conditions import Context
from stepwell_shared.fhir.search.criteria import criterion, granted_condition, makes_few
from stepwell_shared.fhir.search.includes import INCLUDES_MAX, Include, parse_include
from stepwell_shared.fhir.search.order import CURSOR, Order, open_cursor, parse_order, seal_cursor
from stepwell_shared.fhir.search.terms import Values, refused, too_costly
from stepwell_shared.fhir.unit import Change

PAGE_DEFAULT = 20
PAGE_MAX = 500
COUNT_DIGITS_MAX = 9
ESTIMATE_MAX = 10_000
PRESENTATION = frozenset({"_format", "_pretty"})


@dataclass
class SearchQuery:
    """A parsed search. `parameters` are those that were used, for the self link."""

    served_type: ServedType
    count: int = PAGE_DEFAULT
    total: str = "none"
    order: Order = field(default_factory=Order)
    conditions: list[str] = field(default_factory=list)
    values: Values = field(default_factory=Values)
    parameters: list[tuple[str, str]] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    page: str = ""
    cursor_key: bytes = b""

    @property
    def page_parameters(self) -> list[tuple[str, str]]:
        """What the self link states: everything that was used, the page as well."""
        return [*self.parameters, (CURSOR, self.page)] if self.page else self.parameters

    def page_after(self, row: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The parameters of the page that follows this row of the page."""
        return [*self.parameters, (CURSOR, seal_cursor(self._place, self.order.keys_of(row), self.cursor_key))]

    @property
    def _place(self) -> str:
        """What a cursor belongs to: its sort keys mean nothing in another order."""
        return f"{self.served_type.name} {self.order.clause}"

    def page_statement(self) -> tuple[str, list[str | None]]:
        """One page and one row more, which tells whether there is a next page."""
        found = Values(list(self.values.entries), self.values.entries_max + len(self.order.keys) + 1)
        conditions = [*self.conditions]
        if self.page:
            conditions.append(self.order.after(open_cursor(self._place, self.page, self.cursor_key), found))
        return (
            f"SELECT r.id, r.version, r.last_updated, r.body{self.order.selected}"
            f" FROM {self._where(conditions)} ORDER BY {self.order.clause} LIMIT {self.count + 1}"
        ), found.entries

    def total_statement(self) -> tuple[str, list[str | None]]:
        """Counts all matches; for an estimate only so far that it stays cheap, and then says nothing."""
        if self.total == "estimate":
            rows = f"SELECT 1 FROM {self._where(self.conditions)} LIMIT {ESTIMATE_MAX + 1}"
            return (
                f"SELECT nullif(count(*), {ESTIMATE_MAX + 1}) AS total FROM ({rows}) AS counted"
            ), self.values.entries
        return (f"SELECT count(*) AS total FROM {self._where(self.conditions)}"), self.values.entries

    def _where(self, conditions: list[str]) -> str:
        table = current_table(self.served_type.name)
        return " AND ".join([f"{table} AS r WHERE r.tenant = s.tenant AND r.body IS NOT NULL", *conditions])


def parse_search(
    served_type: ServedType,
    parameters: Sequence[tuple[str, str]],
    *,
    localise: Localise,
    now: datetime,
    strict: bool,
    cursor_key: bytes,
    granted: Sequence[str] = (),
    registry: Registry | None = None,
    filters: Callable[[str], Sequence[str]] = lambda resource_type: (),
) -> SearchQuery:
    """The query of a request. Unknown parameters are ignored unless `strict`; `granted` are the queries of which
    the caller's scopes demand at least one, and `filters` gives those of another type or raises FhirError FORBIDDEN.
    Chains and includes reach the types of the registry. Raises FhirError INVALID."""
    query = SearchQuery(served_type, cursor_key=cursor_key)
    context = Context(
        index_table(served_type.name),
        localise,
        now,
        number_table(served_type.name),
        is_probed=any(value and makes_few(served_type, name) for name, value in parameters),
        registry=registry,
        filters=filters,
    )
    for name, value in parameters:
        if not value or name in PRESENTATION:
            continue
        if name == CURSOR:
            query.page = value
        elif _result_parameter(query, name, value, context) or _criterion(query, name, value, context):
            query.parameters.append((name, value))
        elif strict:
            known = ", ".join(sorted(["_id", "_lastUpdated", *served_type.parameters]))
            raise FhirError(
                Category.INVALID,
                [Issue(f"{served_type.name} has no search parameter {name[:64]!r}; it has {known}", "not-supported")],
            )
    if query.count == 0:
        query.total = "accurate"
    if granted:
        query.conditions.append(granted_condition(served_type, granted, context, query.values))
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
    index = _given_rows(found, change.rows, "parameter, system, code, display", 'u.code COLLATE "C" AS code', "code")
    numbers = _given_rows(
        found,
        [row[:1] + row[2:] for row in change.numbers],
        "parameter, key_system, key_code, system, code, unit, low, high",
        "u.low::float8 AS low, u.high::float8 AS high",
        "low, high",
    )
    found.entries_max += len(found.entries)
    context = Context(index, localise, now, numbers)
    condition = granted_condition(served_type, granted, context, found)
    return (f"SELECT count(*) AS total FROM (SELECT {', '.join(columns)}) AS r WHERE {condition}"), found.entries


def _given_rows(
    found: Values, rows: Sequence[Sequence[object]], names: str, converted: str, converted_names: str
) -> str:
    """Rows that are about to be stored in the place of an index table."""
    listed = names.split(", ")
    plain = [f"u.{name}" for name in listed if name not in converted_names.split(", ")]
    given = [f"({', '.join(found.place(None if each is None else str(each)) for each in row)})" for row in rows] or [
        f"({', '.join(['NULL'] * len(listed))})"
    ]
    return (
        f"(SELECT s.tenant AS tenant, $2[1] AS id, {', '.join(plain)}, {converted}"
        f" FROM (VALUES {', '.join(given)}) AS u({names}))"
    )


def _criterion(query: SearchQuery, name: str, value: str, context: Context) -> bool:
    found = criterion(query.served_type, name, value, context, query.values)
    if found is not None:
        query.conditions.append(found)
    return found is not None


def whole_number(name: str, text: str) -> int:
    """A count in a request; raises FhirError INVALID."""
    if not (text.isascii() and text.isdecimal()):
        raise refused(name, "takes a whole number")
    return int(text) if len(text) <= COUNT_DIGITS_MAX else 10**COUNT_DIGITS_MAX


def _result_parameter(query: SearchQuery, name: str, value: str, context: Context) -> bool:
    if name == "_count":
        query.count = min(whole_number(name, value), PAGE_MAX)
    elif name == "_sort":
        query.order = parse_order(query.served_type, value)
    elif name == "_total":
        if value not in {"none", "estimate", "accurate"}:
            raise refused(name, "takes none, estimate or accurate")
        query.total = value
    elif name.partition(":")[0] in {"_include", "_revinclude"} and context.registry is not None:
        if len(query.includes) >= INCLUDES_MAX:
            raise too_costly(f"a search takes at most {INCLUDES_MAX} includes")
        query.includes.append(parse_include(query.served_type, name, value, context.registry))
    elif name == "_summary" and value == "count":
        query.count, query.total = 0, "accurate"
    else:
        return name in PARAMETERS
    return True
