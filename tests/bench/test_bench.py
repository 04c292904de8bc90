"""The bench runs through, tiny: it measures what it says on rows that the product would have made."""

import asyncio
import io
from pathlib import Path

import asyncpg
from rich.console import Console

from tests.bench.engine_report import print_engine
from tests.bench.engine_rounds import EnginePace, EngineRounds
from tests.bench.engine_stage import OPERATIONS, engine_staged
from tests.bench.engine_suite import loaded_suite
from tests.bench.load import LoadProcess
from tests.bench.population import LARGE, SERVICE, SMALL, VISITS, Population

TINY = Population(2_000)
PACE = EnginePace(rounds=1, seconds=0.2, warm_up_seconds=0.1, clients=4)


def test_every_patient_of_every_tenant_gets_as_many_observations() -> None:
    assert TINY.observations == TINY.patients * VISITS == 2_000
    numbers = [number for patients in TINY.patients_by_tenant.values() for number in patients]
    assert sorted(numbers) == list(range(TINY.patients))
    assert len(set(TINY.observation_ids(LARGE, TINY.observations))) == len(TINY.patients_by_tenant[LARGE]) * VISITS


def test_a_tiny_bench_measures_every_operation_on_every_side(tmp_path: Path) -> None:
    with (
        LoadProcess() as load,
        loaded_suite(tmp_path, TINY, _ignore, services=("screening", SERVICE), keep=False) as suite,
    ):
        assert suite.loaded_now

        async def measure() -> None:
            async with engine_staged(suite) as stage:
                found = await EngineRounds(stage, load, PACE, lambda what, seconds: None).run()
                assert [each.name for each in found.operations] == list(OPERATIONS)
                for operation in found.operations:
                    assert all(rate.per_second > 0 for rate in operation.sides.values())
                assert found.newest[SMALL].p50 > 0
                assert await _kept_by_duties(suite.superuser_url(SERVICE)) == {"create", "read", "search"}
                print_engine(Console(file=io.StringIO()), found, stage, PACE, found.as_json())

        asyncio.run(measure())


async def _kept_by_duties(url: str) -> set[str]:
    """What the idiomatic way with duties put on record."""
    connection = await asyncpg.connect(url)
    try:
        query = "SELECT action FROM idiomatic.audit WHERE tenant = $1 GROUP BY action"
        assert await connection.fetchval("SELECT count(*) FROM idiomatic.history WHERE tenant = $1", LARGE) > 0
        return {row["action"] for row in await connection.fetch(query, LARGE)}
    finally:
        await connection.close()


def _ignore(what: str, done: int, total: int) -> None:
    """Nobody watches."""
