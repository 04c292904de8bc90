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


@dataclass
class Narrowing:
    """What a plan may start from, gathered while one criterion is read: for each of its alternatives a query of the
    ids that it finds, or its test on coded columns. `is_key` says that it finds few by its nature."""

    ids: list[str] = field(default_factory=list)
    coded: list[str] = field(default_factory=list)
    is_key: bool = False


@dataclass(frozen=True)
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
        context.narrowing.ids.append(f"SELECT i.id FROM {rows}")
    return f"EXISTS (SELECT 1 FROM {rows} AND i.id = {context.row}.id{FENCE})"


def number_row(parameter: SearchParameter, context: Context, test: str) -> str:
    """Whether a row of numbers or of a composite passes the test."""
    key = "" if parameter.members else " AND i.key_code = ''"
    rows = f"{context.number_table} AS i WHERE i.tenant = s.tenant AND i.parameter = '{parameter.name}'{key} AND {test}"
    if context.narrowing is not None:
        context.narrowing.ids.append(f"SELECT i.id FROM {rows}")
    fence = FENCE if context.is_probed or not context.depth else ""
    return f"EXISTS (SELECT 1 FROM {rows} AND i.id = {context.row}.id{fence})"


def valued(parameter: SearchParameter, context: Context, test: str, *, is_key: bool = False) -> str:
    """Whether a value of this parameter passes the test, in which `{0}` stands for the value."""
    if parameter.storage is Storage.ROWS:
        return index_row(context, parameter.name, f" AND {test.format('i.code')}", is_key=is_key)
    return f"({test.format(f'{context.row}.{parameter.column}')})"
