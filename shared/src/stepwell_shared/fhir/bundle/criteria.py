"""Criteria in a transaction: which stored resources match, and which of those that the transaction is about to store.

https://hl7.org/fhir/R4/http.html#trules
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.interactions.reach import query_of, stored_of
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction, ServedType
from stepwell_shared.fhir.search.conditions import alternatives
from stepwell_shared.fhir.search.contents import reached_statement
from stepwell_shared.fhir.unit import Change, Stored

# Statements that one criteria may cost beyond its search: one for each new resource that it might match.
PENDING_LOOKS_MAX = 200
_PLACEHOLDERS = ("urn:uuid:", "urn:oid:")


@dataclass(frozen=True)
class Criteria:
    """Search criteria of one type, in sorted order so that two spellings mean the same place."""

    served_type: ServedType
    parameters: tuple[tuple[str, str], ...]
    text: str
    # the server's own criteria look at everything, whatever the caller may search
    is_own: bool = False


@dataclass
class Pending:
    """What the transaction is about to store, by type and id, and what it deletes."""

    changes: dict[tuple[str, str], Change] = field(default_factory=dict)
    deleted: set[tuple[str, str]] = field(default_factory=set)


def criteria_of(
    engine: Engine, request: Request, resource_type: str, text: str, at: str, *, is_own: bool = False
) -> Criteria:
    """Reads criteria and checks that the caller may search so. Raises FhirError."""
    served_type = engine.served(resource_type, Interaction.SEARCH_TYPE)
    if not is_own:
        request.access.require(resource_type, Interaction.SEARCH_TYPE)
    if not is_own and any(mark in text for mark in _PLACEHOLDERS):
        issue = Issue("criteria cannot refer to an entry of the same Bundle", "not-supported", at)
        raise FhirError(Category.INVALID, [issue])
    parameters = tuple(sorted(parse_qsl(text)))
    query = query_of(engine, served_type, parameters, (), strict=True)
    if not query.conditions:
        raise FhirError(Category.INVALID, [Issue("criteria are search parameters of the type", "value", at)])
    return Criteria(served_type, parameters, text, is_own)


async def stored_matches(
    engine: Engine, request: Request, criteria: Criteria, without: Collection[tuple[str, str]]
) -> list[Stored]:
    """At most two stored resources that match and that the caller may see, leaving out some by type and id."""
    name = criteria.served_type.name
    granted = () if criteria.is_own else request.access.filters(name, Interaction.SEARCH_TYPE)
    query = query_of(engine, criteria.served_type, criteria.parameters, granted, strict=True)
    query.count = 1 + sum(resource_type == name for resource_type, _ in without)
    records = await engine.store.search(request.access.tenant, *query.page_statement())
    found = [stored_of(criteria.served_type, record) for record in records]
    return [stored for stored in found if (name, stored.id) not in without][:2]


async def pending_matches(engine: Engine, request: Request, criteria: Criteria, pending: Pending) -> list[str]:
    """The ids of resources that are about to be stored and that match."""
    candidates = [
        change
        for (name, _), change in pending.changes.items()
        if name == criteria.served_type.name and _may_match(criteria, change)
    ]
    if len(candidates) > PENDING_LOOKS_MAX:
        text = f"these criteria could match more than {PENDING_LOOKS_MAX} entries; name an identifier"
        raise FhirError(Category.INVALID, [Issue(text, "too-costly")])
    if not candidates:
        return []
    now = candidates[0].stored.last_updated
    statement = reached_statement(criteria.served_type, candidates, [criteria.text], localise=engine.localise, now=now)
    return [record["id"] for record in await engine.store.search(request.access.tenant, *statement)]


def _may_match(criteria: Criteria, change: Change) -> bool:
    """False only for certain: the code of a token without modifier stands nowhere in the resource's text."""
    text = (change.stored.body or b"").lower()
    for name, value in criteria.parameters:
        parameter = criteria.served_type.parameters.get(name)
        if parameter is None or parameter.type != "token" or "\\" in value or b"\\" in text:
            continue
        codes = [each.rpartition("|")[2].lower().encode() for each in alternatives(value)]
        if not any(code in text for code in codes):
            return False
    return True
