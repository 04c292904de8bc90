"""Referral's Runtime on a database of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from stepwell_referral.app import service
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.runtime import Runtime

from tests.support.runtime import running


@pytest.fixture
async def runtime(database_of: Callable[[str], Awaitable[DatabaseUrls]], tmp_path: Path) -> AsyncIterator[Runtime]:
    """The running parts of referral, with two tenants and the default catalogue in both."""
    async with running(service, await database_of("referral"), tmp_path) as opened:
        yield opened
