"""What matching reads, in one call each: what changed of the directory, a person with their wishes, and queues."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import Database


class PersonRow(NamedTuple):
    """The copy of a Patient, the newest form about wishes and barriers, and the revision of the directory now."""

    patient: bytes | None
    form: bytes | None
    revision: int


class DirectoryEntry(NamedTuple):
    """One resource of the directory at a version; no body where it was known at that version already."""

    resource_type: str
    id: str
    version: int
    body: bytes | None


_counts = msgspec.json.Decoder(dict[str, int])


def revision_effect(changed: str) -> Effect:
    """The effect that makes every replica look at the directory again once this is committed."""
    return Effect("directory_revision", (changed,))


def person_reader(database: Database, questionnaire: str) -> Coalescer[PersonRow]:
    """Reads a person by subject key; group is (tenant,). `questionnaire` is the form's URL without its version."""

    async def fetch(group: tuple[str, ...], subjects: Sequence[str]) -> Mapping[str, PersonRow]:
        rows = await database.fetch("SELECT * FROM read_person($1, $2, $3)", group[0], subjects, f"{questionnaire}|")
        return {row["subject"]: PersonRow(row["patient"], row["form"], row["revision"]) for row in rows}

    return Coalescer(fetch)


def queue_reader(database: Database) -> Coalescer[dict[str, int]]:
    """Reads how many people wait at a place, by FHIR request priority; group is (tenant,), key the place's id."""

    async def fetch(group: tuple[str, ...], places: Sequence[str]) -> Mapping[str, dict[str, int]]:
        rows = await database.fetch("SELECT * FROM read_queues($1, $2)", group[0], places)
        return {row["place"]: _counts.decode(row["waiting"]) for row in rows}

    return Coalescer(fetch)


async def read_directory(database: Database, tenant: str, known: Sequence[str]) -> tuple[int, list[DirectoryEntry]]:
    """The directory's revision and all that is in it; `known` are entries as `Type/id/version`, which need no body."""
    first, *rows = await database.fetch("SELECT * FROM read_directory($1, $2)", tenant, known)
    return first["version"], [DirectoryEntry(*row) for row in rows]
