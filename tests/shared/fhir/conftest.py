"""Engines of screening and routing for the tests of the engine, each on a database of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import DatabaseOf
from tests.support.engine import Bench
from tests.support.engine import bench as open_bench


@pytest.fixture
async def bench(database_of: DatabaseOf) -> AsyncIterator[Bench]:
    """Screening's types with all interactions and without its rules."""
    async with open_bench(await database_of("screening")) as opened:
        yield opened


@pytest.fixture
async def routing_bench(database_of: DatabaseOf) -> AsyncIterator[Bench]:
    """Routing's types, likewise."""
    async with open_bench(await database_of("routing"), "routing") as opened:
        yield opened
