"""Counted rows are kept true beside the requests: whoever was marked has them made anew from everything that is known.

What is made is a pure function of what is stored (rules/care_record.py), so that it is the same in whatever order
things became known, and the same as if all rows were made anew. What is so already is not written again: most scores
leave all rows as they were.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from stepwell_shared.background import poll
from stepwell_shared.database.pool import Connection
from stepwell_shared.runtime import Runtime

from stepwell_measurement.care_tables import COUNTED, Mark, fact_of, person_of
from stepwell_measurement.data.strata import age_starts
from stepwell_measurement.rules.care_record import NOBODY_KNOWN, Rows, counted_rows
from stepwell_measurement.rules.compact import points_of
from stepwell_measurement.rules.reliable_change import Score
from stepwell_measurement.use_cases.site import parameters_of

PEOPLE_AT_ONCE = 50

_SET_DAYS = """UPDATE care_person SET attended = $3
  WHERE tenant = $1 AND person = $2 AND attended IS DISTINCT FROM $3"""

Key = tuple[str, str, int]


class Counting:
    """Looks for marks. `run` is one loop of a process; several processes do no harm, each mark is settled once."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        # Which transactions had begun when a mark was first seen: those may not have seen what it stands for.
        self._first_seen: dict[Key, int] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        await poll(self._runtime, self.look, "counted rows")

    async def look(self, tenants: Sequence[str]) -> None:
        """One look at each tenant: what is marked and ripe is made anew."""
        for tenant in tenants:
            while await self._step(tenant):
                pass

    async def _step(self, tenant: str) -> bool:
        """Whether there may be more that is ripe."""
        rows = await self._runtime.database.fetch("SELECT * FROM care_marks($1, $2)", tenant, PEOPLE_AT_ONCE)
        marks = [Mark(*row) for row in rows]
        seen = {(tenant, mark.person, mark.number): mark.begun_below for mark in marks}
        others = {key: horizon for key, horizon in self._first_seen.items() if key[0] != tenant}
        known = {key: min(horizon, self._first_seen.get(key, horizon)) for key, horizon in seen.items()}
        self._first_seen = {**others, **known}
        ripe = [mark for mark in marks if known[tenant, mark.person, mark.number] <= mark.ended_below]
        await count_anew(self._runtime, tenant, {mark.person: mark.number for mark in ripe})
        return bool(ripe) and len(marks) == PEOPLE_AT_ONCE


async def count_anew(runtime: Runtime, tenant: str, marks: Mapping[str, int]) -> None:
    """Makes the counted rows of marked people, each with the number of the mark; who was marked again is left out."""
    if not marks:
        return
    people = sorted(marks)
    made = await rows_of(runtime, tenant, people)
    async with runtime.database.transaction(tenant) as connection:
        numbers = [marks[person] for person in people]
        settled = await connection.fetch("SELECT * FROM settle_care($1, $2, $3)", tenant, people, numbers)
        await _replace(connection, tenant, {row["settled"]: made[row["settled"]] for row in settled})


async def rows_of(runtime: Runtime, tenant: str, people: Sequence[str]) -> dict[str, Rows]:
    """The counted rows of these people, as what is stored now has them."""
    fetch = runtime.database.fetch
    facts = _by_person(await fetch("SELECT * FROM care_fact_of($1, $2) ORDER BY person", tenant, people))
    series = _by_person(await fetch("SELECT * FROM trajectory_of($1, $2) ORDER BY person", tenant, people))
    known = await fetch("SELECT * FROM care_person_of($1, $2)", tenant, people)
    strata = {row["person"]: person_of(row) for row in known}
    parameters = parameters_of(runtime, tenant)
    made = {}
    for person in people:
        made[person] = counted_rows(
            [fact_of(row) for row in facts.get(person, ())],
            {row["code"]: scores_in(row["series"]) for row in series.get(person, ()) if row["measures"] is not None},
            strata.get(person, NOBODY_KNOWN),
            parameters,
            age_starts(),
        )
        await asyncio.sleep(0)  # requests that came meanwhile go first
    return made


def scores_in(series: str) -> list[Score]:
    """The scores of a series as it is stored."""
    return [point.score for point in points_of(series).values()]


async def _replace(connection: Connection, tenant: str, made: Mapping[str, Rows]) -> None:
    people = sorted(made)
    days = [(tenant, person, made[person].days_attended) for person in people]
    await connection.executemany(_SET_DAYS, days)
    for table, names in COUNTED.items():
        of_people = f"FROM {table} WHERE tenant = $1 AND person = ANY($2)"
        columns = ", ".join(names)
        kept = _by_person(await connection.fetch(f"SELECT {columns} {of_people} ORDER BY person", tenant, people))
        changed = [each for each in people if {*getattr(made[each], table)} != _counted(kept.get(each, ()))]
        if changed:
            await connection.execute(f"DELETE {of_people}", tenant, changed)
        rows = [(person, *row) for person in changed for row in getattr(made[person], table)]
        if rows:
            arrays = [list(column) for column in zip(*rows, strict=True)]
            places = ", ".join(f"${place}" for place in range(2, len(arrays) + 2))
            await connection.execute(f"SELECT insert_{table}($1, {places})", tenant, *arrays)


def _counted(rows: Iterable[Any]) -> set[tuple[object, ...]]:
    """Stored rows as they are made: without the person."""
    return {tuple(row)[1:] for row in rows}


def _by_person(rows: Iterable[Any]) -> dict[str, list[Any]]:
    return {str(person): list(found) for person, found in groupby(rows, key=itemgetter("person"))}


def loops(runtime: Runtime) -> Sequence[Callable[[], Awaitable[None]]]:
    """What runs beside the requests."""
    return [Counting(runtime).run]
