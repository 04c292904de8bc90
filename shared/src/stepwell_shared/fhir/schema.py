"""The tables that a registry needs: one of current rows and one of index rows per type, one of all versions."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy
from sqlalchemy import Column, Double, Index, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP

from stepwell_shared.database.functions import APPEND_ONLY
from stepwell_shared.database.table_functions import insert_function
from stepwell_shared.database.transaction_id import Xid8
from stepwell_shared.fhir.history_functions import history_functions
from stepwell_shared.fhir.parameters import Storage
from stepwell_shared.fhir.registry import Registry, ServedType
from stepwell_shared.fhir.store_functions import (
    BY_NUMBER,
    identified_function,
    insert_version_function,
    read_function,
    recorded_read_function,
    update_version_function,
)
from stepwell_shared.fhir.table_names import VERSION_TABLE, column_names, current_table, index_table, number_table


def text() -> Text:
    """Text compared by bytes: faster, and prefixes become range scans."""
    return Text(collation="C")


def declare_tables(registry: Registry, metadata: MetaData) -> None:
    """Adds the registry's tables to the metadata of its service."""
    Table(
        VERSION_TABLE,
        metadata,
        Column("tenant", text(), primary_key=True),
        Column("resource_type", text(), primary_key=True),
        Column("id", text(), primary_key=True),
        Column("version", Integer, primary_key=True, autoincrement=False),
        Column("last_updated", TIMESTAMP(timezone=True), nullable=False),
        Column("method", text(), nullable=False),
        Column("body", BYTEA),
        # Orders the versions of all resources: below the oldest open transaction nothing can appear any more.
        Column("transaction", Xid8(), nullable=False, server_default=sqlalchemy.text("pg_current_xact_id()")),
        Index(f"{VERSION_TABLE}_order", "tenant", "resource_type", "transaction", "last_updated"),
        info={APPEND_ONLY: True},
    )
    for served_type in registry:
        if served_type.view is None:
            _declare(served_type, metadata)


def _declare(served_type: ServedType, metadata: MetaData) -> None:
    name = current_table(served_type.name)
    promoted: list[Column[object]] = []
    for parameter in served_type.columns:
        kind = TIMESTAMP(timezone=True) if parameter.storage is Storage.DATE_COLUMNS else text()
        promoted += [Column(column, kind) for column in column_names(parameter)]
    table = Table(
        name,
        metadata,
        Column("tenant", text(), primary_key=True),
        Column("id", text(), primary_key=True),
        Column("version", Integer, nullable=False),
        Column("last_updated", TIMESTAMP(timezone=True), nullable=False),
        Column("body", BYTEA),
        *promoted,
    )
    _declare_indexes(served_type, table)
    if served_type.rows:
        rows = Table(
            index_table(served_type.name),
            metadata,
            Column("tenant", text(), primary_key=True),
            Column("id", text(), primary_key=True),
            Column("parameter", text(), primary_key=True),
            Column("system", text(), primary_key=True),
            Column("code", text(), primary_key=True),
            Column("display", text()),
        )
        Index(f"{rows.name}_code", rows.c.tenant, rows.c.parameter, rows.c.code, rows.c.system, rows.c.id)
    if served_type.numbers:
        _declare_numbers(number_table(served_type.name), metadata)


def view_statements(served_type: ServedType, records: Table) -> list[str]:
    """The views of a type that is rendered when it is read, in the shape of the tables of other types, and its
    functions. Each reader sees through them what row-level security shows of the source."""
    view, name = served_type.view, current_table(served_type.name)
    assert view is not None, "only a type with a view has views"
    promoted = [
        f", {view.values[column]} AS {column}"
        for parameter in served_type.columns
        for column in column_names(parameter)
    ]
    shown = (
        'SELECT tenant, id::text COLLATE "C" AS id, 1 AS version, last_updated, id AS number,'
        f" convert_to(({view.body})::text, 'UTF8') AS body{''.join(promoted)} FROM {view.source}"
    )
    nothing = ", ".join(f"'' AS {column}" for column in ("tenant", "id", "parameter", "system", "code", "display"))
    statements = []
    for view_name, selected in ((name, shown), (index_table(served_type.name), f"SELECT {nothing} WHERE false")):
        statements += [
            f"DROP VIEW IF EXISTS {view_name}",
            f"CREATE VIEW {view_name} WITH (security_invoker = true) AS {selected}",
            f"GRANT SELECT ON {view_name} TO PUBLIC",
        ]
    return [*statements, read_function(name, BY_NUMBER), recorded_read_function(name, records, BY_NUMBER)]


