"""People who were known before figures were counted: each gets the row by which they belong to a group.

An earlier release kept the copies of their Patients and counted nothing. Each process looks once at every copy; a row
that is there, made by another one or by what screening told since, stays.
"""

from collections.abc import Awaitable, Callable, Sequence

import orjson
from stepwell_shared.background import poll
from stepwell_shared.fhir.copies import version_in
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_measurement.use_cases.strata import effect_of

PEOPLE_AT_ONCE = 200

# Of so many copies in their order: up to which they go, and those whose person has no row.
_UNCOUNTED = """WITH looked_at AS (
    SELECT id, body FROM fhir_patient
    WHERE tenant = current_setting('stepwell.tenant') AND id > $1 ORDER BY id LIMIT $2)
  SELECT l.id, CASE WHEN c.person IS NULL THEN l.body END AS body FROM looked_at AS l
    LEFT JOIN care_person AS c ON c.tenant = current_setting('stepwell.tenant') AND c.person = 'Patient/' || l.id
  ORDER BY l.id"""


class Backfilling:
    """Goes once through the people of each tenant; `run` is one loop of a process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._reached: dict[str, str | None] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        await poll(self._runtime, self.look, "people known before")

    async def look(self, tenants: Sequence[str]) -> None:
        """Goes on with each tenant to its end; where it was in the end there is nothing more to do."""
        for tenant in tenants:
            while (reached := self._reached.get(tenant, "")) is not None:
                self._reached[tenant] = await self._step(tenant, reached)

    async def _step(self, tenant: str, after: str) -> str | None:
        """How far it came; None when these were the last."""
        async with self._runtime.database.transaction(tenant) as connection:
            rows = await connection.fetch(_UNCOUNTED, after, PEOPLE_AT_ONCE)
        patients = [orjson.loads(row["body"]) for row in rows if row["body"] is not None]
        if patients:
            effects = [
                effect_of(self._runtime, each, version_in(each.get("meta", {}).get("source", ""))) for each in patients
            ]
            await self._runtime.store.commit(UnitOfWork(tenant, effects=effects))
        return rows[-1]["id"] if len(rows) == PEOPLE_AT_ONCE else None


def loops(runtime: Runtime) -> Sequence[Callable[[], Awaitable[None]]]:
    """What runs beside the requests."""
    return [Backfilling(runtime).run]
