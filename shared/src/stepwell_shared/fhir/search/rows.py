"""Where the values of a search parameter are kept, as SQL that looks at them; and what a condition needs to know."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from stepwell_shared.fhir.indexing import Localise
from stepwell_shared.fhir.parameters import SearchParameter, Storage
from stepwell_shared.fhir.registry import Registry
from stepwell_shared.fhir.search.value_sets import KNOWN_TO_ALL, Terminology

# Holds the planner to a look-up for each candidate, whatever its statistics say of the parameter as a whole.
FENCE = " OFFSET 0"
# So many candidates are looked up one by one and sorted, in some milliseconds; beyond, the search walks in its order.
FEW_MAX = 2_000


@dataclass
class Narrowing:
    """What a plan may start from, gathered while one criterion is read: for each of its alternatives a query of the
    ids that it finds, or its test on coded columns. `is_key` says that it finds few by its nature."""

    ids: list[str] = field(default_factory=list)
    coded: list[str] = field(default_factory=list)
    is_key: bool = False


@dataclass(slots=True)
class Context:
    """What a condition needs to know beside the parameter.

    `row` is the alias of the resource's row. `is_probed` says that something else already makes the candidates few, so
    that index rows are looked up for each; `narrowing` gathers what does. `filters` gives the granular scopes on
    another type, or raises FORBIDDEN.
    """

    index_table: str
    localise: Localise
    now: datetime
    number_table: str = ""
    row: str = "r"
    is_probed: bool = False
    depth: int = 0
    registry: Registry | None = None
    filters: Callable[[str], Sequence[str]] = lambda resource_type: ()
    terminology: Terminology = KNOWN_TO_ALL
    narrowing: Narrowing | None = None

    def probing(self) -> "Context":
        """The same for a condition that only looks at candidates."""
        return replace(self, is_probed=True, narrowing=None)


def any_of(conditions: Iterable[str]) -> str:
    """At least one of these holds."""
    return "(" + (" OR ".join(conditions) or "false") + ")"


def index_row(context: Context, name: str, test: str, *, is_key: bool = False) -> str:
    """Whether an index row of this parameter passes the test.

    By the keys that are found first, where they are few by nature or in a chain, whose plan must not hang on
    statistics; else a look-up for each candidate, and what makes the candidates few is up to the query.
    """
    rows = f"{context.index_table} AS i WHERE i.tenant = s.tenant AND i.parameter = '{name}'{test}"
    if (is_key or context.depth) and not context.is_probed:
        if context.narrowing is not None:
            context.narrowing.is_key = True
        return f"({context.row}.id = ANY(ARRAY(SELECT i.id FROM {rows})))"
    if context.narrowing is not None:
        # The order is that of the index, which a plan for unknown values would else leave for the whole table.
        order = f"ORDER BY i.code, i.system, i.id LIMIT {FEW_MAX + 1}"
        context.narrowing.ids.append(f"(SELECT i.id FROM {rows} {order})")
    return f"EXISTS (SELECT 1 FROM {rows} AND i.id = {context.row}.id{FENCE})"


def number_row(parameter: SearchParameter, context: Context, test: str) -> str:
    """Whether a row of numbers or of a composite passes the test."""
    rows = f"{context.number_table} AS i WHERE i.tenant = s.tenant AND i.parameter = '{parameter.name}' AND {test}"
    # Only a composite has keys. To say so opens the index on values, which is the wrong one for a look-up by id.
    by_value = rows if parameter.members else f"{rows} AND i.key_code = ''"
    if context.narrowing is not None:
        context.narrowing.ids.append(f"SELECT i.id FROM {by_value}")
    if context.depth and not context.is_probed:
        return f"EXISTS (SELECT 1 FROM {by_value} AND i.id = {context.row}.id)"
    return f"EXISTS (SELECT 1 FROM {rows} AND i.id = {context.row}.id{FENCE})"


def valued(parameter: SearchParameter, context: Context, test: str, *, is_key: bool = False) -> str:
    """Whether a value of this parameter passes the test, in which `{0}` stands for the value."""
    if parameter.storage is Storage.ROWS:
        return index_row(context, parameter.name, f" AND {test.format('i.code')}", is_key=is_key)
    return f"({test.format(f'{context.row}.{parameter.column}')})"
