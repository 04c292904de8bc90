"""Who writes faster than what follows is done waits a moment, and never for who has gone away."""

import asyncio
from time import monotonic

import pytest
from stepwell_shared.database import pacing
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pacing import Pacing

ANNOUNCED = [Effect("audit", ()), Effect("outbox", ())]


def test_nobody_waits_while_nobody_is_behind() -> None:
    assert not Pacing("outbox").concerns("north", ANNOUNCED)


def test_only_writes_that_announce_something_wait_and_only_in_the_tenant_that_is_behind() -> None:
    pace = Pacing("outbox")
    pace.moves("north", "routing", behind=True)
    assert pace.concerns("north", ANNOUNCED)
    assert not pace.concerns("north", [Effect("audit", ())])
    assert not pace.concerns("south", ANNOUNCED)


async def test_who_waits_goes_on_as_soon_as_the_last_has_caught_up() -> None:
    pace = Pacing("outbox")
    for who in ("routing", "measurement"):
        pace.moves("north", who, behind=True)
    waiting = [asyncio.create_task(pace.wait("north")) for _ in range(3)]
    await asyncio.sleep(0)
    pace.moves("north", "routing", behind=False)
    await asyncio.sleep(0)
    assert not any(each.done() for each in waiting)
    pace.moves("north", "measurement", behind=False)
    async with asyncio.timeout(pacing.WAIT_SECONDS_MAX / 2):
        await asyncio.gather(*waiting)
    assert not pace.concerns("north", ANNOUNCED)


async def test_a_wait_ends_by_itself() -> None:
    pace = Pacing("outbox")
    pace.moves("north", "routing", behind=True)
    started = monotonic()
    await pace.wait("north")
    assert monotonic() - started == pytest.approx(pacing.WAIT_SECONDS_MAX, abs=0.09)
    assert pace.concerns("north", ANNOUNCED), "it is still behind"


async def test_who_does_not_move_any_more_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pacing("outbox")
    pace.moves("north", "routing", behind=True)
    monkeypatch.setattr(pacing, "MOVING_SECONDS", 0.0)
    async with asyncio.timeout(pacing.WAIT_SECONDS_MAX / 2):
        await pace.wait("north")
    assert not pace.concerns("north", ANNOUNCED)
