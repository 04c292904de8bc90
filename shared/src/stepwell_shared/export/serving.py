"""Status and files of exports: `/{service}/exports/{export}` and `/{service}/exports/{export}/{number}`.

They are for the client that asked, with a token that still grants what the export holds; every access is on record.
https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-status-request
"""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any, Final

import orjson
import structlog

from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.caller import Caller
from stepwell_shared.canonical import instant
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS
from stepwell_shared.export import jobs
from stepwell_shared.export.asking import EXPORT, IMPERSONAL_ROLE, exporter_of
from stepwell_shared.export.exports import Exports
from stepwell_shared.export.files import lines
from stepwell_shared.export.recipe import Selection
from stepwell_shared.export.source import Source
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.outcome import WIRE, Category, FhirError, Issue
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.fhir.wire import Exchange, accepted, error_response

FHIR_NDJSON: Final = "application/fhir+ndjson"
_NDJSON_TYPES = {FHIR_NDJSON, "application/ndjson", "application/x-ndjson", "application/*", "*/*"}
STATUS, FILE, CANCEL = f"{EXPORT}-status", f"{EXPORT}-file", f"{EXPORT}-cancel"
_ADDRESS = re.compile(r"(?P<export>[A-Za-z0-9\-.]{1,64})(?:/(?P<number>\d{1,9}))?")
_FAULT = "the server failed; the request id finds the cause in its log"
# So many pages are read for files at once in one process; whoever comes then waits a moment.
READS_AT_ONCE = 4
GZIP_LEVEL = 1

Authenticate = Callable[[str | None], Awaitable[Access]]

