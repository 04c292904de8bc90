"""What every test may ask for: databases of its own on the run's PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack

import pytest
from stepwell_shared.cli.bootstrap import DatabaseUrls

from tests.support import postgres

DatabaseOf = Callable[[str], Awaitable[DatabaseUrls]]

_run = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """The process that was started, not its workers, opens the run."""
    if not hasattr(config, "workerinput"):
        _run.enter_context(postgres.test_run())


def pytest_unconfigure() -> None:
    """Stops the run's PostgreSQL and removes its folder."""
    _run.close()


@pytest.fixture
async def database_of() -> AsyncIterator[DatabaseOf]:
    """`await database_of("screening")` is a fresh migrated database, (owner URL, runtime URL), for one test."""
    names = []

    async def create(service: str) -> DatabaseUrls:
        name, urls = await postgres.create_database(service)
        names.append(name)
        return urls

    yield create
    for name in names:
        await postgres.drop_database(name)


@pytest.fixture
async def empty_database(database_of: DatabaseOf) -> DatabaseUrls:
    """A fresh database without tables, for a test that declares its own."""
    return await database_of(postgres.EMPTY)
