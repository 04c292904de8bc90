"""An engine for types that a test declares itself, with the tables that the product would make for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex, CreateTable
from stepwell_shared.cli.bootstrap import RUNTIME_ROLE, DatabaseUrls
from stepwell_shared.database.table_functions import security_statements
from stepwell_shared.fhir.registry import Registry, ServedType
from stepwell_shared.runtime import Service
from stepwell_shared.schema import functions_of, metadata_of

from tests.support.engine import Bench
from tests.support.engine import bench as open_bench


@asynccontextmanager
async def bench_of(urls: DatabaseUrls, *types: ServedType) -> AsyncIterator[Bench]:
    """These types on an empty database, which gets their tables."""
    registry = Registry("made-up")
    for served_type in types:
        registry.add(served_type)
    service = Service("made-up", "Made up", "For a test", lambda runtime: registry)
    tables = metadata_of(service).sorted_tables
    dialect = make_url("postgresql+asyncpg://").get_dialect()()
    statements = [str(CreateTable(table).compile(dialect=dialect)) for table in tables]
    statements += [str(CreateIndex(index).compile(dialect=dialect)) for table in tables for index in table.indexes]
    statements += [*functions_of(service), *security_statements(tables, RUNTIME_ROLE)]
    connection = await asyncpg.connect(urls.owner)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
    async with open_bench(urls, "made-up", registry=registry) as opened:
        yield opened
