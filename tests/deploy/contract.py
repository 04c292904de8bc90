"""What the code of the last release uses of its database, and what of that a later migration takes away from it.

python -m tests.deploy.contract      writes released/<service>.json: when a release is made, and at no other time
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
from stepwell_shared.settings import SERVICES

from tests.support import postgres

RELEASED = Path(__file__).parent / "released"
Contract = dict[str, Any]

# Said of a column that whoever inserts a row must give.
NEEDED = " needed"
COLUMNS = """SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type,
    a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS needed
  FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND c.relname NOT LIKE 'alembic%'
  ORDER BY 1, 2"""
FUNCTIONS = """SELECT proname || '(' || pg_get_function_identity_arguments(oid) || ')' AS name,
    pg_get_function_result(oid) AS result
  FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1"""
# What may refuse a row: keys, checks and unique indexes.
REFUSALS = """SELECT c.relname AS table, pg_get_indexdef(i.indexrelid) AS rule
  FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
  WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'alembic%'
  UNION ALL SELECT c.relname, pg_get_constraintdef(k.oid)
  FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
  WHERE k.contype IN ('c', 'f', 'x') AND c.relnamespace = 'public'::regnamespace
  ORDER BY 1, 2"""


async def contract_of(url: str) -> Contract:
    """What a database offers."""
    connection = await asyncpg.connect(url)
    try:
        tables: dict[str, dict[str, str]] = {}
        for row in await connection.fetch(COLUMNS):
            tables.setdefault(row["table"], {})[row["column"]] = row["type"] + NEEDED * row["needed"]
        refusals: dict[str, list[str]] = {name: [] for name in tables}
        for row in await connection.fetch(REFUSALS):
            refusals[row["table"]].append(row["rule"])
        functions = {row["name"]: row["result"] for row in await connection.fetch(FUNCTIONS)}
        return {"tables": tables, "refusals": refusals, "functions": functions}
    finally:
        await connection.close()


def released(service: str) -> Contract:
    """What the code of the last release uses."""
    found: Contract = json.loads((RELEASED / f"{service}.json").read_text(encoding="utf-8"))
    return found


def broken(before: Contract, now: Contract) -> Iterator[str]:
    """What code that knows the database as it was before would stumble over."""
    for table, columns in before["tables"].items():
        if table not in now["tables"]:
            yield f"the table {table} is gone"
            continue
        yield from _broken_columns(table, columns, now["tables"][table])
        yield from (
            f"{table} refuses more: {new}" for new in now["refusals"][table] if new not in before["refusals"][table]
        )
    for name, result in before["functions"].items():
        if name not in now["functions"]:
            yield f"the function {name} is gone"
        elif now["functions"][name] != result:
            yield f"the function {name} returns {now['functions'][name]}"


def _broken_columns(table: str, before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for column, kept in before.items():
        if column not in now:
            yield f"the column {table}.{column} is gone"
        elif now[column].removesuffix(NEEDED) != kept.removesuffix(NEEDED):
            yield f"the column {table}.{column} is {now[column]}"
        elif now[column] != kept and now[column].endswith(NEEDED):
            yield f"the column {table}.{column} must be given"
    for column in now.keys() - before.keys():
        if now[column].endswith(NEEDED):
            yield f"the new column {table}.{column} must be given"


async def write() -> None:
    """Writes the contract of this release."""
    for service in SERVICES:
        _, urls = await postgres.create_database(service)
        text = json.dumps(await contract_of(urls.owner), indent=1, sort_keys=True)
        (RELEASED / f"{service}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    with postgres.test_run():
        asyncio.run(write())
