"""A practice and a hub, each its own deployment, with a line between them that fails: what is referred arrives once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.support.partners import Organisation, Resource, introduce, organisations

PEOPLE = 6


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 30) -> Any:
    """The condition's answer once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.05)
    return found


async def paired(practice: Organisation, hub: Organisation) -> None:
    """The practice refers to the hub's place of tier 3."""
    await introduce(practice, hub, refers_here=True)
    await introduce(hub, practice, referred_to=True)
    await practice.ask_at("hub", f"{hub.base_url}/HealthcareService/default-tier-3")


def having(where: Organisation, count: int, status: str) -> Callable[[], Awaitable[dict[str, Resource] | None]]:
    """Whether so many referrals have this status there."""

    async def condition() -> dict[str, Resource] | None:
        found = {key: task for key, task in (await where.referrals()).items() if task["status"] == status}
        return found if len(found) >= count else None

    return condition


async def test_a_referral_goes_is_accepted_and_its_status_comes_back(tmp_path: Path) -> None:
    async with organisations(tmp_path, "practice", "hub") as (practice, hub):
        await paired(practice, hub)
        await practice.person("p0")
        assert (await practice.assign("s0", "p0")).status_code == 200
        (there,) = (await until(having(hub, 1, "requested"))).values()
        await hub.move(there, status="accepted")
        (here,) = (await until(having(practice, 1, "accepted"))).values()
        assert here["identifier"][0]["value"] == there["identifier"][0]["value"]
