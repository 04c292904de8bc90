"""Resources that come along with the matches of a search: `_include` and `_revinclude`, with `:iterate`.

https://hl7.org/fhir/R4/search.html section 3.1.1.5.4
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from stepwell_shared.fhir import values
from stepwell_shared.fhir.indexing import Localise
from stepwell_shared.fhir.parameters import SearchParameter
from stepwell_shared.fhir.registry import Interaction, Registry, ServedType
from stepwell_shared.fhir.search.terms import refused, too_costly
from stepwell_shared.fhir.unit import Stored

INCLUDES_MAX = 20
INCLUDED_MAX = 1000
ROUNDS_MAX = 5

# Resources of a type by the value of one parameter, within what the caller may see: (type, parameter, value) -> found.
Find = Callable[[str, str, str], Awaitable[list[Stored]]]


@dataclass(frozen=True)
class Include:
    """One `Source:parameter:Target`; without a target any."""

    source: str
    parameters: tuple[SearchParameter, ...]
    target: str
    is_reverse: bool
    is_iterated: bool


def parse_include(served_type: ServedType, name: str, text: str, registry: Registry) -> Include:
    """Raises FhirError INVALID for what this service does not serve."""
    plain, _, modifier = name.partition(":")
    if modifier not in {"", "iterate", "recurse"}:
        raise refused(plain, "takes no modifier but iterate")
    source, _, rest = text.partition(":")
    parameter, _, target = rest.partition(":")
    if text == "*":
        source, parameter = served_type.name, "*"
    known = registry.types.get(source)
    references = {each.name: each for each in known.references} if known is not None else {}
    if parameter != "*" and parameter not in references:
        raise refused(plain, "takes Type:parameter or Type:parameter:Target of a reference that is searched by here")
    chosen = tuple(references.values()) if parameter == "*" else (references[parameter],)
    if target and not any(not each.targets or target in each.targets for each in chosen):
        raise refused(plain, "this reference has no such target type")
    return Include(source, chosen, target, plain == "_revinclude", bool(modifier))


async def included(
    includes: Sequence[Include], matches: Sequence[Stored], registry: Registry, localise: Localise, find: Find
) -> list[Stored]:
    """What comes along with the matches, each once; what is missing or out of the caller's reach is left out.

    Raises FhirError INVALID when it would be too many.
    """
    seen = {(stored.resource_type, stored.id) for stored in matches}
    along: list[Stored] = []
    newest = list(matches)
    for number in range(ROUNDS_MAX):
        followed = [include for include in includes if include.is_iterated or number == 0]
        found = await _round(followed, newest, registry, localise, find)
        newest = []
        for stored in found:
            if (stored.resource_type, stored.id) not in seen:
                seen.add((stored.resource_type, stored.id))
                newest.append(stored)
        along += newest
        if len(along) > INCLUDED_MAX:
            raise too_costly(f"more than {INCLUDED_MAX} resources would be included; ask for a smaller page")
        if not newest:
            break
    return along


async def _round(
    includes: Iterable[Include], given: Sequence[Stored], registry: Registry, localise: Localise, find: Find
) -> list[Stored]:
    found: list[Stored] = []
    wanted: dict[str, dict[str, None]] = defaultdict(dict)
    resources = [(stored, orjson.loads(stored.body or b"{}")) for stored in given]
    for include in includes:
        if include.is_reverse:
            found += await _pointing(include, given, find)
            continue
        for stored, resource in resources:
            for address in _addresses(include, stored, resource, localise):
                kind, _, id_ = address.partition("/")
                wanted[kind][id_] = None
    for kind, ids in wanted.items():
        served_type = registry.types.get(kind)
        if served_type is not None and served_type.allows(Interaction.SEARCH_TYPE):
            found += await find(kind, "_id", ",".join(ids))
    return found


def _addresses(include: Include, stored: Stored, resource: dict[str, Any], localise: Localise) -> list[str]:
    """`Type/id` of what one resource points at."""
    if stored.resource_type != include.source:
        return []
    found = [
        address
        for parameter in include.parameters
        for value in parameter.extract(resource)
        for address in values.references(value, localise)
    ]
    return [
        address
        for address in found
        if address.count("/") == 1 and (not include.target or address.startswith(f"{include.target}/"))
    ]


async def _pointing(include: Include, given: Sequence[Stored], find: Find) -> list[Stored]:
    targets = [f"{each.resource_type}/{each.id}" for each in given if include.target in {"", each.resource_type}]
    found: list[Stored] = []
    for parameter in include.parameters if targets else ():
        found += await find(include.source, parameter.name, ",".join(targets))
    return found
