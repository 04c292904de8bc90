"""The codes of value sets that a Questionnaire carries with it, as options of its questions.

https://hl7.org/fhir/R4/valueset.html; only what is enumerated can be decided without a terminology server.
"""

from collections.abc import Iterator, Mapping
from typing import Any

JsonObject = Mapping[str, Any]
Options = list[JsonObject]
"""Answer options such as `{"valueCoding": {"system": .., "code": ..}}`."""


def contained_value_sets(questionnaire: JsonObject) -> dict[str, Options]:
    """The contained ValueSets by the reference that items use (`#id`), as far as their codes are enumerated."""
    found: dict[str, Options] = {}
    for resource in questionnaire.get("contained", ()):
        if resource.get("resourceType") == "ValueSet" and "id" in resource:
            options = enumerated(resource)
            if options is not None:
                found[f"#{resource['id']}"] = options
    return found


def enumerated(value_set: JsonObject) -> Options | None:
    """The codes of a ValueSet: those of its expansion, else those that its definition lists; None when it lists none.

    An expansion in parts, filters, imports, whole code systems and exclusions are not decided here.
    """
    if "expansion" in value_set:
        expansion = value_set["expansion"]
        options = [_option(each.get("system"), each) for each in _concepts(expansion) if _is_selectable(each)]
        is_whole = expansion.get("total", len(options)) <= len(options)
        return options if is_whole and options else None
    compose = value_set.get("compose", {})
    includes = compose.get("include", ())
    if not includes or compose.get("exclude") or not all(_is_list(each) for each in includes):
        return None
    return [_option(each["system"], concept) for each in includes for concept in each["concept"]]


def _is_list(include: JsonObject) -> bool:
    return "system" in include and "concept" in include and not ("filter" in include or "valueSet" in include)


def _is_selectable(concept: JsonObject) -> bool:
    return "code" in concept and not concept.get("abstract") and not concept.get("inactive")


def _concepts(node: JsonObject) -> Iterator[JsonObject]:
    """The concepts of an expansion at every level."""
    for each in node.get("contains", ()):
        yield each
        yield from _concepts(each)


def _option(system: str | None, concept: JsonObject) -> JsonObject:
    coding = {"code": concept["code"]} if system is None else {"system": system, "code": concept["code"]}
    return {"valueCoding": coding}
