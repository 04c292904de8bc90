"""Routing's Runtime on a database of its own, beside a tenant that nothing may reach."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from stepwell_routing.app import service
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.runtime import Runtime

from tests.conftest import DatabaseOf
from tests.services.routing.hearing import everything, hear, scored
from tests.support.runtime import SOUTH, running, shipped


async def _south_has_a_decision(runtime: Runtime) -> None:
    await hear(runtime, scored(5), tenant=SOUTH)


BESIDE_SOUTH = shipped(service, "beside_south", _south_has_a_decision)


@pytest.fixture
async def urls(database_of: DatabaseOf) -> DatabaseUrls:
    """The database that the test's replicas share."""
    return await database_of("routing", BESIDE_SOUTH)


@pytest.fixture
async def runtime(urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Runtime]:
    """The running parts. South has a decision on the same person and response, which every test leaves as it is."""
    async with running(service, urls, tmp_path, is_prepared=True) as opened:
        before = await everything(opened, SOUTH)
        yield opened
        assert await everything(opened, SOUTH) == before


@pytest.fixture
async def replica(urls: DatabaseUrls, runtime: Runtime, tmp_path: Path) -> AsyncIterator[Runtime]:
    """A second process of the same service on the same database."""
    async with running(service, urls, tmp_path, is_prepared=True) as opened:
        yield opened
