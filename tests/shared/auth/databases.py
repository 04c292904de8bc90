"""Databases that hold the tables of the locks and nothing else."""

import asyncpg
from sqlalchemy import Table, create_mock_engine
from sqlmodel import SQLModel
from stepwell_shared.auth.audit_chain import SEAL_FUNCTION
from stepwell_shared.auth.tables import AssertionSeen, Audit, AuditSeal, Client, IssuerKeySet, Tenant
from stepwell_shared.cli.bootstrap import RUNTIME_ROLE, DatabaseUrls
from stepwell_shared.database.table_functions import insert_function, security_statements


def table_of(model: type[SQLModel]) -> Table:
    table: Table = model.metadata.tables[str(model.__tablename__)]
    return table


async def make_lock_tables(urls: DatabaseUrls) -> None:
    """Makes the tables in an empty database, secured as `stepwell migrate` does it."""
    tables = [table_of(model) for model in (Tenant, Client, AssertionSeen, IssuerKeySet, Audit, AuditSeal)]
    created: list[object] = []
    engine = create_mock_engine("postgresql://", lambda sql, *_parameters, **_options: created.append(sql))
    SQLModel.metadata.create_all(engine, tables, checkfirst=False)
    statements = [str(sql.compile(dialect=engine.dialect)) for sql in created if hasattr(sql, "compile")]
    statements += [insert_function(table_of(Audit)), SEAL_FUNCTION, *security_statements(tables, RUNTIME_ROLE)]
    connection = await asyncpg.connect(urls.owner)
    try:
        await connection.execute(";\n".join(statements))
    finally:
        await connection.close()
