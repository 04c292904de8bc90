"""`$validate-code` of ValueSet and CodeSystem, and `CodeSystem/$lookup`: is this a code, and what is it called?

https://hl7.org/fhir/R4/valueset-operation-validate-code.html,
https://hl7.org/fhir/R4/codesystem-operation-validate-code.html, https://hl7.org/fhir/R4/codesystem-operation-lookup.html
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import orjson

from stepwell_shared.fhir.code_systems import CodeSystem, own_resources
from stepwell_shared.fhir.concepts import NAMELESS, Concept, Concepts, named
from stepwell_shared.fhir.interactions.asked import asked
from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.expanding import STRING, URI, unknown_here, value_set_asked_for
from stepwell_shared.fhir.interactions.reach import with_terminology
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.search.expansion import listed_concepts, system_concepts
from stepwell_shared.fhir.search.value_sets import NONE, Coded, Terminology, UnknownCanonicalError

CODINGS_MAX = 50
Found = TypeVar("Found")
_CODE = {
    "code": ("valueCode",),
    "display": STRING,
    "displayLanguage": ("valueCode",),
    "coding": ("valueCoding",),
    "codeableConcept": ("valueCodeableConcept",),
}
_OF_VALUE_SET = {"url": URI, "valueSet": ("resource",), "valueSetVersion": STRING, "system": URI, **_CODE}
_OF_CODE_SYSTEM = {"url": URI, "version": STRING, **_CODE}
_OF_LOOKUP = {name: _CODE[name] for name in ("code", "coding", "displayLanguage")} | {"system": URI, "version": STRING}


class Asked(NamedTuple):
    """A code in question, and what it was said to be called."""

    system: str
    code: str
    display: str | None


class Verdict(NamedTuple):
    """Whether it is one, what it is called, and in plain words why not."""

    holds: bool
    display: str | None
    message: str | None = None


async def validate_in_value_set(engine: Engine, request: Request) -> Response:
    """Whether a code, Coding, or any Coding of a CodeableConcept is in a value set, and is called what it says."""
    given = asked(request, _OF_VALUE_SET)
    reference, terminology = value_set_asked_for(request, given)
    codings = _codings(given, str(given.get("system", "")))

    def work(known: Terminology) -> list[Verdict]:
        return _any_in_value_set(known, reference, codings)

    return _verdict(await _answered(engine, request, work, terminology), codings)


async def validate_in_code_system(engine: Engine, request: Request) -> Response:
    """Whether a code is one of a code system, and is called what it says."""
    given = asked(request, _OF_CODE_SYSTEM)
    url = await _system_url(engine, request, given, "url")
    codings = _codings(given, url)

    def work(known: Terminology) -> list[Verdict]:
        systems = [_system_with(known, url, coding.code, given) for coding in codings]
        return [_in_system(known, system, coding) for system, coding in zip(systems, codings, strict=True)]

    return _verdict(await _answered(engine, request, work), codings)


async def lookup(engine: Engine, request: Request) -> Response:
    """What a code means: its names, its definition, and the codes right above it. 404 for what is no code of it."""
    given = asked(request, _OF_LOOKUP)
    (coding,) = _codings(given, str(given.get("system", "")))
    if not coding.system:
        raise _refused("say which code system this is a code of: system, or coding", "required")

    def work(known: Terminology) -> tuple[CodeSystem, Concept]:
        system = _system_with(known, coding.system, coding.code, given)
        return system, system_concepts(known, coding.system).get(coding.code, NAMELESS)

    system, concept = await _answered(engine, request, work)
    if coding.code not in system.parents:
        raise FhirError(Category.NOT_FOUND, [Issue("this is no code of that code system", "not-found")])
    return Response(200, orjson.dumps(_found(system, coding.code, concept, str(given.get("displayLanguage", "")))))


async def _answered(
    engine: Engine, request: Request, work: Callable[[Terminology], Found], terminology: Terminology | None = None
) -> Found:
    try:
        return await with_terminology(engine, request, work, terminology or Terminology())
    except UnknownCanonicalError as unknown:
        raise unknown_here(unknown) from unknown


async def _system_url(engine: Engine, request: Request, given: Mapping[str, Any], name: str) -> str:
    """The URL of the code system in question: given, of the one at `[id]`, or of the coding."""
    if request.id:
        stored = await engine.store.read(request.access.tenant, "CodeSystem", request.id)
        resource = orjson.loads(stored.body) if stored is not None and stored.body else {}
        if "url" not in resource or name in given:
            raise _refused("the code system is the one at this address, and it needs a url", "invalid")
        return str(resource["url"])
    url = given.get(name) or given.get("coding", {}).get("system")
    if not url:
        raise _refused(f"say which code system is meant: {name}, or the system of coding", "required")
    return str(url)


def _codings(given: Mapping[str, Any], system: str) -> list[Asked]:
    """The codes in question: exactly one of code, coding and codeableConcept is given. Raises FhirError INVALID."""
    if sum(name in given for name in ("code", "coding", "codeableConcept")) != 1:
        raise _refused("give one of code, coding and codeableConcept", "required")
    if "code" in given:
        return [Asked(system, str(given["code"]), given.get("display"))]
    codings = [given["coding"]] if "coding" in given else given["codeableConcept"].get("coding", [])
    if not isinstance(codings, list) or not all(isinstance(each, dict) and "code" in each for each in codings):
        raise _refused("a coding has a code", "value")
    if not 0 < len(codings) <= CODINGS_MAX:
        raise _refused(f"a concept has 1 to {CODINGS_MAX} codings", "value")
    return [Asked(each.get("system", system), each["code"], each.get("display")) for each in codings]


def _any_in_value_set(known: Terminology, reference: str, codings: Sequence[Asked]) -> list[Verdict]:
    """One verdict for each coding. Raises UnknownCanonicalError when none holds and one cannot be decided."""
    codes, listed = known.value_set(reference), listed_concepts(known, reference)
    verdicts: list[Verdict] = []
    undecided: UnknownCanonicalError | None = None
    for asked_for in codings:
        try:
            verdicts.append(_in_value_set(known, codes, listed, asked_for))
        except UnknownCanonicalError as unknown:
            undecided = unknown
            verdicts.append(Verdict(holds=False, display=None))
    if undecided is not None and not any(each.holds for each in verdicts):
        raise undecided
    return verdicts


def _in_value_set(known: Terminology, codes: Coded, listed: Mapping[str, Concepts], asked_for: Asked) -> Verdict:
    systems = [asked_for.system] if asked_for.system else [each for each in codes if _holds(codes, each, asked_for)]
    if len(systems) != 1:
        text = "no code system was named, and none or several of the value set have this code"
        return Verdict(holds=False, display=None, message=text)
    (system,) = systems
    found = codes.get(system, NONE)
    if found.is_all_but and asked_for.code not in found.listed:
        raise UnknownCanonicalError("CodeSystem", system)
    if not _holds(codes, system, asked_for):
        return Verdict(holds=False, display=None, message="this code is not in the value set")
    concept = listed.get(system, {}).get(asked_for.code, NAMELESS)
    defined = system_concepts(known, system).get(asked_for.code, NAMELESS)
    return _called([concept, defined], asked_for)


def _holds(codes: Coded, system: str, asked_for: Asked) -> bool:
    found = codes.get(system, NONE)
    return not found.is_all_but and asked_for.code in found.listed


def _in_system(known: Terminology, system: CodeSystem, asked_for: Asked) -> Verdict:
    if asked_for.system not in ("", system.url):
        return Verdict(holds=False, display=None, message="this coding is of another code system")
    if asked_for.code not in system.parents:
        return Verdict(holds=False, display=None, message="this is no code of the code system")
    return _called([system_concepts(known, system.url).get(asked_for.code, NAMELESS)], asked_for)


def _called(concepts: Sequence[Concept], asked_for: Asked) -> Verdict:
    """A code that is one, but may have been given another name than it has; names are compared whatever their case."""
    display = next((each.display for each in concepts if each.display is not None), None)
    names = {name.casefold() for each in concepts for name in each.names}
    if asked_for.display is not None and names and str(asked_for.display).casefold() not in names:
        return Verdict(holds=False, display=display, message="the code is right, its display is another")
    return Verdict(holds=True, display=display)


def _system_with(known: Terminology, url: str, code: str, given: Mapping[str, Any]) -> CodeSystem:
    """The code system, or as much of it as is known where that holds the code.

    Raises UnknownCanonicalError for a code that may be in the part that is not known, and for another version.
    """
    try:
        system = known.code_system(url)
    except UnknownCanonicalError:
        concepts = system_concepts(known, url)
        if code not in concepts:
            raise
        own = next((each for each in own_resources("CodeSystem") if each["url"] == url), None)
        resource = own or known.fetched["CodeSystem", url]
        system = CodeSystem(url, resource.get("version", ""), True, dict.fromkeys(concepts, ()))
    if given.get("version", system.version) != system.version:
        raise UnknownCanonicalError("CodeSystem", system.url)
    return system


def _verdict(verdicts: Sequence[Verdict], codings: Sequence[Asked]) -> Response:
    """Parameters that say yes for the first coding that holds, or no for all of them."""
    index = next((place for place, each in enumerate(verdicts) if each.holds), 0)
    best, coding = verdicts[index], codings[index]
    parameters: list[dict[str, Any]] = [{"name": "result", "valueBoolean": best.holds}]
    if best.message is not None:
        parameters.append({"name": "message", "valueString": best.message})
    if best.display is not None:
        parameters.append({"name": "display", "valueString": best.display})
    if best.holds and coding.system:
        parameters.append({"name": "system", "valueUri": coding.system})
    if best.holds:
        parameters.append({"name": "code", "valueCode": coding.code})
    return Response(200, orjson.dumps({"resourceType": "Parameters", "parameter": parameters}))


def _found(system: CodeSystem, code: str, concept: Concept, language: str) -> dict[str, Any]:
    about = named("CodeSystem", system.url)
    parameters: list[dict[str, Any]] = [
        {"name": "name", "valueString": about.get("title") or about.get("name") or system.url},
        *([{"name": "version", "valueString": system.version}] if system.version else []),
        {"name": "display", "valueString": (concept.display_in(language) if language else concept.display) or code},
    ]
    for each in concept.designations:
        parts = [{"name": "language", "valueCode": each.language}] if each.language else []
        parameters.append({"name": "designation", "part": [*parts, {"name": "value", "valueString": each.value}]})
    stated = [("definition", "valueString", concept.definition)] if concept.definition else []
    stated += [("parent", "valueCode", parent) for parent in system.parents[code]]
    for name, key, value in stated:
        parameters.append(
            {"name": "property", "part": [{"name": "code", "valueCode": name}, {"name": "value", key: value}]}
        )
    return {"resourceType": "Parameters", "parameter": parameters}


def _refused(text: str, code: str) -> FhirError:
    return FhirError(Category.INVALID, [Issue(text, code, "Parameters.parameter")])
