"""Which versions of a history granular scopes reach.

A version is shown when it matches the scopes itself and its resource still does. That is the narrower of the two
readings that SMART App Launch leaves open: what was put out of a caller's reach is out of reach with all its past, and
what came into reach does not bring along what it was before. A deletion has no content that could match.
https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from collections.abc import Iterator, Sequence

import orjson

from stepwell_shared.fhir.interactions.engine import Engine, change_of
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.search.contents import reached_statement
from stepwell_shared.fhir.search.terms import escape
from stepwell_shared.fhir.unit import Stored


async def reached(engine: Engine, request: Request, interaction: str, versions: Sequence[Stored]) -> list[Stored]:
    """Those of the versions that the caller's scopes reach, in their order."""
    shown: set[tuple[str, str, int]] = set()
    for name in {each.resource_type for each in versions}:
        of_type = [each for each in versions if each.resource_type == name]
        granted = request.access.filters(name, interaction)
        if granted:
            of_type = await _matching(engine, request, of_type, granted)
        shown.update((name, each.id, each.version) for each in of_type)
    return [each for each in versions if (each.resource_type, each.id, each.version) in shown]


async def _matching(
    engine: Engine, request: Request, versions: Sequence[Stored], granted: Sequence[str]
) -> list[Stored]:
    """Of the versions of one type those that match, of resources that still do."""
    served_type = engine.registry.types[versions[0].resource_type]
    ids = ",".join(escape(id_) for id_ in {each.id for each in versions})
    query = query_of(engine, served_type, [("_id", ids), ("_count", str(len(versions)))], granted, strict=True)
    tenant = request.access.tenant
    current = {record["id"] for record in await engine.store.search(tenant, *query.page_statement())}
    found: list[Stored] = []
    for layer in _layers([each for each in versions if each.id in current and each.body is not None]):
        changes = [change_of(engine, each, orjson.loads(each.body or b"")) for each in layer]
        now = engine.clock()
        statement = reached_statement(
            served_type, changes, granted, localise=engine.localise, now=now, registry=engine.registry
        )
        matching = {record["id"] for record in await engine.store.search(tenant, *statement)}
        found += [each for each in layer if each.id in matching]
    return found


def _layers(versions: Sequence[Stored]) -> Iterator[list[Stored]]:
    """The versions in groups that hold each resource once."""
    left = list(versions)
    while left:
        layer = {each.id: each for each in left}
        yield list(layer.values())
        left = [each for each in left if layer[each.id] is not each]
