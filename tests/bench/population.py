"""The Observations that the engine is measured with: many tenants, every row made by the product's own row builders.

Everything follows from the number of Observations, so that who sends requests knows what is there without asking.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from stepwell_shared.database.table_functions import insert_columns
from stepwell_shared.fhir.interactions import Engine, built
from stepwell_shared.fhir.table_names import VERSION_TABLE, current_table, index_table, number_table
from stepwell_shared.installed import service_named
from stepwell_shared.schema import metadata_of

from tests.bench import content

SERVICE = "measurement"
LARGE, SMALL = "bench", "small"
OTHER_TENANTS = tuple(f"large-{number}" for number in range(1, 6))
OTHER_SHARE_PERCENT = 12
"""Of the patients, for each of the others; the one that is measured has what is left."""
SMALL_PATIENTS_MAX = 8
VISITS = content.PAGE + content.OTHERS
"""Observations of each patient; every fifth is on another code than the search asks for."""
FIRST, SPAN = datetime(2019, 1, 1, tzinfo=UTC), timedelta(days=5 * 365)
LOADED_BEFORE = datetime(2024, 6, 1, tzinfo=UTC)
"""What was stored later was stored by a bench."""

Rows = dict[str, list[tuple[object, ...]]]


def time_ordered_id(moment: datetime, name: str) -> str:
    """A UUID of version 7 as the product gives them, with the bits of a digest instead of random ones."""
    milliseconds = int(moment.timestamp() * 1000)
    digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    stamp = f"{milliseconds:012x}"
    return f"{stamp[:8]}-{stamp[8:]}-7{digest[:3]}-9{digest[3:6]}-{digest[6:18]}"


@dataclass(frozen=True)
class Population:
    """So many Observations, in the order of time: at each visit every patient of every tenant gets one."""

    observations_wanted: int

    @property
    def patients(self) -> int:
        return self.observations_wanted // VISITS

    @property
    def observations(self) -> int:
        return self.patients * VISITS

    @cached_property
    def patients_by_tenant(self) -> dict[str, range]:
        """The numbers of each tenant's patients."""
        small = min(SMALL_PATIENTS_MAX, self.patients // 10)
        each = (self.patients - small) * OTHER_SHARE_PERCENT // 100
        counts = {SMALL: small, **dict.fromkeys(OTHER_TENANTS, each)}
        counts[LARGE] = self.patients - sum(counts.values())
        found, start = {}, 0
        for tenant, count in counts.items():
            found[tenant] = range(start, start + count)
            start += count
        return found

    def patient_id(self, number: int) -> str:
        return time_ordered_id(FIRST - timedelta(days=1) + timedelta(milliseconds=number), f"patient {number}")

    def observation_id(self, number: int) -> str:
        return time_ordered_id(self._moment(number), f"observation {number}")

    def patient_ids(self, tenant: str) -> list[str]:
        """Of every patient of a tenant; neighbours in the list are none on disk."""
        return [self.patient_id(number) for number in _scattered(self.patients_by_tenant[tenant])]

    def observation_ids(self, tenant: str, most: int) -> list[str]:
        """Of Observations of a tenant, from all times."""
        patients = self.patients_by_tenant[tenant]
        visits = [self.patients * visit + patient for patient in _scattered(patients) for visit in range(VISITS)]
        return [self.observation_id(number) for number in visits[:: max(1, len(visits) // most)]]

    def patient_rows(self, engine: Engine, numbers: range) -> Rows:
        """What the product would store of these patients, by table."""
        rows: Rows = defaultdict(list)
        for number in numbers:
            resource = {**content.patient(), "id": self.patient_id(number)}
            _add(engine, rows, self._tenant(number), resource, FIRST - timedelta(days=1))
        return rows

    def observation_rows(self, engine: Engine, numbers: range) -> Rows:
        """What the product would store of these Observations, by table."""
        rows: Rows = defaultdict(list)
        for number in numbers:
            visit, patient = divmod(number, self.patients)
            code = content.GAD_7_TOTAL if visit % VISITS % 5 == 4 else content.PHQ_9_TOTAL
            moment = self._moment(number)
            resource: dict[str, Any] = content.observation(self.patient_id(patient), code)
            resource |= {"id": self.observation_id(number), "effectiveDateTime": moment.isoformat()}
            resource["valueQuantity"]["value"] = number % 28
            _add(engine, rows, self._tenant(patient), resource, moment)
        return rows

    def _moment(self, number: int) -> datetime:
        """When an Observation was made, to the millisecond."""
        milliseconds = int(SPAN.total_seconds() * 1000) * number // self.observations
        return FIRST + timedelta(milliseconds=milliseconds)

    def _tenant(self, patient: int) -> str:
        return next(tenant for tenant, numbers in self.patients_by_tenant.items() if patient in numbers)


def columns_by_table() -> dict[str, Sequence[str]]:
    """The columns that the rows of a table fill, the tenant first, by table."""
    tables = metadata_of(service_named(SERVICE)).tables
    return {name: ["tenant", *(column.name for column in insert_columns(table))] for name, table in tables.items()}


def fingerprint(engine: Engine, population: Population) -> str:
    """Changes whenever the row builders, the tables or the population would make other rows."""
    digest = hashlib.sha256(f"{population}".encode())
    sample = Population(50 * VISITS)
    for rows in (sample.patient_rows(engine, range(10)), sample.observation_rows(engine, range(100))):
        for table in sorted(filter(rows.get, rows)):
            columns = columns_by_table()[table]
            assert all(len(row) == len(columns) for row in rows[table]), f"what {table} holds is made in another way"
            digest.update(f"{table} {columns} {rows[table]}".encode())
    return digest.hexdigest()


def _add(engine: Engine, rows: Rows, tenant: str, resource: dict[str, Any], moment: datetime) -> None:
    change = built(engine, resource, moment)
    stored, type_ = change.stored, change.stored.resource_type
    version = stored.id, stored.version, stored.last_updated
    rows[current_table(type_)].append((tenant, *version, stored.body, *change.columns))
    rows[VERSION_TABLE].append((tenant, type_, *version, stored.method.value, stored.body))
    rows[index_table(type_)] += [(tenant, stored.id, *row) for row in change.rows]
    rows[number_table(type_)] += [(tenant, stored.id, *row) for row in change.numbers]


def _scattered(numbers: range) -> Iterator[int]:
    """Every number once, in an order in which neighbours are far apart."""
    count = len(numbers)
    step = next(candidate for candidate in (7919, 7907, 7901, 1) if candidate == 1 or count % candidate)
    return (numbers[number * step % count] for number in range(count))
