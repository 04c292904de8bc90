"""Figures that only the database knows, of all tenants together: who waits, and how old the audit without a seal is."""

from datetime import UTC, datetime, timedelta

from stepwell_referral.timers import Waits, count_waits, timer_effect
from stepwell_shared.auth.audit_chain import seal
from stepwell_shared.auth.tenants import add_tenant
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime
from stepwell_shared.telling import Looked, look

from tests.shared.auth.test_audit_chain import write
from tests.support.runtime import NORTH, SOUTH

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


async def test_nobody_who_is_settled_or_has_no_promise_counts_as_one_who_waits(runtime: Runtime) -> None:
    told: dict[str, dict[str, tuple[datetime | None, bool] | None]] = {
        NORTH: {"late": (NOW - DAY, True), "long": (NOW + DAY, False), "well": (NOW + DAY, True), "none": None},
        SOUTH: {"both": (NOW - DAY, False), "no-day": (None, False)},
    }
    for tenant, tasks in told.items():
        effects = [timer_effect(task_id, "requested", NOW, told=each) for task_id, each in tasks.items()]
        await runtime.store.commit(UnitOfWork(tenant, effects=effects))
    assert await count_waits(runtime.database, [NORTH, SOUTH], NOW) == Waits(waiting=5, overdue=2, unkeepable=3)
    await runtime.store.commit(UnitOfWork(NORTH, effects=[timer_effect("late", "requested", None)]))
    assert await count_waits(runtime.database, [NORTH], NOW) == Waits(waiting=2, overdue=0, unkeepable=1)


async def test_the_audit_is_as_old_as_its_oldest_entry_without_a_seal(runtime: Runtime) -> None:
    now, looked = runtime.clock(), Looked()
    for tenant in (NORTH, SOUTH):
        await add_tenant(runtime.database, tenant, now)
    await look(runtime, looked)
    assert (looked.unsealed_seconds, looked.exports) == (0.0, 0)
    await write(runtime.database, "p1", recorded=now - timedelta(hours=2))
    await write(runtime.database, "p2", tenant=SOUTH, recorded=now - timedelta(hours=1))
    await look(runtime, looked)
    assert 7200 <= looked.unsealed_seconds < 7260
    await seal(runtime.database, [NORTH], now)
    await look(runtime, looked)
    assert 3600 <= looked.unsealed_seconds < 3660
