"""Makes exports ready: finds where each file begins and ends, a file at a time, and goes on wherever somebody stopped.

Every step is one commit guarded by the step before, so that a file is found once however many replicas try.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import asyncpg
import structlog

from stepwell_shared.database.pool import UNAVAILABLE_ERRORS
from stepwell_shared.export import jobs
from stepwell_shared.export.exports import Exports
from stepwell_shared.export.source import LAST_ID, Source
from stepwell_shared.fhir.outcome import Category, FhirError

POLL_SECONDS = 1.0
SETTLING_LOOKS, SETTLING_SECONDS = 100, 0.02
FAULT = "the server failed; its log says why"
_AWAY = (*UNAVAILABLE_ERRORS, asyncpg.PostgresError)

log = structlog.get_logger("stepwell.export")


async def keep_planning(exports: Exports, tenants: Callable[[], Awaitable[Sequence[str]]]) -> None:
    """Makes ready what is asked for and removes what has had its time, until it is cancelled."""
    while True:
        try:
            while await work(exports, await tenants()):
                continue
        except _AWAY as error:
            log.warning("exports wait for the database", reason=type(error).__name__)
        except FhirError as error:
            log.warning("exports wait", reason=error.category.value)
        await exports.woken(POLL_SECONDS)


async def work(exports: Exports, tenants: Sequence[str]) -> int:
    """Does what is due and leased to this replica; how many exports that were."""
    claimed = await jobs.claim(exports.database, tenants, exports.engine.clock())
    for tenant, id_ in claimed:
        await _go_on(exports, tenant, id_)
    return len(claimed)


async def _go_on(exports: Exports, tenant: str, id_: str) -> None:
    """Goes on with one export until it is ready, or until another replica has it."""
    job = await jobs.find(exports.database, tenant, id_)
    if job is not None and job.status != jobs.PLANNING:
        await jobs.remove(exports.database, tenant, id_)  # it is due because its time has come
        return
    if job is not None and not await _settled(exports, job):
        until = exports.engine.clock() + timedelta(seconds=jobs.RETRY_SECONDS)
        await jobs.postpone(exports.database, tenant, job, until)
        return
    while job is not None and job.status == jobs.PLANNING:
        if job.selection >= len(job.recipe.selections):
            await _finish(exports, tenant, job)
            return
        try:
            is_mine = await step(exports, tenant, job)
        except UNAVAILABLE_ERRORS:
            raise
        except FhirError as error:
            if error.category is Category.UNAVAILABLE:
                raise
            log.warning("an export failed", export=id_, reason=error.category.value)
            await _finish(exports, tenant, job, reason="; ".join(issue.diagnostics for issue in error.issues))
            return
        except Exception:  # it would fail again and again, and keep the others waiting
            log.exception("an export failed", export=id_)
            await _finish(exports, tenant, job, reason=FAULT)
            return
        job = await jobs.find(exports.database, tenant, id_) if is_mine else None


async def _settled(exports: Exports, job: jobs.Job) -> bool:
    """Waits for the transactions that the export is to show and that are still open: mostly some milliseconds."""
    for _ in range(SETTLING_LOOKS):
        if await jobs.is_settled(exports.database, job.horizon):
            return True
        await asyncio.sleep(SETTLING_SECONDS)
    return False


async def step(exports: Exports, tenant: str, job: jobs.Job) -> bool:
    """Finds one file, or that a selection has no more; False when another replica was first."""
    source = Source(exports.engine, tenant, job, job.recipe.selections[job.selection])
    extent = await source.extent(job.after_id, exports.part_resources)
    part = jobs.Part(job.place, job.selection, job.after_id, extent.last_id, extent.resources)
    following = (job.selection + 1, "") if extent.last_id == LAST_ID else (job.selection, extent.last_id)
    return await jobs.advance(
        exports.database, tenant, job, found=part if extent.resources else None, selection=following[0],
        after_id=following[1],
    )  # fmt: skip


async def _finish(exports: Exports, tenant: str, job: jobs.Job, *, reason: str = "") -> None:
    expires_at = exports.engine.clock() + exports.keep
    await jobs.finish(exports.database, tenant, job, expires_at=expires_at, reason=reason)
