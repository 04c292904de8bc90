"""What the clock brings to bookings, in every replica and each thing once: holds lapse, people are reminded, and waits
are reckoned anew."""

from collections.abc import Awaitable, Callable, Sequence

import structlog
from stepwell_shared.background import DATABASE_AWAY, poll
from stepwell_shared.runtime import Runtime

from stepwell_referral.booking_tables import claim_lapsed, claim_reminders
from stepwell_referral.use_cases.appointments import send_reminder
from stepwell_referral.use_cases.renewing import work_on_paces
from stepwell_referral.use_cases.taking import end_lapsed_hold

log = structlog.get_logger("stepwell.booking")


def loops(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    """The loop of one process."""

    async def look(tenants: Sequence[str]) -> None:
        await work_on_due(runtime, tenants)

    return [lambda: poll(runtime, look, "bookings")]


async def work_on_due(runtime: Runtime, tenants: Sequence[str]) -> int:
    """Works on what is due now; how much that was. One that fails holds up no other.

    A lapsed hold is over by the clock already: this only lets its Slot and its Appointment say so.
    """
    done = 0
    for lapsed in await claim_lapsed(runtime.database, tenants, runtime.clock()):
        done += await _tried(lapsed.tenant, end_lapsed_hold(runtime, *lapsed))
    done += await work_on_paces(runtime, tenants)
    for due in await claim_reminders(runtime.database, tenants, runtime.clock()):
        done += await _tried(due.tenant, send_reminder(runtime, due))
    return done


async def _tried(tenant: str, work: Awaitable[None]) -> bool:
    try:
        await work
    except DATABASE_AWAY:
        raise
    except Exception:
        log.exception("something due could not be worked on; it is tried again", tenant=tenant)
        return False
    return True
