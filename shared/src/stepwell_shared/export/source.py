"""What belongs to a selection of an export, read by id as it was below the export's horizon.

Whole types come straight from the history. What a search chooses comes from the current rows, which are indexed; what
was changed since is read as it was and judged by what it said then.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from stepwell_shared.database.pool import TooSlowError
from stepwell_shared.export.functions import CHANGED_SINCE
from stepwell_shared.export.jobs import Job
from stepwell_shared.export.people import PROVENANCE, about_theirs, can_be_theirs, patients_of, theirs
from stepwell_shared.export.recipe import Selection
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.interactions.engine import change_of
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import ServedType
from stepwell_shared.fhir.search.conditions import Context
from stepwell_shared.fhir.search.contents import reached_statement
from stepwell_shared.fhir.search.criteria import granted_condition
from stepwell_shared.fhir.search.terms import Values, escape
from stepwell_shared.fhir.table_names import VERSION_TABLE, current_table, index_table, number_table
from stepwell_shared.fhir.unit import Stored

PAGE_RESOURCES = 500
LAST_ID = "~"  # behind every id
STATEMENT_SECONDS_MAX = 300.0


@dataclass(frozen=True)
class Extent:
    """How many resources lie up to an id, which is the last one unless there are no more."""

    resources: int
    last_id: str

    @property
    def is_end(self) -> bool:
        return self.last_id == LAST_ID


@dataclass(frozen=True)
class Source:
    """One selection of one export, for a caller whose scopes reach `granted` beside what the export was given."""

    engine: Engine
    tenant: str
    job: Job
    selection: Selection
    granted: tuple[tuple[str, ...], ...] = ()

    @property
    def served_type(self) -> ServedType:
        return self.engine.registry.types[self.selection.resource_type]

    @property
    def _reach(self) -> list[Sequence[str]]:
        """Each is a list of searches of which one must match, by what the scopes grant."""
        return [each for each in dict.fromkeys((*self.selection.granted, *self.granted)) if each]

    @property
    def _is_plain(self) -> bool:
        """Whether nothing need be known of a resource but its type."""
        recipe, selection = self.job.recipe, self.selection
        is_anybodys = recipe.level == "system" and not (recipe.is_impersonal and can_be_theirs(self.served_type))
        return is_anybodys and not selection.filters and not self._reach

    async def extent(self, after: str, most: int) -> Extent:
        """The next resources after an id, up to so many."""
        if not self._is_plain and not self.selection.is_deleted:
            return await self._chosen_extent(after, most)
        statement = "SELECT * FROM export_extent($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        (row,) = await self._fetch(statement, *self._place(after, LAST_ID, most))
        found, end = row["resources"], row["last_id"] if row["resources"] == most else LAST_ID
        if self.selection.is_deleted and (self._reach or self.job.recipe.looks_at_people):
            found = sum([len(page) async for page in self.pages(after, end)])
        return Extent(found, end)

    async def _chosen_extent(self, after: str, most: int) -> Extent:
        """By their ids: what is changed between the two looks is in both."""
        rows = await self._search(*self._chosen(after, LAST_ID, most, "r.id"))
        end = rows[-1]["id"] if len(rows) == most else LAST_ID
        ids = {row["id"] for row in rows}
        ids.update([each.id async for each in self._changed(after, end)])
        return Extent(len(ids), end)

    async def pages(self, after: str, last: str) -> AsyncIterator[list[Stored]]:
        """The resources whose ids lie after one and up to another, in their order, some hundred at a time."""
        if self._is_plain or self.selection.is_deleted:
            async for page in self._plain(after, last):
                yield page
            return
        while True:
            what = "r.id, r.version, r.last_updated, r.body"
            rows = [self._stored(row) for row in await self._search(*self._chosen(after, last, PAGE_RESOURCES, what))]
            end = rows[-1].id if len(rows) == PAGE_RESOURCES else last
            # Looked for after the rows were read: what is changed meanwhile is in both, and said once.
            found = {each.id: each for each in rows} | {each.id: each async for each in self._changed(after, end)}
            if found:
                yield [found[id_] for id_ in sorted(found)]
            if end == last:
                return
            after = end

    async def _plain(self, after: str, last: str) -> AsyncIterator[list[Stored]]:
        statement = "SELECT * FROM export_versions($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        while True:
            found = await self._fetch(statement, *self._place(after, last, PAGE_RESOURCES))
            rows = [self._stored(row) for row in found]
            if page := await self._deleted(rows) if self.selection.is_deleted else rows:
                yield page
            if len(rows) < PAGE_RESOURCES:
                return
            after = rows[-1].id

    def _place(self, after: str, last: str, most: int) -> tuple[object, ...]:
        selection = self.selection
        changed = (selection.changed_in, selection.changed_since)
        where = (self.tenant, selection.resource_type, after, last, self.job.horizon)
        return (*where, *changed, selection.is_deleted, most)

    def _stored(self, row: Any) -> Stored:
        return Stored(self.selection.resource_type, row["id"], row["version"], row["last_updated"], row["body"])

    def _chosen(self, after: str, last: str, most: int, what: str) -> tuple[str, list[str | None]]:
        """The statement of current rows that are chosen and were not changed since, with its values."""
        found = Values()
        name = self.selection.resource_type
        horizon, low = found.add(self.job.horizon), found.place(self.selection.changed_in)
        since = found.place(self.selection.changed_since)
        wanted = CHANGED_SINCE.format(low=low, since=since, version="w")
        own = "w.tenant = s.tenant AND w.id = r.id AND w.version = r.version"
        version = (
            f"SELECT 1 FROM {VERSION_TABLE} AS w WHERE {own} AND w.resource_type = '{name}'"
            f" AND w.transaction < {horizon}::xid8 AND {wanted} OFFSET 0"
        )
        tests = [
            *("r.tenant = s.tenant", "r.body IS NOT NULL"),
            *(f"r.id > {found.add(after)}", f"r.id <= {found.add(last)}"),
            *self._conditions(found),
        ]
        source = f"{current_table(name)} AS r CROSS JOIN LATERAL ({version}) AS v"
        return f"SELECT {what} FROM {source} WHERE {' AND '.join(tests)} ORDER BY r.id LIMIT {most}", found.entries

    def _conditions(self, found: Values) -> list[str]:
        name = self.selection.resource_type
        context = Context(
            *(index_table(name), self.engine.localise, self.job.transaction_time, number_table(name)),
            is_probed=True,
            registry=self.engine.registry,
        )
        queries = [each for each in (self.selection.filters, *self._reach) if each]
        tests = [granted_condition(self.served_type, each, context, found) for each in queries]
        recipe, members = self.job.recipe, self._members
        if recipe.is_impersonal and can_be_theirs(self.served_type):
            tests.append(f"NOT {theirs(self.served_type, None, 'r', found)}")
        if recipe.level != "system":
            own = theirs(self.served_type, members, "r", found)
            if name == PROVENANCE:
                own = f"({own} OR {about_theirs(self._targets(), members, 'r', found)})"
            tests.append(own)
        return tests

    @property
    def _members(self) -> tuple[str, ...] | None:
        return self.job.recipe.members if self.job.recipe.level == "group" else None

    def _targets(self) -> list[ServedType]:
        """The types of an export whose resources a Provenance of it may be about."""
        names = {each.resource_type for each in self.job.recipe.selections} - {PROVENANCE}
        types = [self.engine.registry.types[name] for name in sorted(names)]
        return [each for each in types if can_be_theirs(each)]

    async def _changed(self, after: str, last: str) -> AsyncIterator[Stored]:
        """What was changed since the horizon and belongs to the export as it was before, by id."""
        where = (self.tenant, self.selection.resource_type, after, last, self.job.horizon)
        rows = await self._fetch("SELECT id FROM export_changed($1, $2, $3, $4, $5)", *where)
        ids = [row["id"] for row in rows]
        for start in range(0, len(ids), PAGE_RESOURCES):
            selection = self.selection
            since = (selection.changed_in, selection.changed_since)
            found = await self._as_they_were(ids[start : start + PAGE_RESOURCES], *since, living=False)
            for each in await self._matching(found):
                yield each

    async def _as_they_were(
        self, ids: Sequence[str], changed_in: str | None, changed_since: str | None, *, living: bool
    ) -> list[Stored]:
        statement = "SELECT * FROM export_as_they_were($1, $2, $3, $4, $5, $6, $7)"
        where = (self.tenant, self.selection.resource_type, list(ids), self.job.horizon)
        rows = await self._fetch(statement, *where, changed_in, changed_since, living)
        return [self._stored(row) for row in rows]

    async def _matching(self, versions: Sequence[Stored]) -> list[Stored]:
        """Those that match as they were. What scopes do not reach as it is now, they do not reach as it was either."""
        found = list(versions)
        for queries in [each for each in (self.selection.filters, *self._reach) if each]:
            found = await self._reached(found, queries)
        for granted in self._reach:
            found = await self._still_granted(found, granted)
        return [each for each in found if self._is_theirs(each)]

    async def _reached(self, versions: list[Stored], queries: Sequence[str]) -> list[Stored]:
        if not versions:
            return []
        engine, now = self.engine, self.job.transaction_time
        changes = [change_of(engine, each, orjson.loads(each.body or b"")) for each in versions]
        statement = reached_statement(
            self.served_type, changes, queries, localise=engine.localise, now=now, registry=engine.registry
        )
        ids = {row["id"] for row in await self._search(*statement)}
        return [each for each in versions if each.id in ids]

    async def _still_granted(self, versions: list[Stored], granted: Sequence[str]) -> list[Stored]:
        if not versions:
            return []
        wanted = [("_id", ",".join(escape(each.id) for each in versions))]
        query = query_of(self.engine, self.served_type, wanted, granted, strict=True)
        query.count = len(versions)
        ids = {row["id"] for row in await self._search(*query.page_statement())}
        return [each for each in versions if each.id in ids]

    async def _deleted(self, page: list[Stored]) -> list[Stored]:
        """Of what was deleted what was theirs, by what it said last; a scope finds nothing in a deletion to match."""
        if self._reach:
            return []
        if not self.job.recipe.looks_at_people or not page:
            return page
        before = await self._as_they_were([each.id for each in page], None, None, living=True)
        own = {each.id for each in before if self._is_theirs(each)}
        return [each for each in page if each.id in own]

    def _is_theirs(self, stored: Stored) -> bool:
        """Whether the export may hold it, as far as that hangs on whose it is."""
        recipe = self.job.recipe
        if not recipe.looks_at_people:
            return True
        people = patients_of(self.served_type, stored.body or b"", self.engine.localise)
        if recipe.is_impersonal and people:
            return False
        if recipe.level == "group":
            return not people.isdisjoint(recipe.members)
        return recipe.level == "system" or bool(people)

    async def _fetch(self, statement: str, *arguments: object) -> list[Any]:
        try:
            found: list[Any] = await self.engine.store.fetch(statement, *arguments, seconds_max=STATEMENT_SECONDS_MAX)
        except TooSlowError as error:
            text = "the database takes too long over one file of this export"
            raise FhirError(Category.INVALID, [Issue(text, "too-costly")]) from error
        return found

    async def _search(self, statement: str, values: Sequence[str | None]) -> list[Any]:
        found: list[Any] = await self.engine.store.search(
            self.tenant, statement, values, seconds_max=STATEMENT_SECONDS_MAX
        )
        return found
