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
PAUSE_SECONDS = 0.005
PAUSE_SECONDS_MAX = 0.25


async def transaction(engine: Engine, entries: Sequence[Entry], request: Request) -> Response:
    """Does all that the entries ask for. Raises the FhirError of the first entry that cannot be done."""
    for attempt in range(ATTEMPTS_MAX):
        try:
            return await Attempt(engine, request, entries).run()
        except FhirError as error:
            if error.category is Category.METHOD_NOT_ALLOWED:  # of an entry: the method of the request itself is right
                raise FhirError(Category.INVALID, error.issues) from None
            raise
        except WriteConflictError:
            # Many who change one resource would meet again and again if all looked at the same moment.
            await asyncio.sleep(random.random() * min(PAUSE_SECONDS * 2**attempt, PAUSE_SECONDS_MAX))  # noqa: S311  # no secret
    raise FhirError(Category.CONFLICT, "these resources are being changed by too many at once; try again")
