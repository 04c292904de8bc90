"""A search request as a statement: conditions, order, page. Everything it ignores is left out of the self link."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from stepwell_shared.fhir.indexing import Localise
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.presentation import PARAMETERS
from stepwell_shared.fhir.registry import Registry, ServedType
from stepwell_shared.fhir.search.conditions import Context
from stepwell_shared.fhir.search.criteria import criterion, granted_condition, makes_few
from stepwell_shared.fhir.search.includes import INCLUDES_MAX, Include, parse_include
from stepwell_shared.fhir.search.order import CURSOR, Cursor, Order, parse_order
from stepwell_shared.fhir.search.plans import Plan
from stepwell_shared.fhir.search.rows import FENCE, Narrowing
from stepwell_shared.fhir.search.terms import Values, alternatives, refused, too_costly
from stepwell_shared.fhir.search.value_sets import KNOWN_TO_ALL, Terminology
from stepwell_shared.fhir.search.wordings import Named, Wording, is_lasting, places_of, wording_of
from stepwell_shared.fhir.table_names import current_table, index_table, number_table

PAGE_DEFAULT = 20
PAGE_MAX = 500
COUNT_DIGITS_MAX = 9
ESTIMATE_MAX = 10_000
REMEMBERED_MAX = 512
PRESENTATION = frozenset({"_format", "_pretty"})


@dataclass(slots=True)
class SearchQuery:
    """A parsed search. `parameters` are those that were used, for the self link; `pages` are the statements of its
    first pages by their length and order, which searches of the same wording share."""

    served_type: ServedType
    plan: Plan
    count: int = PAGE_DEFAULT
    total: str = "none"
    order: Order = field(default_factory=Order)
    conditions: list[str] = field(default_factory=list)
    values: Values = field(default_factory=Values)
    parameters: list[tuple[str, str]] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    page: str = ""
    cursor: Cursor | None = None
    cursor_key: bytes = b""
    pages: dict[tuple[int, str], str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """What a cursor belongs to: its sort keys mean nothing in another order."""
        return f"{self.served_type.name} {self.order.name}"

    def page_statement(self) -> tuple[str, list[str | None]]:
        """One page and one row more, which tells whether there is another page."""
        if self.cursor is None:
            key = self.count, self.order.name
            if key not in self.pages:
                self.pages[key] = self.statement(self.order, [], self.count + 1)
            return self.pages[key], self.values.entries
        found = Values(list(self.values.entries), self.values.entries_max + len(self.order.keys) + 1)
        order = self.order.turned() if self.cursor.backward else self.order
        behind = order.after(self.cursor.keys, found) if self.cursor.keys else []
        return self.statement(order, behind, self.count + 1), found.entries

    def statement(self, order: Order, behind: Sequence[str], most: int) -> str:
        """The first matches in this order, of those behind a place."""
        return self.plan.page(self.conditions, behind, order, most)

    def total_statement(self) -> tuple[str, list[str | None]]:
        """Counts all matches; for an estimate only so far that it stays cheap, and then says nothing."""
        if self.total == "estimate":
            rows = f"SELECT 1 FROM {self._where()} LIMIT {ESTIMATE_MAX + 1}"
            return (
                f"SELECT nullif(count(*), {ESTIMATE_MAX + 1}) AS total FROM ({rows}) AS counted"
            ), self.values.entries
        return (f"SELECT count(*) AS total FROM {self._where()}"), self.values.entries

    def _where(self) -> str:
        """All matches; they are looked up one by one only where there are few."""
        table = current_table(self.served_type.name)
        text = " AND ".join([f"{table} AS r WHERE r.tenant = s.tenant AND r.body IS NOT NULL", *self.conditions])
        return text if self.plan.is_anchored else text.replace(FENCE, "")


@dataclass(frozen=True, slots=True)
class Read:
    """A search as it was read. `filled` says for each reference that it names where it stands: among the parameters and
    among the values."""

    query: SearchQuery
    filled: Sequence[tuple[int, int]]

    @classmethod
    def of(cls, query: SearchQuery, parameters: Sequence[tuple[str, str]], named: Sequence[Named]) -> "Read | None":
        """What serves all searches of the same wording; None where that cannot be told."""
        places = places_of(named, query.values)
        if places is None or query.values.checks:
            return None
        used = [query.parameters.index(parameters[each.place]) for each in named]
        return cls(query, list(zip(used, places, strict=True)))

    def again(self, parameters: Sequence[tuple[str, str]], named: Sequence[Named], cursor_key: bytes) -> SearchQuery:
        """The query of a search of the same wording."""
        query, used, entries = self.query, self.query.parameters.copy(), self.query.values.entries.copy()
        for (position, place), reference in zip(self.filled, named, strict=True):
            used[position] = parameters[reference.place]
            entries[place] = reference.address
        return SearchQuery(
            *(query.served_type, query.plan, query.count, query.total, query.order, query.conditions),
            *(Values(entries), used, query.includes),
            cursor_key=cursor_key,
            pages=query.pages,
        )


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
    terminology: Terminology = KNOWN_TO_ALL,
) -> SearchQuery:
    """The query of a request. Unknown parameters are ignored unless `strict`; `granted` are the queries of which
    the caller's scopes demand at least one, and `filters` gives those of another type or raises FhirError FORBIDDEN.
    Chains and includes reach the types of the registry. Raises FhirError INVALID."""
    words, named = wording_of(served_type, parameters)
    known: Read | None = None if granted else served_type.remembered.get(words)
    if known is not None:
        return known.again(parameters, named, cursor_key)
    is_anchored = any(value and makes_few(served_type, name) for name, value in parameters)
    query = SearchQuery(served_type, Plan(served_type, is_anchored), cursor_key=cursor_key)
    if served_type.order:
        query.order = parse_order(served_type, served_type.order)
    context = Context(
        index_table(served_type.name),
        localise,
        now,
        number_table(served_type.name),
        is_probed=is_anchored,
        registry=registry,
        filters=filters,
        terminology=terminology,
    )
    for name, value in parameters:
        if not value or name in PRESENTATION:
            continue
        if name == CURSOR:
            query.page = value
        elif _result_parameter(query, name, value, context) or _criterion(query, name, value, context):
            query.parameters.append((name, str(query.count) if name == "_count" else value))
        elif strict:
            raise _unknown(served_type, name)
    if query.count == 0 or ("_summary", "count") in query.parameters:
        query.count, query.total = 0, "accurate"
    if granted:
        query.conditions.append(granted_condition(served_type, granted, context, query.values))
    elif is_lasting(served_type, words):
        query = _remembered(query, parameters, words, named)
    if query.page:
        query.cursor = Cursor.opened(query.place, query.page, cursor_key)
    return query


def _remembered(
    query: SearchQuery, parameters: Sequence[tuple[str, str]], words: Wording, named: Sequence[Named]
) -> SearchQuery:
    """Keeps what was read for the next search of the same wording; whoever asked gets a query of their own, which they
    may change."""
    kept = query.served_type.remembered
    read = Read.of(query, parameters, named)
    if read is None:
        return query
    if len(kept) >= REMEMBERED_MAX:
        kept.clear()
    kept[words] = read
    return read.again(parameters, named, query.cursor_key)


def _unknown(served_type: ServedType, name: str) -> FhirError:
    known = ", ".join(sorted(["_id", "_lastUpdated", *served_type.parameters]))
    text = f"{served_type.name} has no search parameter {name[:64]!r}; it has {known}"
    return FhirError(Category.INVALID, [Issue(text, "not-supported")])


def _criterion(query: SearchQuery, name: str, value: str, context: Context) -> bool:
    narrowing = context.narrowing = Narrowing()
    found = criterion(query.served_type, name, value, context, query.values)
    context.narrowing = None
    if found is None:
        return False
    query.plan.take(name, len(alternatives(value)), found, len(query.conditions), narrowing)
    query.conditions.append(found)
    return True


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
    else:
        return name in PARAMETERS
    return True
