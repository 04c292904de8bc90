"""Resources that come along with the matches of a search: `_include` and `_revinclude`, with `:iterate`.

https://hl7.org/fhir/R4/search.html section 3.1.1.5.4
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from stepwell_shared.fhir import values
from stepwell_shared.fhir.indexing import Localise
from stepwell_shared.fhir.parameters import SearchParameter
from stepwell_shared.fhir.registry import Interaction, Registry, ServedType
from stepwell_shared.fhir.search.canonicals import followed, is_canonical, is_target, meant, says
from stepwell_shared.fhir.search.terms import escape, refused, too_costly
from stepwell_shared.fhir.unit import Stored

INCLUDES_MAX = 20
INCLUDED_MAX = 1000
ROUNDS_MAX = 5

# Resources of a type by the value of one parameter, within what the caller may see: (type, parameter, value) -> found.
Find = Callable[[str, str, str], Awaitable[list[Stored]]]


@dataclass(frozen=True)
class Include:
    """One `Source:parameter:Target`: the references to follow, each with the type that has it; without a target any."""

    follows: tuple[tuple[str, SearchParameter], ...]
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
        parameter = "*"
    everything = [each for each in registry if each.view is None]
    sources = everything if text == "*" else [each for each in registry if each.name == source]
    follows = tuple(
        (each.name, reference)
        for each in sources
        for reference in followed(each, registry)
        if parameter in {"*", reference.name}
    )
    if not follows and parameter != "*":
        raise refused(plain, "takes Type:parameter or Type:parameter:Target of a reference that is searched by here")
    if target and not any(not each.targets or target in each.targets for _, each in follows):
        raise refused(plain, "this reference has no such target type")
    return Include(follows, target, plain == "_revinclude", bool(modifier))


def refuse_text_only(parameters: Iterable[tuple[str, str]]) -> None:
    """Raises FhirError INVALID for includes with `_summary=text`, which is about the narrative of the matches alone."""
    given = list(parameters)
    names = [name.partition(":")[0] for name, value in given if value]
    if ("_summary", "text") in given and {"_include", "_revinclude"} & set(names):
        raise refused("_summary", "text cannot be asked for with includes")


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
    canonical: dict[str, dict[str, None]] = defaultdict(dict)
    resources = [(stored, orjson.loads(stored.body or b"{}")) for stored in given]
    for include in includes:
        if include.is_reverse:
            found += await _pointing(include, resources, registry, find)
            continue
        for source, parameter in include.follows:
            for stored, resource in resources:
                if stored.resource_type == source:
                    for kind, name in _targets(include, parameter, resource, registry, localise):
                        (canonical if ":" in name else wanted)[kind][name] = None
    for kind, ids in wanted.items():
        served_type = registry.types.get(kind)
        if served_type is not None and served_type.allows(Interaction.SEARCH_TYPE):
            found += await find(kind, "_id", ",".join(ids))
    for kind, references in canonical.items():
        urls = dict.fromkeys(escape(each.partition("|")[0]) for each in references)
        found += meant(await find(kind, "url", ",".join(urls)), set(references))
    return found


def _targets(
    include: Include, parameter: SearchParameter, resource: dict[str, Any], registry: Registry, localise: Localise
) -> Iterator[tuple[str, str]]:
    """(type, id) that the references of one resource point at, or (type, canonical reference), which has a colon."""
    kinds = [each.name for each in registry if is_canonical(parameter) and is_target(each, parameter)]
    for value in parameter.extract(resource):
        address = values.reference(value, localise)
        if address is not None:
            kind, _, id_ = address.partition("|")[0].partition("/")
            if address.count("/") == 1 and include.target in {"", kind}:
                yield kind, id_
            elif ":" in address:
                yield from ((each, address) for each in kinds if include.target in {"", each})


async def _pointing(
    include: Include, given: Sequence[tuple[Stored, dict[str, Any]]], registry: Registry, find: Find
) -> list[Stored]:
    """What points at one of these, which are of the types that the reference can have."""
    found: list[Stored] = []
    for source, parameter in include.follows:
        targets = [
            (stored, resource)
            for stored, resource in given
            if include.target in {"", stored.resource_type}
            and (not parameter.targets or stored.resource_type in parameter.targets)
        ]
        if not targets:
            continue
        if not is_canonical(parameter):
            addresses = [f"{stored.resource_type}/{stored.id}" for stored, _ in targets]
            found += await find(source, parameter.name, ",".join(addresses))
            continue
        names = {(resource.get("url", ""), resource.get("version", "")) for _, resource in targets}
        urls = {escape(url) for url, _ in names if url}
        pointing = await find(source, parameter.name, ",".join(sorted(urls))) if urls else []
        found += [each for each in pointing if says(parameter, orjson.loads(each.body or b"{}"), names)]
    return found
