"""What a service that runs and the SQL functions of its database have in common: rows beside a change, and names.

The functions themselves are derived from the tables (`table_functions`), which a running service does not load.
"""

from typing import NamedTuple

TENANT = "tenant"
VERSION_CONFLICT = "SW409"
# Mark of a table (Table.info) in which the running service may neither change nor remove a row.
APPEND_ONLY = "append_only"

# A cached plan made while a table was still small must not scan it for ever. One plan does for every batch: guessed
# from the length of each array, it would be made anew at every call, which takes longer than the call itself.
INDEXED_PLAN = (
    "SET enable_seqscan TO off SET enable_hashjoin TO off SET enable_mergejoin TO off "
    "SET plan_cache_mode TO force_generic_plan"
)


class Effect(NamedTuple):
    """One row to insert beside a change, in the same commit: an outbox entry, an audit entry, a state row.

    `values` stand in the order of the table's insertable columns without the tenant.
    """

    table: str
    values: tuple[object, ...]
