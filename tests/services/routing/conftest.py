"""Routing's Runtime on a database of its own, beside a tenant that nothing may reach."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from stepwell_routing.app import service
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.runtime import Runtime

from tests.conftest import DatabaseOf
from tests.services.routing.hearing import everything, hear, scored
from tests.support.runtime import SOUTH, http_of, running, shipped


async def _south_has_a_decision(runtime: Runtime) -> None:
    await hear(runtime, scored(5), tenant=SOUTH)


BESIDE_SOUTH = shipped(service, "beside_south", _south_has_a_decision)


@pytest.fixture
async def urls(database_of: DatabaseOf) -> DatabaseUrls:
    """The database that the test's replicas share."""
    return await database_of("routing", BESIDE_SOUTH)


@pytest.fixture(scope="session")
def south_at_first() -> list[dict[str, Any]]:
    """What south has in every clone, once a test has looked."""
    return []


@pytest.fixture
async def runtime(urls: DatabaseUrls, tmp_path: Path, south_at_first: list[dict[str, Any]]) -> AsyncIterator[Runtime]:
    """The running parts. South has a decision on the same person and response, which every test leaves as it is."""
    async with running(service, urls, tmp_path, is_prepared=True) as opened:
        if not south_at_first:
            south_at_first.append(await everything(opened, SOUTH))
        yield opened
        assert await everything(opened, SOUTH) == south_at_first[0]


@pytest.fixture
async def replica(urls: DatabaseUrls, runtime: Runtime, tmp_path: Path) -> AsyncIterator[Runtime]:
    """A second process of the same service on the same database."""
    async with running(service, urls, tmp_path, is_prepared=True) as opened:
        yield opened


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """A client at its door."""
    async with http_of(runtime, service) as client:
        yield client
