"""Routing's Runtime on a database of its own, beside a tenant that nothing may reach."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from stepwell_routing.app import service
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import everything, hear, scored
from tests.support.runtime import SOUTH, running


@pytest.fixture
async def urls(database_of: Callable[[str], Awaitable[DatabaseUrls]]) -> DatabaseUrls:
    """The database that the test's replicas share."""
    return await database_of("routing")


@pytest.fixture
async def runtime(urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Runtime]:
    """The running parts. South has a decision on the same person and response, which every test leaves as it is."""
    async with running(service, urls, tmp_path) as opened:
        await hear(opened, scored(5), tenant=SOUTH)
        before = await everything(opened, SOUTH)
        yield opened
        assert await everything(opened, SOUTH) == before


@pytest.fixture
async def replica(urls: DatabaseUrls, runtime: Runtime, tmp_path: Path) -> AsyncIterator[Runtime]:
    """A second process of the same service on the same database."""
    async with running(service, urls, tmp_path) as opened:
        yield opened
