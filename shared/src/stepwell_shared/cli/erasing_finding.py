"""Finds what a service keeps of a person: by every version of every resource, and what leads to those.

Every version is looked at, so that what was taken out of a resource later is found as well. That reads the tenant's
whole history once: an erasure is seldom, and nothing may depend on what happens to be indexed.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from stepwell_shared.cli.erasing_rules import Fate, Sought, binaries_of, fate_of
from stepwell_shared.database.pool import Connection, Database
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.table_names import current_table, index_table

# A reference may be written with an escaped slash.
_MENTIONING = """SELECT resource_type, id, body FROM fhir_version WHERE tenant = $1 AND body IS NOT NULL
  AND (resource_type = 'Patient' AND id = $2 OR position($3::bytea in body) > 0 OR position($4::bytea in body) > 0
    OR EXISTS (SELECT FROM unnest($5::bytea[]) AS n WHERE position(n in body) > 0))"""
_VERSIONS = "SELECT body FROM fhir_version WHERE tenant = $1 AND resource_type = $2 AND id = $3 AND body IS NOT NULL"
_ROWS_AT_ONCE = 200

Key = tuple[str, str]  # type and id


@dataclass
class Found:
    """What is of the person. `steps` are the resources to erase, those that lead to others before these."""

    person: Sought
    steps: list[list[Key]] = field(default_factory=list)
    redacted: list[Key] = field(default_factory=list)

    @property
    def erased(self) -> list[Key]:
        return [key for step in self.steps for key in step]

    @property
    def references(self) -> list[str]:
        """Everything that goes, as `Type/id`, and the person by whatever name."""
        own = [f"{resource_type}/{id_}" for resource_type, id_ in self.erased]
        return [*self.person.references, *(f"{system}|{value}" for system, value in self.person.identifiers), *own]


async def find(database: Database, engine: Engine, tenant: str, patient_id: str) -> Found:
    """All that this service keeps of a Patient."""
    async with database.transaction(tenant) as connection:
        person = await _person(connection, engine, tenant, patient_id)
        fates = await _mentioning(connection, person, tenant, patient_id)
        own = [key for key, fate in fates.items() if fate is Fate.ERASED]
        found = Found(person, [own], [key for key, fate in fates.items() if fate is Fate.REDACTED])
        known = {*own, *found.redacted}
        while found.steps[0]:
            further = await _leading_to(connection, engine, tenant, found.steps[0], known)
            known.update(further)
            found.steps.insert(0, further)
    found.steps = [step for step in found.steps if step]
    return found


async def _person(connection: Connection, engine: Engine, tenant: str, patient_id: str) -> Sought:
    """The person by reference, and by every business identifier that the Patient ever had."""
    rows = await connection.fetch(_VERSIONS, tenant, "Patient", patient_id)
    pairs = {
        (each["system"], each["value"])
        for row in rows
        for each in orjson.loads(row["body"]).get("identifier", ())
        if each.get("system") and each.get("value")
    }
    return Sought({f"Patient/{patient_id}"}, pairs, engine.localise)


async def _mentioning(connection: Connection, person: Sought, tenant: str, patient_id: str) -> dict[Key, Fate]:
    """What becomes of each resource that names the person in any version."""
    plain, escaped = f"Patient/{patient_id}".encode(), f"Patient\\/{patient_id}".encode()
    values = [orjson.dumps(value) for _, value in person.identifiers]
    fates: dict[Key, Fate] = {}
    cursor = connection.cursor(_MENTIONING, tenant, patient_id, plain, escaped, values, prefetch=_ROWS_AT_ONCE)
    async for row in cursor:
        key, fate = (row["resource_type"], row["id"]), fate_of(orjson.loads(row["body"]), person)
        if fate is Fate.ERASED or (fate is Fate.REDACTED and key not in fates):
            fates[key] = fate
    return fates


async def _leading_to(
    connection: Connection, engine: Engine, tenant: str, keys: Sequence[Key], known: Collection[Key]
) -> list[Key]:
    """Resources that are about these and do not name the person: a Provenance, the content of a document."""
    references = [f"{resource_type}/{id_}" for resource_type, id_ in keys]
    sought = Sought(set(references), (), engine.localise)
    candidates = await _pointing(connection, engine, tenant, references)
    for key in keys:
        for row in await connection.fetch(_VERSIONS, tenant, *key):
            names = (each.partition("/") for each in binaries_of(orjson.loads(row["body"])))
            candidates |= {("Binary", id_) for _, _, id_ in names}
    further = []
    for key in sorted(candidates - set(known)):
        bodies = [orjson.loads(row["body"]) for row in await connection.fetch(_VERSIONS, tenant, *key)]
        if key[0] == "Binary" or _is_erased(bodies, sought):
            further += [key] if bodies else []
    return further


def _is_erased(bodies: Iterable[dict[str, Any]], sought: Sought) -> bool:
    return any(fate_of(body, sought) is Fate.ERASED for body in bodies)


async def _pointing(connection: Connection, engine: Engine, tenant: str, references: Sequence[str]) -> set[Key]:
    """What search finds by a reference to one of these."""
    found: set[Key] = set()
    for served_type in engine.registry:
        if served_type.view is not None:
            continue
        statement = f"SELECT DISTINCT id FROM {index_table(served_type.name)} WHERE tenant = $1 AND code = ANY($2)"
        found |= {(served_type.name, row["id"]) for row in await connection.fetch(statement, tenant, references)}
        columns = await connection.fetch(_TEXT_COLUMNS, current_table(served_type.name))
        if columns:
            matches = " OR ".join(f"{row['column_name']} = ANY($2)" for row in columns)
            statement = f"SELECT id FROM {current_table(served_type.name)} WHERE tenant = $1 AND ({matches})"
            found |= {(served_type.name, row["id"]) for row in await connection.fetch(statement, tenant, references)}
    return found


_TEXT_COLUMNS = """SELECT column_name FROM information_schema.columns
  WHERE table_schema = 'public' AND table_name = $1 AND data_type = 'text' AND column_name LIKE 'p\\_%'"""
