"""The invariants of the known profiles, as functions by key: each takes the JSON node at its place and says whether
it holds. The tests hold them against the guides' own expressions.
"""

import re
from collections.abc import Iterator

from stepwell_shared.fhir.validation.invariants.nodes import UCUM, Node, Rules, distinct, has, has_any, has_choice

_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_ANSWER_EXPRESSION = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-answerExpression"
_R5_SOURCE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-QuestionnaireResponse.source"
_DAY = len("2026-11-21")
_LINK_ID_MAX = 255


def _extended(node: Node, url: str) -> bool:
    return any(each.get("url") == url for each in node.get("extension", ()))


def _is_named_or_absent(name: Node) -> bool:
    return has_any(name, "family", "given") != _extended(name, _ABSENT)


def _says_something(observation: Node) -> bool:
    has_parts = "component" in observation or "hasMember" in observation
    return has_parts or "dataAbsentReason" in observation or has_choice(observation, "value")


def _levels(node: Node) -> Iterator[list[Node]]:
    """The items of a response level by level: those below the root, below each item and below each answer."""
    items: list[Node] = list(node.get("item", ()))
    yield items
    for item in items:
        yield from _levels(item)
        for answer in item.get("answer", ()):
            yield from _levels(answer)


def _is_answered(item: Node) -> bool:
    return any(has_choice(answer, "value") for answer in item.get("answer", ()))


RULES: Rules = {
    "cnl-1": lambda form: re.fullmatch(r"[^|# ]+", form.get("url", "-")) is not None,
    "que-15": lambda item: len(item.get("linkId", "")) <= _LINK_ID_MAX,
    "sdc-1": lambda item: (
        not (_extended(item, _ANSWER_EXPRESSION) and ("answerOption" in item or has(item, "answerValueSet")))
    ),
    "sdc-base-1": lambda option: has_any(option.get("valueCoding", {"code": ""}), "code", "display"),
    "sdc-base-2": lambda option: (
        not has(option.get("valueCoding", {}), "code") or has(option.get("valueCoding", {}), "system")
    ),
    "sdc-base-4": lambda option: has_any(
        option.get("valueReference", {"display": ""}), "reference", "display", "identifier"
    ),
    "sdc-questionnaire-version": lambda response: "|" in response.get("questionnaire", "|"),
    "sdcqr-1": lambda response: has(response, "subject"),
    "sdcqr-2": lambda response: all(
        distinct([item for item in items if _is_answered(item)], "linkId") for items in _levels(response)
    ),
    "sdcqr-3": lambda response: not (has(response, "source") and _extended(response, _R5_SOURCE)),
    "us-core-1": lambda observation: len(observation.get("effectiveDateTime", "0000-00-00")) >= _DAY,
    "us-core-2": _says_something,
    "us-core-3": lambda observation: observation.get("valueQuantity", {}).get("system", UCUM) == UCUM,
    "us-core-6": _is_named_or_absent,
}
