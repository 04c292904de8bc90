"""Conditions of a search on what resources say that stand in no table: old versions, and what is about to be stored."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from stepwell_shared.fhir.indexing import Localise
from stepwell_shared.fhir.registry import Registry, ServedType
from stepwell_shared.fhir.search.conditions import Context
from stepwell_shared.fhir.search.criteria import granted_condition
from stepwell_shared.fhir.search.terms import Values
from stepwell_shared.fhir.table_names import column_names
from stepwell_shared.fhir.unit import Change

_INDEXED = ("id", "parameter", "system", "code", "display")
_NUMBERED = ("id", "parameter", "key_system", "key_code", "system", "code", "unit", "low", "high")


def reached_statement(
    served_type: ServedType,
    changes: Sequence[Change],
    granted: Sequence[str],
    *,
    localise: Localise,
    now: datetime,
    registry: Registry | None = None,
) -> tuple[str, list[str | None]]:
    """Selects the ids of those, at most one version of each resource, that match one of the granted queries.

    The search values of all of them travel as three texts, so that the statement is the same however many they are.
    """
    found = Values()
    names = [name for parameter in served_type.columns for name in column_names(parameter)]
    own = [(each.stored.id, each.stored.last_updated, *each.columns) for each in changes]
    rows = [(each.stored.id, *row) for each in changes for row in each.rows]
    # without the ordinal, which only tells the rows of one parameter apart
    numbers = [(each.stored.id, number[0], *number[2:]) for each in changes for number in each.numbers]
    resources = _relation(found, ("id", "last_updated", *names), own)
    context = Context(
        _relation(found, _INDEXED, rows), localise, now, _relation(found, _NUMBERED, numbers), registry=registry
    )
    condition = granted_condition(served_type, granted, context, found)
    return f"SELECT r.id FROM {resources} AS r WHERE {condition}", found.entries


def _relation(found: Values, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows with the caller's tenant in the place of a table."""
    listed = [dict(zip(names, map(_plain, row), strict=True)) for row in rows]
    place = found.place(orjson.dumps(listed).decode())
    columns = ", ".join(f"{name} {_type(name)}" for name in names)
    return f"(SELECT s.tenant AS tenant, u.* FROM jsonb_to_recordset({place}::jsonb) AS u({columns}))"


def _type(name: str) -> str:
    if name in {"low", "high"}:
        return "float8"
    return "timestamptz" if name == "last_updated" or name.endswith(("_low", "_high")) else 'text COLLATE "C"'


def _plain(value: Any) -> Any:
    """JSON has no infinity; PostgreSQL reads it as a text."""
    return str(value) if isinstance(value, float) else value
