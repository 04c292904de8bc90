"""Promises of what is forgotten: what is old enough and no longer needed, of one tenant, and nothing else."""

from datetime import timedelta

from stepwell_routing.data.course import shadows_kept
from stepwell_routing.rules.shadowing import Shadow
from stepwell_routing.shadow_decisions import read_shadows, shadow_effect
from stepwell_routing.timers import EVIDENCE, REVIEW, timer_effect
from stepwell_routing.use_cases import tidying
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.support.runtime import NORTH, SOUTH, START

SAME = Shadow("tier-2", "same", False, (), ())
DAY = timedelta(days=1)


async def test_a_comparison_is_kept_for_its_time_and_then_forgotten(runtime: Runtime) -> None:
    now = runtime.clock()
    moments = [now - shadows_kept() - number * DAY for number in (3, 2, 1)] + [now - shadows_kept() + DAY, now]
    for tenant in (NORTH, SOUTH):
        effects = [
            shadow_effect(f"s{n}", "policy|1", "policy|0", "", at, "tier-2", SAME) for n, at in enumerate(moments)
        ]
        await runtime.store.commit(UnitOfWork(tenant, effects=effects))
    assert await tidying.tidy(runtime, NORTH) == 3
    for tenant, kept in ((NORTH, 2), (SOUTH, 5)):
        found = await read_shadows(runtime.database, tenant, "policy|1", START - 999 * DAY, now + DAY)
        assert sum(each.decisions for each in found) == kept
    assert await tidying.tidy(runtime, NORTH) == 0


async def test_marks_of_evidence_that_was_decided_on_are_forgotten_and_no_others(runtime: Runtime) -> None:
    now = runtime.clock()
    effects = [
        timer_effect("Condition/c1/_history/1", EVIDENCE, "Patient/p1", None),
        timer_effect("MedicationStatement/m1/_history/4", EVIDENCE, "Patient/p1", None),
        timer_effect("Condition/c1/_history/2", EVIDENCE, "Patient/p1", now),
        timer_effect("a-review", REVIEW, "Patient/p1", None),
    ]
    await runtime.store.commit(UnitOfWork(NORTH, effects=effects))
    assert await tidying.tidy(runtime, NORTH) == 2
    async with runtime.database.transaction(NORTH) as connection:
        left = [row["task_id"] for row in await connection.fetch("SELECT task_id FROM course_timer ORDER BY task_id")]
    assert left == ["Condition/c1/_history/2", "a-review"]
