"""The store: gathered writes and coalesced reads over the batch functions, one tenant per call.

Concurrent units of work of one tenant share one call and one commit; a batch that fails is retried unit
by unit, so that a bad unit fails alone. Reads that arrive in one turn of the event loop share one call.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count, islice
from typing import NamedTuple

import asyncpg
import structlog

from stepwell_shared.database.coalescing import Coalescer, next_share
from stepwell_shared.database.follower import Follower
from stepwell_shared.database.functions import VERSION_CONFLICT
from stepwell_shared.database.pacing import Pacing
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database, TooSlowError
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.recorded import Recorded
from stepwell_shared.fhir.statements import in_tenant
from stepwell_shared.fhir.table_names import IDEMPOTENCY_TABLE, current_table, index_table, number_table
from stepwell_shared.fhir.unit import EVER, Change, Method, Place, Span, Stored, UnitOfWork
from stepwell_shared.telemetry.tracing import Part

UNITS_PER_BATCH_MAX = 256
SEARCH_SECONDS_MAX = 5.0
# Two replicas that change the same resources in different order deadlock: PostgreSQL stops one, nothing is written.
_ANOTHER_WAS_FIRST = (asyncpg.UniqueViolationError, asyncpg.TransactionRollbackError)
TRY_LATER = {"Retry-After": "1"}

log = structlog.get_logger("stepwell.store")


class WriteConflictError(Exception):
    """Another writer was first: the id is taken or the version has moved on. Nothing was written."""


class AlreadyAnsweredError(Exception):
    """A request with the same Idempotency-Key was committed first. Nothing was written."""


class Wanted(NamedTuple):
    """A business identifier as it stands in the index, and its place: the id that a new resource with it would take."""

    place: str
    system: str
    code: str


@dataclass(slots=True)
class Identified:
    """What is, or was, at the place, and the resources that have the identifier."""

    at_place: Stored | None = None
    having: list[Stored] = field(default_factory=list)


@dataclass(slots=True)
class _Waiting:
    unit: UnitOfWork
    done: asyncio.Future[None]


class Store:
    """Reads and writes of one service. `committed` is told of each tenant and table that effects went to."""

    def __init__(
        self,
        database: Database,
        *,
        queue_max: int = 4096,
        search_seconds_max: float = SEARCH_SECONDS_MAX,
        committed: Callable[[str, frozenset[str]], None] = lambda tenant, tables: None,
        pacing: Pacing | None = None,
        follower: Follower | None = None,
    ) -> None:
        """`pacing` lets those wait who write faster than what follows from it is done; `follower` is a standby."""
        self._database = database
        self._follower = follower
        self._pacing = pacing
        self._queue_max = queue_max
        self._search_seconds_max = search_seconds_max
        self._committed = committed
        self._waiting: dict[str, list[_Waiting]] = {}
        self._waiting_count = 0
        self._draining: dict[str, asyncio.Task[None]] = {}
        self._reads = Coalescer(self._read_batch)
        self._identified = Coalescer(self._read_identified_batch)
        self.recorded = Recorded(self.fetch, self._searched, committed)

    @property
    def writes_waiting(self) -> int:
        """Units of work that wait for the commit before theirs."""
        return self._waiting_count

    async def commit(self, unit: UnitOfWork) -> None:
        """Returns when the unit is durable.

        Raises WriteConflictError when a version guard failed, AlreadyAnsweredError when the unit keeps an answer
        under a key that has one, FhirError UNAVAILABLE when the database is
        away or the queue is full; then the outcome is unknown only if the connection broke while committing.
        """
        if not unit.changes and not unit.effects:
            return
        if self._waiting_count >= self._queue_max:
            raise FhirError(Category.UNAVAILABLE, "too many writes are waiting; try again shortly", headers=TRY_LATER)
        waiting = _Waiting(unit, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(unit.tenant, []).append(waiting)
        self._waiting_count += 1
        if unit.tenant not in self._draining:
            self._draining[unit.tenant] = asyncio.create_task(self._drain(unit.tenant))
        with Part("commit"):
            await waiting.done
        if self._pacing is not None and self._pacing.concerns(unit.tenant, unit.effects):
            await self._pacing.wait(unit.tenant)

    async def _drain(self, tenant: str) -> None:
        """Takes what queued while the last commit of this tenant ran, until nothing waits. Tenants do not wait for each
        other: a row that somebody holds stops its own tenant only."""
        last = 0
        try:
            while self._waiting.get(tenant):
                batch = self._take(tenant, last)
                last = len(batch)
                self._waiting_count -= last
                await self._write(batch)
        finally:
            del self._draining[tenant]
            if not self._waiting.get(tenant):
                self._waiting.pop(tenant, None)

    def _take(self, tenant: str, last: int) -> list[_Waiting]:
        """The next batch; two changes of one resource never share a batch."""
        most = min(UNITS_PER_BATCH_MAX, next_share(len(self._waiting[tenant]), last))
        batch: list[_Waiting] = []
        touched: set[tuple[str, str]] = set()
        left: list[_Waiting] = []
        for waiting in self._waiting[tenant]:
            keys = [(change.stored.resource_type, change.stored.id) for change in waiting.unit.changes]
            if len(batch) >= most or not touched.isdisjoint(keys):
                left.append(waiting)
            else:
                touched.update(keys)
                batch.append(waiting)
        self._waiting[tenant] = left
        return batch

    async def _write(self, batch: list[_Waiting]) -> None:
        try:
            await self._call([waiting.unit for waiting in batch])
        except Exception as error:  # noqa: BLE001  whatever it was, somebody waits for the answer
            if len(batch) > 1 and not isinstance(error, UNAVAILABLE_ERRORS):
                for waiting in batch:
                    await self._write([waiting])
                return
            for waiting in batch:
                if not waiting.done.done():
                    waiting.done.set_exception(_translated(error))
            return
        for waiting in batch:
            if not waiting.done.done():
                waiting.done.set_result(None)
        self._announce([waiting.unit for waiting in batch])

    def _announce(self, units: Sequence[UnitOfWork]) -> None:
        """Tells of what is committed; a listener that fails must not make a commit look failed."""
        try:
            self._committed(units[0].tenant, frozenset(effect.table for unit in units for effect in unit.effects))
        except Exception:
            log.exception("a listener for commits failed")

    async def _call(self, units: Sequence[UnitOfWork]) -> None:
        tenant = units[0].tenant
        rows: dict[str, list[tuple[object, ...]]] = defaultdict(list)
        for unit in units:
            for change in unit.changes:
                _collect(change, rows)
            for effect in unit.effects:
                rows[f"insert_{effect.table}"].append(effect.values)
        statement, arguments = _statement(tenant, rows)
        await self._database.fetch(statement, *arguments)

    async def read(self, tenant: str, resource_type: str, id_: str) -> Stored | None:
        """The current version, a deletion included, or None when there never was one."""
        return await self._reads.get((tenant, resource_type), id_)

    async def _read_batch(self, group: tuple[str, ...], ids: Sequence[str]) -> dict[str, Stored]:
        tenant, resource_type = group
        statement = f"SELECT id, version, last_updated, body FROM read_{current_table(resource_type)}($1, $2)"
        try:
            records = await self._database.fetch(statement, tenant, ids)
        except UNAVAILABLE_ERRORS as error:
            raise _translated(error) from error
        return {r["id"]: Stored(resource_type, r["id"], r["version"], r["last_updated"], r["body"]) for r in records}

    async def present(self, tenant: str, resource_type: str, ids: Iterable[str]) -> frozenset[str]:
        """Those of these ids under which something stands or once stood."""
        statement = (
            f"SELECT t.id FROM {current_table(resource_type)} AS t WHERE t.tenant = s.tenant AND t.id = ANY ($2)"
        )
        return frozenset(r["id"] for r in await self.fetch(in_tenant(statement), tenant, list(ids)))

    async def identified(self, tenant: str, resource_type: str, wanted: Wanted) -> Identified:
        """Looks a business identifier up, for types that are unique by it."""
        return await self._identified.get((tenant, resource_type), wanted) or Identified()

    async def _read_identified_batch(
        self, group: tuple[str, ...], wanted: Sequence[Wanted]
    ) -> dict[Wanted, Identified]:
        tenant, resource_type = group
        statement = f"SELECT * FROM identified_{current_table(resource_type)}($1, $2, $3, $4)"
        found = {each: Identified() for each in wanted}
        for r in await self.fetch(statement, tenant, *zip(*wanted, strict=True)):
            stored = Stored(resource_type, r["id"], r["version"], r["last_updated"], r["body"])
            identified = found[wanted[r["ordinal"] - 1]]
            if not r["has_identifier"]:
                identified.at_place = stored
            elif stored.body is not None:
                identified.having.append(stored)
        return found

    async def versions(
        self,
        tenant: str,
        resource_type: str,
        id_: str,
        *,
        before: int | None = None,
        version: int | None = None,
        span: Span = EVER,
        most: int,
    ) -> list[Stored]:
        """Versions of one resource, newest first."""
        records = await self.fetch(
            "SELECT * FROM read_versions($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            *(tenant, resource_type, id_, before, version, *span, most),
        )
        return [
            Stored(resource_type, r["id"], r["version"], r["last_updated"], r["body"], Method(r["method"]))
            for r in records
        ]

    async def history(
        self, tenant: str, resource_types: Sequence[str], *, after: Place | None, span: Span, most: int
    ) -> list[tuple[Place, Stored]]:
        """Versions of these types, newest first, with the place of each; `after` is where the page before ended.

        What open transactions may still put before them is not shown yet.
        """
        place = after or Place(None, None, "", "", 0)
        records = await self.fetch(
            "SELECT * FROM read_history($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            *(tenant, resource_types, *span, *place, most),
        )
        return [
            (
                Place(r["transaction"], r["last_updated"], r["resource_type"], r["id"], r["version"]),
                Stored(r["resource_type"], r["id"], r["version"], r["last_updated"], r["body"], Method(r["method"])),
            )
            for r in records
        ]

    async def search(
        self, tenant: str, statement: str, values: Sequence[str | None], *, seconds_max: float | None = None
    ) -> list[asyncpg.Record]:
        """Rows of a statement on one tenant's data that `search` built. Raises FhirError INVALID when it takes longer
        than one search may, unless it may take so long."""
        return await self._searched(in_tenant(statement), tenant, values, seconds_max=seconds_max)

    async def search_elsewhere(
        self, tenant: str, statement: str, values: Sequence[str | None], *, is_brief: bool
    ) -> list[asyncpg.Record] | None:
        """The same rows from a standby that has all that was committed; None when the primary has to be asked, as it is
        for what is brief by its nature: to ask how far the standby must be takes no less.

        For what clients look for: what is decided here rests on the primary.
        """
        if self._follower is None or is_brief:
            return None
        try:
            return await self._follower.fetch(
                in_tenant(statement), tenant, values, seconds_max=self._search_seconds_max
            )
        except TooSlowError as error:
            raise _too_costly() from error

    async def search_anywhere(
        self, tenant: str, statement: str, values: Sequence[str | None], *, is_brief: bool
    ) -> list[asyncpg.Record]:
        """The same rows from whoever has them."""
        found = await self.search_elsewhere(tenant, statement, values, is_brief=is_brief)
        return await self.search(tenant, statement, values) if found is None else found

    async def _searched(
        self, statement: str, *arguments: object, seconds_max: float | None = None
    ) -> list[asyncpg.Record]:
        limit = self._search_seconds_max if seconds_max is None else seconds_max
        try:
            return await self._database.fetch(statement, *arguments, seconds_max=limit)
        except TooSlowError as error:
            raise _too_costly() from error
        except UNAVAILABLE_ERRORS as error:
            raise _translated(error) from error

    async def fetch(self, statement: str, *arguments: object, seconds_max: float | None = None) -> list[asyncpg.Record]:
        """Rows of a function that sets the tenant itself. Raises FhirError UNAVAILABLE when the database is away, and
        TooSlowError when it takes longer than it may."""
        try:
            return await self._database.fetch(statement, *arguments, seconds_max=seconds_max)
        except UNAVAILABLE_ERRORS as error:
            raise _translated(error) from error


def _collect(change: Change, rows: dict[str, list[tuple[object, ...]]]) -> None:
    stored = change.stored
    table = current_table(stored.resource_type)
    verb = "insert" if stored.version == 1 else "update"
    rows[f"{verb}_{table}"].append(
        (stored.id, stored.version, stored.last_updated, stored.body, *change.columns, stored.method.value)
    )
    for row in change.rows:
        rows[f"insert_{index_table(stored.resource_type)}"].append((stored.id, *row))
    for number in change.numbers:
        rows[f"insert_{number_table(stored.resource_type)}"].append((stored.id, *number))


def _statement(tenant: str, rows: dict[str, list[tuple[object, ...]]]) -> tuple[str, list[object]]:
    """One SELECT that calls one function per table; updates first, so that their old index rows go first."""
    arguments: list[object] = [tenant]
    widths = []
    for function in sorted(rows, key=_update_first):
        columns = list(zip(*rows[function], strict=True))
        # unnest fills up what is too short: a column without any value need not be spelt out row by row
        arguments += [None if column.count(None) == len(column) else column for column in columns]
        widths.append((function, len(columns)))
    return _calls(*widths), arguments


@lru_cache(maxsize=1024)  # the same few tables are written again and again
def _calls(*widths: tuple[str, int]) -> str:
    """A call of each function with so many columns after the tenant."""
    places = (f"${place}" for place in count(2))
    calls = [f"{function}($1, {', '.join(islice(places, width))})" for function, width in widths]
    return f"SELECT {', '.join(calls)}"


def _update_first(function: str) -> tuple[bool, str]:
    return not function.startswith("update_"), function


def _too_costly() -> FhirError:
    text = "this search would look at too much; narrow it, for instance by patient, or sort it otherwise"
    return FhirError(Category.INVALID, [Issue(text, "too-costly")])


def database_away() -> FhirError:
    """What to answer when the database cannot be reached or has no connection to give."""
    return FhirError(Category.UNAVAILABLE, "the database is not reachable; try again shortly", headers=TRY_LATER)


def _translated(error: Exception) -> Exception:
    if isinstance(error, asyncpg.UniqueViolationError) and error.table_name == IDEMPOTENCY_TABLE:
        return AlreadyAnsweredError()
    if isinstance(error, _ANOTHER_WAS_FIRST) or getattr(error, "sqlstate", None) == VERSION_CONFLICT:
        return WriteConflictError()
    if isinstance(error, asyncpg.LockNotAvailableError):
        return FhirError(Category.UNAVAILABLE, "somebody else holds what this changes; try again", headers=TRY_LATER)
    return database_away() if isinstance(error, UNAVAILABLE_ERRORS) else error
