"""One throw-away PostgreSQL per test run, shared by all workers, and a fresh clone of a migrated database per test.

The process that started the run makes a folder and removes it; the first test that needs the server starts it.
What many tests begin with is put into a template once per run (`Preparation`), so that each of them clones it.
"""

import fcntl
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from stepwell_shared.cli.bootstrap import OWNER_ROLE, RUNTIME_ROLE, DatabaseUrls, bootstrap, close_database
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.migrations import migrate

from tests.support import pooler
from tests.support.administration import Administration
from tests.support.installation import postgresql_in

RUN_FOLDER = "STEPWELL_TEST_RUN_FOLDER"
PREFIX = "stepwell-tests-"
EMPTY = "empty"
MEMORY_BYTES_MIN = 4 * 2**30

_numbers = itertools.count()
_templates: dict[str, DatabaseUrls] = {}
_administrations: list[Administration] = []


@dataclass(frozen=True)
class Preparation:
    """What is put into a migrated database once per run, so that every clone of it has that already."""

    name: str
    fill: Callable[[DatabaseUrls], Awaitable[None]]


@contextmanager
def test_run() -> Iterator[None]:
    """Around a whole run: makes its folder, and at the end stops the server, if any test needed one.

    The folder's lock lives as long as this process, so that a later run recognises and removes what a killed one left.
    """
    place = _place()
    for left_over in place.glob(f"{PREFIX}*"):
        with _try_lock(left_over / "alive") as orphaned:
            if orphaned:
                _remove(left_over)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    folder.chmod(0o711)  # as root, the server may run as a user who has to get to its data
    with _try_lock(folder / "alive"):
        os.environ[RUN_FOLDER] = str(folder)
        try:
            yield
        finally:
            hang_up()
            _remove(folder)


def run_folder() -> Path:
    """The folder of this run, the same in every worker."""
    return Path(os.environ[RUN_FOLDER])


@cache
def server() -> EmbeddedPostgres:
    """The run's server, started by whoever asks first."""
    return _server_in(run_folder()).start()


@asynccontextmanager
async def administrator() -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to the run's server."""
    connection = await asyncpg.connect(server().url())
    try:
        yield connection
    finally:
        await connection.close()


async def create_database(service: str, preparation: Preparation | None = None) -> tuple[str, DatabaseUrls]:
    """A fresh database with the migrated tables of the service, or with none for EMPTY: its name and its two URLs."""
    template, urls = await _template(service, preparation)
    name = f"test_{os.getpid()}_{next(_numbers)}"
    await _administration().run(partial(_clone, template, name))
    return name, pooler.pooled(_at(urls, name), server(), run_folder())


def drop_database(name: str) -> None:
    """Removes a database, whoever is still connected, while the process goes on."""
    _administration().run_later(partial(_drop, name))


def hang_up() -> None:
    """Finishes what this process has to do with the server."""
    while _administrations:
        _administrations.pop().close()


def _administration() -> Administration:
    if not _administrations:
        _administrations.append(Administration(server().url()))
    return _administrations[0]


async def _clone(template: str, name: str, connection: asyncpg.Connection) -> None:
    # Without fsync, copying files takes half the time of WAL_LOG (15 against 27 ms with two workers).
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY OWNER {OWNER_ROLE}")
    await close_database(connection, name)


async def _drop(name: str, connection: asyncpg.Connection) -> None:
    await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def _template(service: str, preparation: Preparation | None) -> tuple[str, DatabaseUrls]:
    """The service's migrated database, prepared if so asked, made once per run: its name and its URLs."""
    if preparation is None:
        name, make = f"template_{service}", partial(_migrate, service)
    else:
        plain, urls = await _template(service, None)
        name, make = f"{plain}_{preparation.name}", partial(_prepare, plain, urls, preparation)
    if name not in _templates:
        ready = run_folder() / f"{name}.ready"
        with _lock(run_folder() / "templates.lock"):
            _templates[name] = await make(name, is_ready=ready.exists())
            ready.touch()
    return name, _templates[name]


async def _migrate(service: str, name: str, *, is_ready: bool) -> DatabaseUrls:
    urls = await bootstrap(server().url(), [name], run_folder() / "credentials.json", server_is_ours=True)
    if service != EMPTY and not is_ready:
        await migrate(service, urls[name].owner, RUNTIME_ROLE)
    return urls[name]


async def _prepare(
    plain: str, urls: DatabaseUrls, preparation: Preparation, name: str, *, is_ready: bool
) -> DatabaseUrls:
    if not is_ready:
        await _administration().run(partial(_drop, name))  # what another worker could not finish
        await _administration().run(partial(_clone, plain, name))
        await preparation.fill(_at(urls, name))
    return _at(urls, name)


def _at(urls: DatabaseUrls, name: str) -> DatabaseUrls:
    """The same logins at another database."""
    return DatabaseUrls(*(urlsplit(url)._replace(path=f"/{name}").geturl() for url in urls))


def _place() -> Path:
    """Where the run's data goes: memory where there is plenty, for a clone takes 15 ms there and 150 ms on a disk."""
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= MEMORY_BYTES_MIN:
        return memory
    return Path(tempfile.gettempdir())


def _server_in(folder: Path) -> EmbeddedPostgres:
    return postgresql_in(folder / "postgres")


def _remove(folder: Path) -> None:
    pooler.stop(folder)
    if (folder / "postgres").exists():
        postgres = _server_in(folder)
        postgres.stop()
        shutil.rmtree(postgres.home, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _try_lock(path: Path) -> Iterator[bool]:
    """Whether nobody else holds the lock; if so it is held inside."""
    try:
        handle = path.open("w")
    except OSError:  # being removed, or another user's
        yield False
        return
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
