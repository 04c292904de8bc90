"""Chaos in the small: nothing acknowledged is lost or doubled, and the oracle can see. `make chaos` is large."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.oracle import examine, examine_ehr, tally
from tests.chaos.planted import DEFECTS
from tests.chaos.recovery import faults, recoveries
from tests.chaos.schedule import DATABASE, Faults, kills
from tests.chaos.stage import Stage, staged
from tests.chaos.storm import Run, Size, storm
from tests.support import postgres
from tests.support.proxy import NOTIFICATION, Fault

SIZE = Size(submissions=60, seed=2294, clients=12, kills_min=7, pace=0.2)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    folder = postgres.run_folder() / "chaos"
    folder.mkdir(mode=0o711)
    with staged(folder, tmp_path / "logs") as running:
        yield running


@pytest.mark.timeout(400)  # thirty seconds of CPU, most of them starts of processes, on a machine that is shared
async def test_kills_and_a_bad_network_lose_and_double_nothing_and_the_oracle_sees_planted_defects(
    stage: Stage,
) -> None:
    run = await storm(stage, SIZE)
    assert [str(finding) for finding in run.findings] == []
    assert len(run.ledger.acknowledged) == SIZE.submissions
    assert run.kills.total() >= SIZE.kills_min
    assert {what.partition(":")[0] for what in run.kills} == {*stage.deployment.ports, DATABASE}
    suffered = {fault for (kind, fault), count in run.faults.items() if kind == NOTIFICATION and count}
    assert len(suffered - {Fault.NONE}) >= 4
    assert await defects_overlooked(stage, run) == []
    crashed = await recoveries(stage, 2)
    assert all(each.statuses[503] for each in crashed)
    assert [str(finding) for finding in faults(crashed, tolerance_seconds=2.0)] == []


async def defects_overlooked(stage: Stage, run: Run) -> list[str]:
    """Each defect is planted alone and taken back."""
    overlooked = []
    async with stage.connections() as connections:
        for defect in DEFECTS:
            transaction = connections[defect.service].transaction()
            await transaction.start()
            await connections[defect.service].execute(defect.statement)
            if not tally(await examine(connections, run.ledger))[defect.kind]:
                overlooked.append(defect.name)
            await transaction.rollback()
        number, focus = run.ledger.heard[0]
        for heard in ([], [(number, "Task/other")], [(number, focus), (number, "Task/other")]):
            told = [each for each in run.ledger.heard if each[0] != number]
            run.ledger.heard = told + heard
            if not await examine_ehr(connections, run.ledger, run.subscription_id):
                overlooked.append(f"a record system that heard {heard}")
    return overlooked


def test_a_seed_chooses_the_same_faults_again_and_another_seed_others() -> None:
    def schedule(seed: int) -> list[object]:
        plan, killed = Faults(seed), kills(seed)
        return [next(killed) for _ in range(50)] + [plan("routing", NOTIFICATION, n) for n in range(50)]

    assert schedule(7) == schedule(7)
    assert schedule(7) != schedule(8)
