"""Referral's Runtime on a database of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from stepwell_referral.app import service
from stepwell_shared.runtime import Runtime

from tests.conftest import DatabaseOf
from tests.support.runtime import http_of, running, shipped


@pytest.fixture
async def runtime(database_of: DatabaseOf, tmp_path: Path) -> AsyncIterator[Runtime]:
    """The running parts of referral, with two tenants and the default catalogue in both."""
    async with running(service, await database_of("referral", shipped(service)), tmp_path, is_prepared=True) as opened:
        yield opened


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """A client at its door."""
    async with http_of(runtime, service) as client:
        yield client
