"""What every test may ask for: databases of its own on the run's PostgreSQL, and a place for what the services emit."""

import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from stepwell_shared.cli.bootstrap import DatabaseUrls

from tests.support import corpus, postgres
from tests.support.scheduling import FileByFile

# How fast a property is depends on what else a machine does. Where CI is set hypothesis says so itself.
settings.register_profile("on any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if "CI" not in os.environ:
    settings.load_profile("on any machine")

DatabaseOf = Callable[..., Awaitable[DatabaseUrls]]

_run = ExitStack()

# A traceback in plain words: with the values of all variables, one of an engine takes minutes to be written.
_plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _plain])


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--corpus FOLDER` belongs to `make check`."""
    parser.addoption("--corpus", type=Path, help="run the tests that emit resources, and keep these in this folder")


def pytest_configure(config: pytest.Config) -> None:
    """The process that was started, not its workers, opens the run."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So a shell starts what it starts in the background, and so would be started what a test sends Ctrl-C to.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        _run.enter_context(postgres.test_run())


def pytest_unconfigure() -> None:
    """Stops the run's PostgreSQL and removes its folder."""
    postgres.hang_up()
    _run.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--corpus`, leaves the tests that emit."""
    if config.getoption("corpus") is None:
        return
    emitting = [item for item in items if "emitted" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in emitting])
    items[:] = emitting


def pytest_collection_finish() -> None:
    """Spares the garbage collector what lives as long as the run: modules and thousands of tests."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileByFile:
    """A file's tests stay together."""
    return FileByFile(config, log)


@pytest.fixture
async def database_of() -> AsyncIterator[DatabaseOf]:
    """`await database_of("screening")` is a fresh migrated database, (owner URL, runtime URL), for one test.

    `await database_of("screening", preparation)` has what the preparation puts there.
    """
    names = []

    async def create(service: str, preparation: postgres.Preparation | None = None) -> DatabaseUrls:
        name, urls = await postgres.create_database(service, preparation)
        names.append(name)
        return urls

    yield create
    for name in names:
        postgres.drop_database(name)


@pytest.fixture
async def empty_database(database_of: DatabaseOf) -> DatabaseUrls:
    """A fresh database without tables, for a test that declares its own."""
    return await database_of(postgres.EMPTY)


@pytest.fixture
def emitted(request: pytest.FixtureRequest) -> corpus.Emitted:
    """`emitted(resource)` hands a resource that a service emits to `make check`."""
    return partial(corpus.keep, request.config.getoption("corpus"))
