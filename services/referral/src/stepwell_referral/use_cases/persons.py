"""What is known of a person whom a referral is about: their record, and what they said of wishes and barriers."""

from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.runtime import Runtime

from stepwell_referral.data import directory as parameters
from stepwell_referral.directory_tables import PersonRow, person_reader


async def person_of(runtime: Runtime, tenant: str, subject_key: str) -> PersonRow:
    """What is known of the subject of a referral (empty for nobody), and the revision of the directory now."""
    return await _people(runtime).get((tenant,), subject_key) or PersonRow(None, None, 0)


def _people(runtime: Runtime) -> Coalescer[PersonRow]:
    reader = runtime.cache.get(person_reader)
    if not isinstance(reader, Coalescer):
        reader = runtime.cache[person_reader] = person_reader(runtime.database, parameters.WISHES)
    return reader
