"""One throw-away PostgreSQL per test run, shared by all workers, and a fresh clone of a migrated database per test.

The process that started the run makes a folder and removes it; the first test that needs the server starts it.
"""

import fcntl
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from stepwell_shared.cli.bootstrap import OWNER_ROLE, RUNTIME_ROLE, DatabaseUrls, bootstrap, close_database
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.migrations import migrate

RUN_FOLDER = "STEPWELL_TEST_RUN_FOLDER"
PREFIX = "stepwell-tests-"
EMPTY = "empty"
MEMORY_BYTES_MIN = 4 * 2**30

_numbers = itertools.count()
_templates: dict[str, DatabaseUrls] = {}


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


async def create_database(service: str) -> tuple[str, DatabaseUrls]:
    """A fresh database with the migrated tables of the service, or with none for EMPTY: its name and its two URLs."""
    template, urls = await _template(service)
    name = f"test_{os.getpid()}_{next(_numbers)}"
    async with administrator() as connection:
        # Without fsync, copying files takes half the time of WAL_LOG (15 against 27 ms with two workers).
        await connection.execute(
            f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY OWNER {OWNER_ROLE}",
        )
        await close_database(connection, name)
    return name, DatabaseUrls(*(urlsplit(url)._replace(path=f"/{name}").geturl() for url in urls))


async def drop_database(name: str) -> None:
    """Removes a database, whoever is still connected."""
    async with administrator() as connection:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def _template(service: str) -> tuple[str, DatabaseUrls]:
    """The service's migrated database, made once per run: its name and its URLs."""
    name = f"template_{service}"
    ready = run_folder() / f"{name}.ready"
    if service in _templates:
        return name, _templates[service]
    with _lock(run_folder() / "templates.lock"):
        urls = await bootstrap(server().url(), [name], run_folder() / "credentials.json", server_is_ours=True)
        if service != EMPTY and not ready.exists():
            await migrate(service, urls[name].owner, RUNTIME_ROLE)
        ready.touch()
    _templates[service] = urls[name]
    return name, urls[name]


def _place() -> Path:
    """Where the run's data goes: memory where there is plenty, for a clone takes 15 ms there and 150 ms on a disk."""
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= MEMORY_BYTES_MIN:
        return memory
    return Path(tempfile.gettempdir())


def _server_in(folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder / "postgres", durable=False, connections_max=300)


def _remove(folder: Path) -> None:
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
