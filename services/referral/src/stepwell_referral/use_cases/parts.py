"""Partial referrals: a part of care that somebody else gives. The whole ends with its parts."""

from dataclasses import replace
from typing import Any

from stepwell_shared.fhir.interactions.reach import query_of, stored_of
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.runtime import Runtime

from stepwell_referral.builders import support as builders
from stepwell_referral.rules.loop import may_complete
from stepwell_referral.rules.transitions import TERMINAL
from stepwell_referral.timers import timer_effect
from stepwell_referral.use_cases.progress import Progress, content

Resource = dict[str, Any]


async def open_parts(runtime: Runtime, tenant: str, whole_id: str) -> list[tuple[Stored, Resource]]:
    """The parts of a whole that have not ended."""
    served_type = runtime.engine.registry.types["Task"]
    query = query_of(runtime.engine, served_type, [("part-of", f"Task/{whole_id}")], (), strict=True)
    rows = await runtime.engine.store.search(tenant, *query.page_statement())
    found = [stored_of(served_type, row) for row in rows]
    parts = [(each, content(each)) for each in found]
    return [(each, task) for each, task in parts if builders.part_code(task) and task["status"] not in TERMINAL]


async def cancel_parts(progress: Progress) -> None:
    """The whole has ended without its parts: none of them is left open."""
    for stored, part in await open_parts(progress.runtime, progress.tenant, progress.stored.id):
        reason = "The referral that this was a part of has ended."
        cancelled = builders.closed_task(part, "cancelled", at=progress.now, reason=reason)
        progress.announce(progress.put(cancelled, previous=stored), cancelled)
        progress.unit.effects.append(timer_effect(stored.id, "cancelled", None))


async def is_last_part(progress: Progress) -> bool:
    """Whether the whole of this part waits for nothing else."""
    whole = await _whole(progress)
    if whole is None or not builders.waits_for_parts_only(whole[1]) or whole[1]["status"] != "in-progress":
        return False
    parts = await open_parts(progress.runtime, progress.tenant, whole[0].id)
    return may_complete(sum(stored.id != progress.stored.id for stored, _ in parts))


async def complete_whole(progress: Progress) -> Progress | None:
    """The last part has ended: what its owner has left to its parts is complete, and whoever asked hears of it.

    The version of the whole that was added.
    """
    whole = await _whole(progress)
    if whole is None:
        return None
    completed = builders.closed_task(whole[1], "completed", at=progress.now)
    stored = progress.put(completed, previous=whole[0])
    progress.announce(stored, completed)
    return replace(progress, before=whole[1], task=completed, stored=stored)


async def _whole(progress: Progress) -> tuple[Stored, Resource] | None:
    id_ = builders.whole_of(progress.task)
    return None if id_ is None else await progress.read("Task", id_)
