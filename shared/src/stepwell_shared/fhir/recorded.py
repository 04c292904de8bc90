"""Look-ups that are kept on record in the commit of their own statement; those that come together share one."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.database.functions import Effect
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.statements import recorded_read, recorded_search
from stepwell_shared.fhir.table_names import current_table
from stepwell_shared.fhir.unit import Stored

Fetch: TypeAlias = Callable[..., Awaitable[list[asyncpg.Record]]]
Rows: TypeAlias = list[asyncpg.Record]


@dataclass(slots=True, eq=False)
class RecordedRead:
    """One look-up and the values of the row that keeps it on record; no two are the same."""

    id: str
    values: tuple[object, ...]


@dataclass(slots=True, eq=False)
class RecordedSearch:
    """The values of one search and of the row that keeps it on record; no two are the same."""

    values: Sequence[str | None]
    record: tuple[object, ...]


class Recorded:
    """Reads and searches with their records. `committed` is told of each tenant and table that records went to."""

    def __init__(self, fetch: Fetch, searched: Fetch, committed: Callable[[str, frozenset[str]], None]) -> None:
        """`searched` is a fetch that ends what takes longer than one search may. Both raise FhirError."""
        self._fetch = fetch
        self._searched = searched
        self._committed = committed
        # One at a time: each is a commit, and of several at once each waits for the disk by itself.
        self._reads = Coalescer(self._read_batch, lanes=1)
        self._searches = Coalescer(self._search_batch, lanes=1)

    def read(self, tenant: str, resource_type: str, id_: str, record: Effect) -> Awaitable[Stored | None]:
        """The current version like `Store.read`; the row is kept if there is something to see."""
        return self._reads.get((tenant, resource_type, record.table), RecordedRead(id_, record.values))

    async def _read_batch(self, group: tuple[str, ...], reads: Sequence[RecordedRead]) -> dict[RecordedRead, Stored]:
        tenant, resource_type, effect_table = group
        columns = list(zip(*((each.id, *each.values) for each in reads), strict=True))
        places = ", ".join(f"${number + 2}" for number in range(len(columns)))
        function = recorded_read(current_table(resource_type), effect_table)
        records = await self._fetch(f"SELECT * FROM {function}($1, {places})", tenant, *columns)
        found = {r["id"]: Stored(resource_type, r["id"], r["version"], r["last_updated"], r["body"]) for r in records}
        if any(each.body is not None for each in found.values()):
            self._committed(tenant, frozenset({effect_table}))
        return {each: found[each.id] for each in reads if each.id in found}

    async def search(
        self,
        tenant: str,
        statement: str,
        values: Sequence[str | None],
        record: Effect,
        *,
        is_brief: bool,
        selected: str = "f.*",
    ) -> Rows:
        """Rows like those of `Store.search`, of which `selected` names the wanted columns, and the row is kept.

        Searches that are brief by their nature and differ in their values alone share a statement. Raises FhirError,
        and then nothing is kept.
        """
        group, asked = (tenant, statement, record.table, selected), RecordedSearch(values, record.values)
        if is_brief and values:
            found = await self._searches.get(group, asked)
        else:
            found = (await self._search_together(group, [asked]))[asked]
        if isinstance(found, Exception):
            raise found
        self._committed(tenant, frozenset({record.table}))
        return found or []

    async def _search_batch(
        self, group: tuple[str, ...], asked: Sequence[RecordedSearch]
    ) -> Mapping[RecordedSearch, Rows | Exception]:
        """Together, and where that fails each by itself: none fails, or is too slow, because of another."""
        try:
            return await self._search_together(group, asked)
        except Exception as error:
            if len(asked) == 1 or (isinstance(error, FhirError) and error.category is Category.UNAVAILABLE):
                raise
        return {each: await self._alone(group, each) for each in asked}

    async def _alone(self, group: tuple[str, ...], asked: RecordedSearch) -> Rows | Exception:
        try:
            return (await self._search_together(group, [asked]))[asked]
        except Exception as error:  # noqa: BLE001  whatever it was, somebody waits for the answer
            return error

    async def _search_together(
        self, group: tuple[str, ...], asked: Sequence[RecordedSearch]
    ) -> dict[RecordedSearch, Rows]:
        tenant, statement, table, selected = group
        width = len(asked[0].values)
        values = [value for each in asked for value in each.values]
        columns = list(zip(*(each.record for each in asked), strict=True))
        text = recorded_search(statement, selected, width, len(columns), table)
        found: list[Rows] = [[] for _ in asked]
        for row in await self._searched(text, tenant, values, *columns):
            if row["id"] is not None:
                found[row["place"] // width if width else 0].append(row)
        return dict(zip(asked, found, strict=True))
