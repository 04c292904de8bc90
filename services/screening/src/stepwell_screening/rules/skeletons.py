"""A form that a site brings, against the skeleton of the instrument that it says to be.

A skeleton has everything that scoring and safety stand on: items, codes, options, weights and conditions, but no
wording. What differs is another instrument, even where the words are the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stepwell_screening.rules.answers import CORE, extension_value
from stepwell_screening.rules.expressions import SDC
from stepwell_screening.rules.finding import Finding
from stepwell_screening.rules.publication import placed_items
from stepwell_screening.rules.weights import ITEM_WEIGHT, ORDINAL_VALUE, Number, OptionKey, exact, extension_weight

JsonObject = Mapping[str, Any]
NEEDS_ATTESTATION = frozenset({"B", "C"})
"""Licence classes of which a site must say by what right it uses the wording; A is free to reproduce."""
CALCULATED = f"{SDC}calculatedExpression"


@dataclass(frozen=True, slots=True)
class SkeletonItem:
    """One question. `options` gives each its weight, None for one that counts nothing; None: the site's own options.

    `optional` options may be left out. A question that `may_descend` may count its options the other way round, as its
    form says. `minimum` and `maximum` bound a number.
    """

    link_id: str
    code: OptionKey
    kind: str
    topic: str
    options: Mapping[OptionKey, Number | None] | None
    optional: frozenset[OptionKey]
    may_descend: bool
    minimum: Number | None
    maximum: Number | None
    enable_when: tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class Skeleton:
    """One instrument without its words; its scoring definition, where it has one, has the same id.

    With `further_questions` a form may ask more than what is laid down.
    """

    id: str
    name: str
    title: str
    url: str
    version: str
    licence_class: str
    notice: str
    source: str
    recall: str
    option_order: str
    code: OptionKey
    items: tuple[SkeletonItem, ...]
    further_questions: bool

    @property
    def needs_attestation(self) -> bool:
        """Whether a site must say that it may use the wording before its form is published."""
        return self.licence_class in NEEDS_ATTESTATION


def parse_skeleton(data: Mapping[str, Any]) -> Skeleton:
    """Read a skeleton as shipped in `data/skeletons`; raises KeyError or ValueError when it does not hold together."""
    skeleton = Skeleton(
        id=data["id"],
        name=data["name"],
        title=data["title"],
        url=data["url"],
        version=data["version"],
        licence_class=data["licenceClass"],
        notice=data["notice"],
        source=data["source"],
        recall=data.get("recall", ""),
        option_order=data.get("optionOrder", ""),
        code=_key(data["code"]),
        items=tuple(_parse_item(row, data["answerLists"]) for row in data["items"]),
        further_questions=data.get("furtherQuestions", False),
    )
    if skeleton.licence_class not in {"A", *NEEDS_ATTESTATION}:
        raise ValueError(f"{skeleton.id}: the licence class is A, B or C")
    if len({item.link_id for item in skeleton.items}) != len(skeleton.items):
        raise ValueError(f"{skeleton.id}: a linkId stands twice")
    return skeleton


def _parse_item(row: Mapping[str, Any], lists: Mapping[str, Any]) -> SkeletonItem:
    options = lists[row["options"]] if row.get("options") is not None else None
    return SkeletonItem(
        link_id=row["linkId"],
        code=_key(row["code"]),
        kind=row["type"],
        topic=row.get("topic", ""),
        options=None if options is None else {_key(each): exact(each.get("weight")) for each in options},
        optional=frozenset(_key(each) for each in options or () if each.get("optional")),
        may_descend=row.get("mayDescend", False),
        minimum=exact(row.get("minimum")),
        maximum=exact(row.get("maximum")),
        enable_when=tuple(row.get("enableWhen", ())),
    )


def check_against(skeleton: Skeleton, questionnaire: JsonObject) -> list[Finding]:
    """Every difference between a structurally valid form and its skeleton, each with its place in the form."""
    placed = {item["linkId"]: (item, path) for item, path in placed_items(questionnaire)}
    asked = [item["linkId"] for item, _ in placed.values() if _is_question(item)]
    wanted = [item.link_id for item in skeleton.items]
    findings = list(_check_count(skeleton, asked, wanted))
    for item in skeleton.items:
        if item.link_id in placed:
            findings += _check_item(item, *placed[item.link_id])
        else:
            findings.append(Finding("required", f"The item {item.link_id} is missing.", "Questionnaire.item"))
    for link_id in asked:
        if link_id not in wanted and not skeleton.further_questions:
            text = f"{skeleton.name} has no item with this linkId."
            findings.append(Finding("business-rule", text, f"{placed[link_id][1]}.linkId"))
    in_order = [link_id for link_id in asked if link_id in wanted]
    for found, expected in zip(in_order, [each for each in wanted if each in in_order], strict=True):
        if found != expected:
            text = f"The items stand in the order of the instrument: {expected} is next."
            findings.append(Finding("structure", text, placed[found][1]))
            break
    return findings


def template_of(skeleton: Skeleton) -> dict[str, Any]:
    """The form that fits a skeleton, once the site has put the wording where `text` and `display` are empty."""
    return {
        "resourceType": "Questionnaire",
        "url": skeleton.url,
        "version": "",
        "title": skeleton.title,
        "status": "draft",
        "subjectType": ["Patient"],
        "copyright": skeleton.notice,
        "code": [_coding(skeleton.code)],
        "item": [_template_item(item) for item in skeleton.items],
    }


def _template_item(item: SkeletonItem) -> dict[str, Any]:
    bounds = [(f"{CORE}minValue", item.minimum), (f"{CORE}maxValue", item.maximum)]
    found = {
        "linkId": item.link_id,
        "code": [_coding(item.code)],
        "text": "",
        "type": item.kind,
        "enableWhen": list(item.enable_when),
        "extension": [{"url": url, "valueInteger": bound} for url, bound in bounds if bound is not None],
        "answerOption": [_template_option(key, weight) for key, weight in (item.options or {}).items()],
    }
    return {name: value for name, value in found.items() if value != []}


def _template_option(key: OptionKey, weight: Number | None) -> dict[str, Any]:
    option = {"valueCoding": {**_coding(key), "display": ""}}
    if weight is None:
        return option
    return {
        "extension": [{"url": ORDINAL_VALUE, "valueDecimal": weight}, {"url": ITEM_WEIGHT, "valueDecimal": weight}],
        **option,
    }


def _coding(key: OptionKey) -> dict[str, Any]:
    return {"system": key[0], "code": key[1]}


def skeleton_of(questionnaire: JsonObject, name: str) -> Skeleton:
    """The skeleton of an instrument that ships with its wording: class A, so that a site may bring a translation."""
    return Skeleton(
        id=questionnaire["id"],
        name=name,
        title=questionnaire["title"],
        url=questionnaire["url"],
        version=questionnaire["version"],
        licence_class="A",
        notice=questionnaire.get("copyright", ""),
        source=questionnaire.get("purpose", ""),
        recall="",
        option_order="",
        code=_first_key(questionnaire),
        items=tuple(_item_of(item) for item, _ in placed_items(questionnaire) if _is_question(item)),
        further_questions=False,
    )


def _item_of(item: JsonObject) -> SkeletonItem:
    options = item.get("answerOption")
    return SkeletonItem(
        link_id=item["linkId"],
        code=_first_key(item),
        kind=item["type"],
        topic="",
        options=None if options is None else _options(item),
        optional=frozenset(),
        may_descend=False,
        minimum=exact(extension_value(item, f"{CORE}minValue")),
        maximum=exact(extension_value(item, f"{CORE}maxValue")),
        enable_when=tuple(item.get("enableWhen", ())),
    )


def _check_count(skeleton: Skeleton, asked: list[str], wanted: list[str]) -> Iterator[Finding]:
    if len(asked) < len(wanted) or (len(asked) > len(wanted) and not skeleton.further_questions):
        text = f"{skeleton.name} has {len(wanted)} questions, this form has {len(asked)}."
        yield Finding("business-rule", text, "Questionnaire.item")


def _check_item(wanted: SkeletonItem, item: JsonObject, path: str) -> Iterator[Finding]:
    if item["type"] != wanted.kind:
        yield Finding("value", f"This item is of type {wanted.kind}.", f"{path}.type")
        return
    if not item.get("text", "").strip():
        yield Finding("required", "The wording of this item is for the site to supply.", f"{path}.text")
    if wanted.code not in {_key(coding) for coding in item.get("code", ())}:
        system, code = wanted.code
        yield Finding("code-invalid", f"This item has the code {system}|{code}.", f"{path}.code")
    if item.get("repeats"):
        yield Finding("value", "This item takes one answer.", f"{path}.repeats")
    if "initial" in item or any(option.get("initialSelected") for option in item.get("answerOption", ())):
        yield Finding("business-rule", "No answer of an instrument is given beforehand.", path)
    for name, bound in (("minValue", wanted.minimum), ("maxValue", wanted.maximum)):
        if bound is not None and exact(extension_value(item, f"{CORE}{name}")) != bound:
            yield Finding("value", f"The {name} of this item is {bound}.", f"{path}.extension")
    if _conditions(item.get("enableWhen", ())) != _conditions(wanted.enable_when):
        yield Finding("business-rule", "This item is asked under another condition.", f"{path}.enableWhen")
    if wanted.options is not None:
        yield from _check_options(wanted, wanted.options, item, path)


def _check_options(
    wanted: SkeletonItem, weights: Mapping[OptionKey, Number | None], item: JsonObject, path: str
) -> Iterator[Finding]:
    given = _options(item)
    descending = wanted.may_descend and given == _turned(weights)
    for index, option in enumerate(item.get("answerOption", ())):
        place, key = f"{path}.answerOption[{index}]", _key(option.get("valueCoding", {}))
        if key not in weights:
            yield Finding("code-invalid", "The instrument has no such option here.", f"{place}.value")
        elif given[key] != weights[key] and not descending:
            counts = "counts nothing" if weights[key] is None else f"weighs {weights[key]}"
            yield Finding("value", f"This option {counts} (itemWeight or ordinalValue).", f"{place}.extension")
    for key in weights:
        if key not in given and key not in wanted.optional:
            text = f"The option {key[0]}|{key[1]} is missing."
            yield Finding("required", text, f"{path}.answerOption")


def _turned(weights: Mapping[OptionKey, Number | None]) -> dict[OptionKey, Number | None]:
    numbers = [weight for weight in weights.values() if weight is not None]
    return {key: None if weight is None else min(numbers) + max(numbers) - weight for key, weight in weights.items()}


def _options(item: JsonObject) -> dict[OptionKey, Number | None]:
    found: dict[OptionKey, Number | None] = {}
    for option in item.get("answerOption", ()):
        coding = option.get("valueCoding", {})
        weight = extension_weight(option)
        found[_key(coding)] = extension_weight(coding) if weight is None else weight
    return found


def _conditions(conditions: Any) -> list[tuple[Any, ...]]:
    """What matters of conditions: question, operator and the answer without its display."""
    found = []
    for each in conditions:
        coding = each.get("answerCoding")
        rest = sorted((name, str(value)) for name, value in each.items() if name.startswith("answer"))
        answer = [("answerCoding", coding.get("system"), coding.get("code"))] if coding else rest
        found.append((each.get("question"), each.get("operator"), tuple(answer)))
    return sorted(found)


def _is_question(item: JsonObject) -> bool:
    """Whether an item is asked: no heading, and no value that the form calculates."""
    return item["type"] not in {"group", "display"} and extension_value(item, CALCULATED) is None


def _key(coding: Mapping[str, Any]) -> OptionKey:
    return coding.get("system"), coding.get("code")


def _first_key(element: JsonObject) -> OptionKey:
    return _key(next(iter(element.get("code", ())), {}))
