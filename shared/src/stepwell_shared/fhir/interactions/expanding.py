"""`ValueSet/$expand`: the codes of a value set, found by a part of their name and given out in pages.

https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from stepwell_shared.canonical import instant
from stepwell_shared.fhir.concepts import named
from stepwell_shared.fhir.identifiers import new_id
from stepwell_shared.fhir.interactions.asked import asked, is_true, whole_number
from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.reach import with_terminology
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.search.expansion import Member, members_of
from stepwell_shared.fhir.search.value_sets import Terminology, UnknownCanonicalError

# How many codes one answer holds. Whoever wants more asks for pages.
EXPANSION_MAX = 1000
GIVEN = "#given"
URI, STRING, BOOLEAN = ("valueUri", "valueCanonical"), ("valueString",), ("valueBoolean",)
_PARAMETERS = {
    "url": URI,
    "valueSet": ("resource",),
    "valueSetVersion": STRING,
    "filter": STRING,
    "offset": ("valueInteger",),
    "count": ("valueInteger",),
    "displayLanguage": ("valueCode",),
    "includeDesignations": BOOLEAN,
    "excludeNested": BOOLEAN,
}


async def expand(engine: Engine, request: Request) -> Response:
    """The expansion of the value set at `[id]`, of that with this `url`, or of the `valueSet` that was sent.

    Raises FhirError: 404 for a value set or a code system that is not known with its content, 422 `too-costly` for
    more codes than one answer holds, 400 for what cannot be worked out.
    """
    given = asked(request, _PARAMETERS, resource="valueSet")
    given |= {name: is_true(given, name) for name in ("includeDesignations", "excludeNested")}
    reference, terminology = value_set_asked_for(request, given)

    def work(known: Terminology) -> tuple[Mapping[str, Any], list[Member]]:
        return known.value_set_resource(reference), members_of(known, reference)

    try:
        resource, members = await with_terminology(engine, request, work, terminology)
    except UnknownCanonicalError as unknown:
        raise unknown_here(unknown) from unknown
    text = str(given.get("filter", ""))
    wanted = [member for member in members if not text or member.matches(text)]
    page = _page(wanted, given)
    expansion = {
        "identifier": f"urn:uuid:{new_id()}",
        "timestamp": instant(engine.clock()),
        "total": len(wanted),
        "offset": whole_number(given, "offset") or 0,
        "parameter": [_parameter(name, given[name]) for name in ("filter", "displayLanguage") if name in given],
        "contains": [_contained(member, given) for member in page],
    }
    body = {
        "resourceType": "ValueSet",
        **_about(resource),
        "expansion": {k: v for k, v in expansion.items() if v != []},
    }
    return Response(200, orjson.dumps(body), {}, request.id)


def value_set_asked_for(request: Request, given: Mapping[str, Any]) -> tuple[str, Terminology]:
    """The reference of a value set, and what is known before anything is looked up. Raises FhirError INVALID."""
    terminology = Terminology(asks_for_content=True)
    ways = [bool(request.id), "url" in given, "valueSet" in given]
    if sum(ways) != 1:
        text = "name one value set: by url, as valueSet, or by the id in the address"
        raise FhirError(Category.INVALID, [Issue(text, "required", "Parameters.parameter")])
    if request.id:
        return f"ValueSet/{request.id}", terminology
    if "url" in given:
        version = given.get("valueSetVersion")
        return (f"{given['url']}|{version}" if version else str(given["url"])), terminology
    sent = given["valueSet"]
    if sent.get("resourceType") != "ValueSet":
        raise FhirError(Category.INVALID, [Issue("valueSet is a ValueSet resource", "value", "Parameters.parameter")])
    return GIVEN, terminology.joined("ValueSet", GIVEN, sent)


def unknown_here(unknown: UnknownCanonicalError) -> FhirError:
    """The answer to a question that nothing here can decide."""
    what = "value set" if unknown.resource_type == "ValueSet" else "code system"
    text = f"the {what} that this needs is not known to this server, or not with its content"
    return FhirError(Category.NOT_FOUND, [Issue(text, "not-found")])


def _page(wanted: Sequence[Member], given: Mapping[str, Any]) -> Sequence[Member]:
    offset, count = whole_number(given, "offset") or 0, whole_number(given, "count")
    if count is None and len(wanted) - offset > EXPANSION_MAX:
        text = f"this expansion has {len(wanted)} codes; ask for at most {EXPANSION_MAX} with count, or use filter"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "too-costly")])
    if count is not None and count > EXPANSION_MAX:
        text = f"count is at most {EXPANSION_MAX}; the rest comes with offset"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "too-costly")])
    return wanted[offset : None if count is None else offset + count]


def _contained(member: Member, given: Mapping[str, Any]) -> dict[str, Any]:
    language = str(given.get("displayLanguage", ""))
    concept = member.concept
    display = concept.display_in(language) if language else concept.display
    body: dict[str, Any] = {"system": member.system, "code": member.code}
    if concept.is_abstract:
        body["abstract"] = True
    if display is not None:
        body["display"] = display
    if concept.designations and given["includeDesignations"]:
        body["designation"] = [
            {
                **({"language": each.language} if each.language else {}),
                **({"use": each.use} if each.use else {}),
                "value": each.value,
            }
            for each in concept.designations
        ]
    return body


def _parameter(name: str, value: object) -> dict[str, Any]:
    key = "valueCode" if name == "displayLanguage" else "valueString"
    return {"name": name, key: value}


def _about(resource: Mapping[str, Any]) -> dict[str, Any]:
    """What the answer says of the value set itself; a status is required, and a set that was sent may have none."""
    url = resource.get("url", "")
    about = {"status": "active", **named("ValueSet", url), **resource}
    kept = ("id", "url", "version", "name", "title", "status", "experimental", "date", "publisher")
    return {name: about[name] for name in kept if name in about}
