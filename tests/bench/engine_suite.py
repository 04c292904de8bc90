"""The suite with the loaded database: loaded once, kept under `.stepwell/bench`, and started one service at a time."""

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from stepwell_shared.cli.bootstrap import database_name
from stepwell_shared.cli.deployment import LocalDeployment
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.cli.processes import Command, ServiceProcesses, free_port
from stepwell_shared.settings import SERVICES

from tests.bench import idiomatic
from tests.bench.facts import cpu_seconds, memory_mib
from tests.bench.loading import Advance, forget_benches, load, offline_engine
from tests.bench.population import LARGE, SERVICE, SMALL, Population, fingerprint
from tests.bench.suite import BenchSuite, prepare

FOLDER = Path(".stepwell/bench")
RECORDER = "recorder"
"""A tenant in which one operation is carried out to see what it writes."""
IDIOMATIC, DUTIFUL = "idiomatic, without duties", "idiomatic, same duties"
YARDSTICKS = (IDIOMATIC, DUTIFUL)
READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Started:
    """How soon a service answered after it was started by itself, what it had computed and what it held then."""

    ready_seconds: float
    cpu_seconds: float
    memory_mib: float


@dataclass(frozen=True)
class LoadedSuite(BenchSuite):
    """A suite whose measurement database holds a population, and the idiomatic ways beside it."""

    population: Population
    ports: Mapping[str, int]
    """Of the yardsticks."""
    started: Mapping[str, Started]
    loaded_now: bool


@contextmanager
def loaded_suite(
    folder: Path, population: Population, advance: Advance, *, services: Sequence[str] = SERVICES, keep: bool = True
) -> Iterator[LoadedSuite]:
    """Loads unless this very content is kept, starts the services, and stops them afterwards."""
    yardsticks = sha256(idiomatic.FILL.encode()).hexdigest()
    wanted = f"{fingerprint(offline_engine(), population)} {yardsticks}"
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    postgres = EmbeddedPostgres(folder / "postgres", say=lambda _: None)
    mark = folder / "loaded.json"
    is_loaded = _kept(mark) == wanted
    if not is_loaded:
        postgres.stop()
        _remove(folder, postgres)
    try:
        with postgres:
            deployment = asyncio.run(prepare(folder, postgres, [LARGE, SMALL, RECORDER]))
            url = postgres.url(database_name(SERVICE))
            if is_loaded:
                advance("forgetting earlier benches", 0, 1)
                asyncio.run(forget_benches(url))
            else:
                asyncio.run(load(url, population, advance))
                mark.write_text(json.dumps(wanted) + "\n", encoding="ascii")
            advance("reading the data into memory", 0, 1)
            warm_page_cache(postgres.data)
            beside = [_idiomatic_command(each, url, deployment) for each in YARDSTICKS]
            commands = [*(each for each in deployment.commands() if each.name in services), *beside]
            with ServiceProcesses([], folder / "logs") as processes:
                processes.commands = commands
                yield LoadedSuite(
                    *(folder, postgres, deployment, processes, population, {each.name: each.port for each in beside}),
                    started=_started(processes, advance),
                    loaded_now=not is_loaded,
                )
    finally:
        if not keep:
            _remove(folder, postgres)


def warm_page_cache(data: Path) -> None:
    """Reads every file of the server once, so that no round waits for a disk that the next one does not."""
    for path in data.rglob("*"):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while file.read(READ_BYTES):
                    pass


def _started(processes: ServiceProcesses, advance: Advance) -> dict[str, Started]:
    """Starts one after the other, each while the others are idle."""
    found = {}
    for done, command in enumerate(processes.commands):
        advance("starting the services", done, len(processes.commands))
        began = time.perf_counter()
        processes.start_one(command.name)
        processes.wait_until_ready(command.name)
        seconds, pid = time.perf_counter() - began, processes.pid_of(command.name)
        found[command.name] = Started(seconds, cpu_seconds(pid), memory_mib(pid))
    return {name: started for name, started in found.items() if name not in YARDSTICKS}


def _idiomatic_command(name: str, url: str, deployment: LocalDeployment) -> Command:
    """Tokens are those of the measured service, from the issuer that starts before it."""
    port = free_port()
    trusted = [deployment.issuer_url, deployment.url_of(SERVICE)] if name == DUTIFUL else []
    return Command(
        name=name,
        argv=[sys.executable, "-m", "tests.bench.idiomatic", url.replace("://", "+asyncpg://"), str(port), *trusted],
        port=port,
        environment={"PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)},
    )


def _kept(mark: Path) -> str:
    try:
        return str(json.loads(mark.read_text(encoding="ascii")))
    except (OSError, ValueError):
        return ""


def _remove(folder: Path, postgres: EmbeddedPostgres) -> None:
    shutil.rmtree(postgres.home, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