def _declare_indexes(served_type: ServedType, table: Table) -> None:
    """The composite b-trees, one for the time of the last change, and one for each reference that none of them leads
    with: partial, so that a resource without it costs nothing. A subject that is a patient is found as `patient`."""
    c = table.c
    for parameters in served_type.indexes:
        columns: list[Any] = []
        for name in parameters:
            column = c[column_names(served_type.parameters[name.removeprefix("-")])[0]]
            columns.append(sqlalchemy.nulls_last(column.desc()) if name[0] == "-" else column)
        last = c.id.desc() if parameters[-1][0] == "-" else c.id
        stem = "_".join(name[1:] + "-desc" if name[0] == "-" else name for name in parameters).replace("-", "_")
        Index(f"{table.name}_{stem}", c.tenant, *columns, last)
    Index(f"{table.name}_last_updated", c.tenant, c.last_updated, c.id)
    for parameter in served_type.looked_up:
        column = c[parameter.column]
        is_elsewhere = c[parameter.patient_column].is_(None) if parameter.patient_column else sqlalchemy.true()
        where = sqlalchemy.and_(column.is_not(None), is_elsewhere)
        stem = parameter.name.replace("-", "_")
        Index(f"{table.name}_{stem}", c.tenant, column, c.id, postgresql_where=where)


def _declare_numbers(name: str, metadata: MetaData) -> None:
    """Numbers and the parts of composites: a key (the first part) beside a value with its unit and bounds."""
    table = Table(
        name,
        metadata,
        Column("tenant", text(), primary_key=True),
        Column("id", text(), primary_key=True),
        Column("parameter", text(), primary_key=True),
        Column("ordinal", Integer, primary_key=True, autoincrement=False),
        Column("key_system", text()),
        Column("key_code", text()),
        Column("system", text()),
        Column("code", text()),
        Column("unit", text()),
        Column("low", Double),
        Column("high", Double),
    )
    c = table.c
    Index(f"{name}_value", c.tenant, c.parameter, c.key_code, c.low, c.id)
    # What reaches above its lower bound is rare: a range, or a value with a comparator.
    Index(f"{name}_high", c.tenant, c.parameter, c.key_code, c.high, c.id, postgresql_where=c.low < c.high)


def function_statements(
    registry: Registry, metadata: MetaData, effect_tables: Iterable[str], record_table: str
) -> list[str]:
    """The batch functions for the registry's tables and for the tables that effects go to; reads are kept on record
    in one of these."""
    versions = metadata.tables[VERSION_TABLE]
    statements = history_functions(VERSION_TABLE)
    statements += [insert_function(metadata.tables[name]) for name in effect_tables]
    for served_type in registry:
        if served_type.view is not None:
            statements += view_statements(served_type, metadata.tables[record_table])
            continue
        table = metadata.tables[current_table(served_type.name)]
        names = [index_table(served_type.name), number_table(served_type.name)]
        rows = [metadata.tables[name] for name in names if name in metadata.tables]
        statements += [
            insert_version_function(table, versions, served_type.name),
            update_version_function(table, versions, served_type.name, *rows),
            read_function(table.name),
            recorded_read_function(table.name, metadata.tables[record_table]),
        ]
        statements += [insert_function(each) for each in rows]
        if served_type.unique_identifier:
            statements.append(identified_function(table, metadata.tables[index_table(served_type.name)]))
    return statements
