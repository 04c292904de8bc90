"""Statements of the store that are put together for each kind of search, and the functions that it calls by name.

Each sets the transaction's tenant itself; see `store_functions`.
"""

import re
from functools import lru_cache

_PLACE = re.compile(r"\$2\[(\d+)\]")


def recorded_read(table: str, record_table: str) -> str:
    """The name of the function that reads from one table and keeps the reads in another."""
    return f"read_{table}_with_{record_table}"


def in_tenant(statement: str) -> str:
    """A search with row-level security set to the tenant `$1` before it runs, all in one round trip.

    As text of its own it is prepared once per connection and planned a few times, not on every call. That the inner
    part reads `s.tenant` makes the order certain; were it wrong, row-level security would show nothing.
    """
    tenant = "(SELECT $2::text[]) AS v, set_config('stepwell.tenant', $1, true) AS s(tenant)"
    return f"SELECT f.* FROM {tenant} CROSS JOIN LATERAL ({statement}) AS f"


@lru_cache(maxsize=1024)
def recorded_search(statement: str, selected: str, width: int, columns: int, record_table: str) -> str:
    """A search for several sets of values, and the rows that keep them on record, as one statement.

    `selected` are columns of its rows `f`. `$2` has the values of all, `width` for each, and what follows are the
    columns of the records; `place` is where in `$2` those of a row's search begin, and what finds nothing has a row
    of nulls: so the records are kept, and the tenant is known, before anything is searched.
    """
    step = max(width, 1)
    arrays = ", ".join(f"${number + 3}" for number in range(columns))
    kept = f"coalesce(insert_{record_table}($1, {arrays})::text, '')"
    each = f"ARRAY(SELECT generate_series(0, greatest(cardinality($2::text[]) - {step}, 0), {step}))"
    found = _PLACE.sub(r"$2[asked.place + \1]", statement)
    return (
        # A planner that saw how many there are would plan every call anew, for it knows no more of them than that.
        f"SELECT asked.place, {selected} FROM (SELECT set_config('stepwell.tenant', $1 || {kept}, true) AS tenant,"
        f" {each} AS places OFFSET 0) AS s CROSS JOIN unnest(s.places) AS asked(place)"
        f" LEFT JOIN LATERAL ({found} OFFSET 0) AS f ON true"
    )
