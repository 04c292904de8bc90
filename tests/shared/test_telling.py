"""How busy the way to the database is."""

import asyncio

from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database.pool import Database, PoolLoad


async def test_a_pool_says_what_is_used_and_who_waits(empty_database: DatabaseUrls) -> None:
    async with Database.open(empty_database.runtime, connections_max=2) as database:
        assert database.load == PoolLoad(used=0, open=0, waiting=0)
        async with database.connection(), database.connection():
            third = asyncio.create_task(database.fetch("SELECT 1"))
            for _ in range(100):  # it asks the pool without waiting for anything else
                await asyncio.sleep(0)
            assert database.load == PoolLoad(used=2, open=2, waiting=1)
        await third
        assert database.load == PoolLoad(used=0, open=2, waiting=0)
