"""A transaction: all entries or none, whatever their order, in one unit of work that is committed once.

Criteria, references and preconditions are resolved against what is stored; then everything is built and committed under
the version guards of the store. A conflict means that somebody was first: all is resolved again. New resources that
criteria name get an id that follows from the criteria, so that identical transactions at one moment meet in the
primary key, and all but one find afterwards what that one made. No lock is needed for that.
https://hl7.org/fhir/R4/http.html#trules
"""

import asyncio
import random
from collections.abc import Sequence

from stepwell_shared.fhir.bundle.attempt import Attempt
from stepwell_shared.fhir.bundle.entries import Entry
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.store import WriteConflictError

ATTEMPTS_MAX = 16
PAUSE_SECONDS_MAX = 0.05


async def transaction(engine: Engine, entries: Sequence[Entry], request: Request) -> Response:
    """Does all that the entries ask for. Raises the FhirError of the first entry that cannot be done.

    Those that met a conflict take turns, in this process and tenant, so that each meets at most what is new.
    """
    try:
        return await Attempt(engine, request, entries).run()
    except WriteConflictError:
        pass
    except FhirError as error:
        raise _of_entry(error) from None
    async with engine.turns.setdefault(request.access.tenant, asyncio.Lock()):
        for _ in range(ATTEMPTS_MAX):
            try:
                return await Attempt(engine, request, entries).run()
            except WriteConflictError:  # of another process, or of a request that came meanwhile
                await asyncio.sleep(random.random() * PAUSE_SECONDS_MAX)  # noqa: S311  no secret, only apart
            except FhirError as error:
                raise _of_entry(error) from None
    raise FhirError(Category.CONFLICT, "these resources are being changed by too many at once; try again")


def _of_entry(error: FhirError) -> FhirError:
    """A method that an entry may not use is no fault of the method of the request itself."""
    return FhirError(Category.INVALID, error.issues) if error.category is Category.METHOD_NOT_ALLOWED else error