log = structlog.get_logger("stepwell.export")


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for an export: who asks, and under which name it goes on record."""

    exchange: Exchange
    caller: Caller
    interaction: str
    export: str
    number: int | None


class ExportPages:
    """What answers below the address of exports."""

    def __init__(self, exports: Exports, authenticate: Authenticate) -> None:
        self._exports = exports
        self._authenticate = authenticate
        self._turns = asyncio.Semaphore(READS_AT_ONCE)

    async def __call__(self, exchange: Exchange) -> None:
        """Answers one request; whatever happens before the first byte of a file, the answer is FHIR."""
        visit: Visit | None = None
        try:
            access = await self._authenticate(exchange.headers.get("authorization"))
            visit = self._visit(exchange, access)
            await self._answer(visit)
        except FhirError as error:
            if exchange.is_answered:
                raise  # a file that breaks off is seen to be cut, and asked for again
            log.log(WIRE[error.category].log_level, "refused", status=error.status, interaction=EXPORT)
            await exchange.answer(error_response(await self._refused(visit, error)))
        except Exception:
            if exchange.is_answered:
                raise
            log.exception("request failed", interaction=EXPORT, request_id=exchange.request_id)
            await exchange.answer(error_response(FhirError(Category.FAULT, _FAULT)))

    def _visit(self, exchange: Exchange, access: Access) -> Visit:
        match = _ADDRESS.fullmatch(exchange.path.removeprefix(f"{self._exports.path}/"))
        if match is None:
            raise _nothing_here()
        number = match["number"]
        allowed = "GET, HEAD" if number else "DELETE, GET, HEAD"
        if exchange.method not in allowed.split(", "):
            text = f"this address takes {allowed}"
            raise FhirError(Category.METHOD_NOT_ALLOWED, text, headers={"Allow": allowed})
        interaction = FILE if number else CANCEL if exchange.method == "DELETE" else STATUS
        return Visit(exchange, exporter_of(access), interaction, match["export"], int(number) if number else None)

    async def _answer(self, visit: Visit) -> None:
        job = await self._job(visit)
        if visit.number is not None:
            await self._file(visit, job, visit.number)
        elif visit.interaction == CANCEL:
            await self._keep(visit, 202, None)
            await jobs.remove(self._exports.database, visit.caller.tenant, job.id)
            await visit.exchange.answer(Response(202))
        else:
            media_type = accepted(visit.exchange)
            answer = await self._status(visit.caller, job)
            await self._keep(visit, answer.status, None)
            await visit.exchange.answer(answer, "application/json" if answer.status == 200 else media_type)

    async def _job(self, visit: Visit) -> jobs.Job:
        """The export, for whoever asked for it and nobody else."""
        try:
            job = await jobs.find(self._exports.database, visit.caller.tenant, visit.export)
        except UNAVAILABLE_ERRORS as error:
            raise self._exports.unavailable() from error
        if job is None or job.client_id != visit.caller.client_id:
            raise _nothing_here()
        if job.status != jobs.PLANNING and job.expires_at <= self._exports.engine.clock():
            raise _nothing_here()
        return job

    async def _status(self, caller: Caller, job: jobs.Job) -> Response:
        if job.status == jobs.PLANNING:
            done, count = job.selection, len(job.recipe.selections)
            progress = f"{done} of {count} types looked through, {job.resources} resources found"
            return Response(202, headers={"X-Progress": progress, "Retry-After": "1"})
        if job.status == jobs.FAILED:
            raise FhirError(Category.BUSINESS_RULE, [Issue(f"the export failed: {job.reason}", "too-costly")])
        parts = await jobs.parts(self._exports.database, caller.tenant, job.id)
        expires = format_datetime(job.expires_at.replace(microsecond=0), usegmt=True)
        return Response(200, orjson.dumps(self._manifest(job, parts)), {"Expires": expires})

    def _manifest(self, job: jobs.Job, parts: list[jobs.Part]) -> dict[str, Any]:
        listed: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        for part in parts:
            selection = job.recipe.selections[part.selection]
            url = f"{self._exports.address}/{job.id}/{part.number}"
            kind = "Bundle" if selection.is_deleted else selection.resource_type
            one = {"type": kind, "url": url}
            listed[selection.is_deleted].append(one if selection.is_deleted else {**one, "count": part.resources})
        return {
            "transactionTime": instant(job.transaction_time),
            "request": job.request,
            "requiresAccessToken": True,
            "output": listed[False],
            "deleted": listed[True],
            "error": [],
        }

    async def _file(self, visit: Visit, job: jobs.Job, number: int) -> None:
        """https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-output-file-request"""
        _check_accept(visit.exchange)
        found = await jobs.parts(self._exports.database, visit.caller.tenant, job.id)
        part = next((each for each in found if each.number == number), None)
        if part is None:
            raise _nothing_here()
        selection = job.recipe.selections[part.selection]
        source = self._source(visit.caller, job, selection)
        await self._keep(visit, 200, selection.resource_type)
        pages = self._in_turn(lines(source, part.after_id, part.last_id))
        first = await anext(pages, b"")  # what goes wrong now can still be said
        headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
        body = _joined(first, pages)
        if _takes_gzip(visit.exchange):
            headers["Content-Encoding"] = "gzip"
            body = _gzipped(body)
        await visit.exchange.stream(Response(200, headers=headers), body, FHIR_NDJSON)

    def _source(self, caller: Caller, job: jobs.Job, selection: Selection) -> Source:
        """What the export holds and the token grants as well. Raises FhirError FORBIDDEN."""
        granted = tuple(caller.filters(selection.resource_type, EXPORT))
        if IMPERSONAL_ROLE in caller.roles and not job.recipe.is_impersonal:
            raise FhirError(Category.FORBIDDEN, "this export holds what is about persons")
        return Source(self._exports.engine, caller.tenant, job, selection, (granted,) if granted else ())

    async def _in_turn(self, pages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        while True:
            async with self._turns:
                page = await anext(pages, None)
            if page is None:
                return
            yield page

    async def _keep(self, visit: Visit, status: int, resource_type: str | None) -> None:
        """Puts the access on record before its answer leaves."""
        place = "" if visit.number is None else f".{visit.number}"
        row = audit_effect(
            visit.caller,
            recorded=self._exports.engine.clock(),
            interaction=visit.interaction,
            resource_type=resource_type,
            resource_id=f"{visit.export}{place}",
            request_id=visit.exchange.request_id,
            status=status,
        )
        await self._exports.engine.store.commit(UnitOfWork(visit.caller.tenant, effects=[row]))

    async def _refused(self, visit: Visit | None, error: FhirError) -> FhirError:
        """The refusal, on record where we know whom."""
        if visit is None or error.category is Category.UNAVAILABLE:
            return error
        try:
            await self._keep(visit, error.status, None)
        except FhirError as unavailable:
            return unavailable
        return error


def _nothing_here() -> FhirError:
    return FhirError(Category.NOT_FOUND, "there is no such export, or its time has come; ask for a new one")


def _check_accept(exchange: Exchange) -> None:
    given = [part.partition(";")[0].strip().lower() for part in exchange.headers.get("accept", "*/*").split(",")]
    if _NDJSON_TYPES.isdisjoint(given):
        raise FhirError(Category.NOT_ACCEPTABLE, f"a file is {FHIR_NDJSON}")


def _takes_gzip(exchange: Exchange) -> bool:
    given = [part.replace(" ", "").lower() for part in exchange.headers.get("accept-encoding", "").split(",")]
    return any(each == "gzip" or (each.startswith("gzip;q=") and each != "gzip;q=0") for each in given)


async def _joined(first: bytes, pages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for page in pages:
        yield page


async def _gzipped(pages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """RFC 1952; in a thread, for it takes as long as all the rest of a page."""
    packer = zlib.compressobj(GZIP_LEVEL, wbits=31)
    async for page in pages:
        if packed := await asyncio.to_thread(packer.compress, page):
            yield packed
    yield packer.flush()
