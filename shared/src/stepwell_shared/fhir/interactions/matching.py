"""The one resource that criteria in a URL name: for conditional update, patch and delete.

https://hl7.org/fhir/R4/http.html#cond-update
"""

from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.reach import resolved_query, stored_of
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.presentation import PARAMETERS
from stepwell_shared.fhir.registry import Interaction, ServedType
from stepwell_shared.fhir.search.query import PRESENTATION
from stepwell_shared.fhir.unit import Stored

_NO_CRITERIA = PRESENTATION | PARAMETERS


def criteria_of(request: Request) -> list[tuple[str, str]]:
    """The search parameters in the URL of a conditional interaction, in an order of their own."""
    return sorted((name, value) for name, value in request.parameters if name not in _NO_CRITERIA)


async def match_of(engine: Engine, request: Request, served_type: ServedType) -> Stored | None:
    """The resource that the criteria find, if there is one.

    Raises FhirError MULTIPLE_MATCHES when there are several, INVALID when criteria are missing or not understood:
    whoever names nothing must not change everything.
    """
    request.access.require(served_type.name, Interaction.SEARCH_TYPE)
    granted = request.access.filters(served_type.name, Interaction.SEARCH_TYPE)
    criteria = criteria_of(request)
    query = await resolved_query(engine, request, served_type, criteria, ())
    if not query.conditions:
        text = f"without an id this takes search parameters of {served_type.name} that name one resource"
        raise FhirError(Category.INVALID, text)
    query = await resolved_query(engine, request, served_type, criteria, granted)
    query.count = 1
    found = await engine.store.search(request.access.tenant, *query.page_statement())
    if len(found) > 1:
        raise FhirError(Category.MULTIPLE_MATCHES, "more than one resource matches the criteria")
    return stored_of(served_type, found[0]) if found else None
