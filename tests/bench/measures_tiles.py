"""A page of the dashboards over HTTP: while nothing else runs, and while all figures are made anew by the process that
answers."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg
from httpx import AsyncClient
from stepwell_measurement.data.measures import measures
from stepwell_shared.auth.keys import load_private_key
from stepwell_shared.auth.service_tokens import request_token
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.http_client import http_client

from tests.bench.facts import cpu_seconds
from tests.bench.measuring import percentile
from tests.bench.population import LARGE, SERVICE
from tests.bench.suite import BenchSuite, client_of

ALONE_SECONDS, MADE_SECONDS_MAX = 10.0, 900.0
BETWEEN_SECONDS = 0.05
"""Readers of dashboards are few: twenty views a second, one after the other."""


@dataclass(frozen=True)
class Views:
    """What views take, in milliseconds."""

    many: int
    p50: float
    p99: float
    longest: float


@dataclass(frozen=True)
class Tiles:
    """How long the figures of the dashboards are in the making, processor seconds of the process that answers (which
    also counts and writes pages) meanwhile, and what views of all tiles take then and afterwards."""

    made_seconds: float
    made_cpu_seconds: float
    meanwhile: Views
    alone: Views


async def tiles(suite: BenchSuite) -> Tiles:
    """Forgets all figures, asks for them, and looks at the page with all tiles until they are there, and afterwards.

    Raises SetupError when they are not made.
    """
    connection = await asyncpg.connect(suite.superuser_url(SERVICE))
    try:
        async with http_client(timeout_seconds=60) as http:
            token = await _token(suite, http)
            url = f"http://127.0.0.1:{suite.deployment.ports[SERVICE]}/measurement/dashboard"
            http.headers["Authorization"] = f"Bearer {token}"
            await connection.execute("DELETE FROM dashboard_sheet")
            process = suite.processes.pid_of(SERVICE)
            began, before = time.perf_counter(), cpu_seconds(process)
            making = asyncio.create_task(_made(connection))
            meanwhile = await _looked_at(http, url, making.done)
            await making
            made, cpu = time.perf_counter() - began, cpu_seconds(process) - before
            until = time.perf_counter() + ALONE_SECONDS
            await http.get(url)  # reads what is new
            return Tiles(made, cpu, meanwhile, await _looked_at(http, url, lambda: time.perf_counter() > until))
    finally:
        await connection.close()


async def _made(connection: asyncpg.Connection) -> None:
    """Waits until there are figures of every Measure."""
    until = time.perf_counter() + MADE_SECONDS_MAX
    while time.perf_counter() < until:
        text = "SELECT count(*) FROM dashboard_sheet WHERE tenant = $1 AND measure <> ''"
        if await connection.fetchval(text, LARGE) >= len(measures()):
            return
        await asyncio.sleep(0.2)
    raise SetupError(f"the figures of the dashboards were not made in {MADE_SECONDS_MAX:g} seconds")


async def _looked_at(http: AsyncClient, url: str, is_over: Callable[[], bool]) -> Views:
    taken: list[float] = []
    while not taken or not is_over():
        began = time.perf_counter()
        answer = await http.get(url)
        taken.append(time.perf_counter() - began)
        answer.raise_for_status()
        await asyncio.sleep(BETWEEN_SECONDS)
    return Views(len(taken), percentile(taken, 0.5), percentile(taken, 0.99), 1000 * max(taken))


async def _token(suite: BenchSuite, http: AsyncClient) -> str:
    key = load_private_key(suite.deployment.access().key_file(client_of(LARGE)))
    token = await request_token(http, suite.deployment.issuer_url, client_of(LARGE), key, now=time.time())
    return token.text
