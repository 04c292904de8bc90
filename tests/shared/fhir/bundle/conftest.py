"""An engine of screening's types without its rules, and Bundles to send to it."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import DatabaseOf
from tests.support.engine import Bench
from tests.support.engine import bench as open_bench


@pytest.fixture
async def bench(database_of: DatabaseOf) -> AsyncIterator[Bench]:
    """All interactions on every type of screening, no hooks."""
    async with open_bench(await database_of("screening")) as opened:
        yield opened
