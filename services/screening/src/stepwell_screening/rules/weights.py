"""What an answer weighs: SDC's `weight()`, with both of its extensions and never from display text.

Order (SDC 4.0 FHIRPath supplements): the weight on the answer itself, then the one on the Questionnaire's option.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

Number = int | Decimal
OptionKey = tuple[str | None, str | None]
"""A coded option as (system, code)."""

ItemWeights = Mapping[OptionKey, Number]
"""What the options of one item weigh; `PLAIN` where the answer is its own weight."""
PLAIN: ItemWeights = MappingProxyType({})
PLAIN_TYPES = frozenset({"integer", "decimal", "boolean"})
"""Item types whose answer is its own weight: a number, or yes as 1 and no as 0."""

ITEM_WEIGHT = "http://hl7.org/fhir/StructureDefinition/itemWeight"
ORDINAL_VALUE = "http://hl7.org/fhir/StructureDefinition/ordinalValue"


def exact(value: object) -> Number | None:
    """A JSON number as int where it is whole, as Decimal otherwise; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        value = Decimal(repr(value))
    if not isinstance(value, Decimal) or not value.is_finite():
        return None
    return int(value) if value == value.to_integral_value() else value


def extension_weight(element: Mapping[str, Any]) -> Number | None:
    """The weight that an element carries itself: itemWeight, else its older name ordinalValue."""
    extensions: Sequence[Mapping[str, Any]] = element.get("extension") or ()
    for url in (ITEM_WEIGHT, ORDINAL_VALUE):
        for extension in extensions:
            if extension.get("url") == url:
                return exact(extension.get("valueDecimal"))
    return None


def option_weights(item: Mapping[str, Any]) -> dict[OptionKey, Number]:
    """The weight of each coded option of a Questionnaire item; options without weight are left out."""
    weights: dict[OptionKey, Number] = {}
    for option in item.get("answerOption", ()):
        coding = option.get("valueCoding")
        if coding is None:
            continue
        weight = extension_weight(option)
        if weight is None:
            weight = extension_weight(coding)
        if weight is not None:
            weights[coding.get("system"), coding.get("code")] = weight
    return weights


def answer_weight(answer: Mapping[str, Any], weights: ItemWeights) -> Number | None:
    """The weight of one answer of a response; None when nothing gives it a weight."""
    coding = answer.get("valueCoding")
    if coding is None:
        return plain_weight(answer) if weights is PLAIN else None
    if "extension" in coding:
        own = extension_weight(coding)
        if own is not None:
            return own
    return weights.get((coding.get("system"), coding.get("code")))


def option_weight(answer: Mapping[str, Any], weights: ItemWeights) -> Number | None:
    """The weight of what was chosen, whatever weight the sender put on the answer."""
    coding = answer.get("valueCoding")
    if coding is None:
        return plain_weight(answer) if weights is PLAIN else None
    return weights.get((coding.get("system"), coding.get("code")))


def plain_weight(answer: Mapping[str, Any]) -> Number | None:
    """The number that an answer is, yes being 1 and no 0; None for any other answer."""
    for key in ("valueInteger", "valueDecimal"):
        if key in answer:
            return exact(answer[key])
    return int(answer["valueBoolean"]) if isinstance(answer.get("valueBoolean"), bool) else None


def questionnaire_items(questionnaire: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every item of a Questionnaire, at any depth, in document order."""
    pending = list(reversed(questionnaire.get("item", ())))
    while pending:
        item = pending.pop()
        yield item
        pending.extend(reversed(item.get("item", ())))


def answered_items(items: Sequence[Mapping[str, Any]], path: str) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Every item of a response at any depth, as (linkId, item, path), in document order."""
    for index, item in enumerate(items):
        here = f"{path}.item[{index}]"
        yield item.get("linkId", ""), item, here
        if "item" in item:
            yield from answered_items(item["item"], here)
        for position, answer in enumerate(item.get("answer", ())):
            if "item" in answer:
                yield from answered_items(answer["item"], f"{here}.answer[{position}]")


def weighted_items(
    questionnaire: Mapping[str, Any],
    link_ids: Sequence[str],
    accepted: Mapping[tuple[str, OptionKey], OptionKey],
    given: Mapping[tuple[str, OptionKey], Number] | None = None,
    weightless: Collection[tuple[str, OptionKey]] = (),
) -> dict[str, ItemWeights]:
    """The option weights of the named items, with the further codes that stand for one of their options.

    `given` are weights that the scoring definition brings itself, `weightless` the options that mean "does not apply".
    Raises ValueError when an item is not in the Questionnaire, an option has no weight, or a stand-in means nothing.
    """
    known = {item["linkId"]: item for item in questionnaire_items(questionnaire)}
    weights: dict[str, ItemWeights] = {}
    for link_id in link_ids:
        if link_id not in known:
            raise ValueError(f"scored item {link_id} is not in {questionnaire.get('url')}")
        item = known[link_id]
        if item.get("type") in PLAIN_TYPES:
            weights[link_id] = PLAIN
            continue
        found = option_weights(item) | {key: weight for (of, key), weight in (given or {}).items() if of == link_id}
        unweighted = [key for key in _option_keys(item) if key not in found and (link_id, key) not in weightless]
        if not found or unweighted:
            raise ValueError(f"an option of item {link_id} has no weight in {questionnaire.get('url')}")
        for (of, key), means in accepted.items():
            if of == link_id and means in found:
                found[key] = found[means]
        weights[link_id] = found
    for link_id, key in accepted:
        if key not in weights.get(link_id, {}):
            raise ValueError(f"accepted answer {key[1]} of item {link_id} stands for no option")
    return weights


def _option_keys(item: Mapping[str, Any]) -> list[OptionKey]:
    """The coded options of an item; one that is no coding has a key that nothing weighs."""
    codings = [option.get("valueCoding", {}) for option in item.get("answerOption", ())]
    return [(coding.get("system"), coding.get("code")) for coding in codings]
