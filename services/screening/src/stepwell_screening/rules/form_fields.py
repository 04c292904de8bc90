"""What was filled into a form's fields, as the items of a QuestionnaireResponse.

A field is named after the linkId of its question. Pure HTML forms are the model: a choice sends the number of its
option, a question that takes several answers sends several fields, or lines.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from stepwell_screening.rules.answers import CORE, VALUE_KEY, answer_value, extension_value
from stepwell_screening.rules.enable_when import EnableWhen, Scope
from stepwell_screening.rules.form_copies import Copies, numbered, repeating_groups, rolled, unrolled
from stepwell_screening.rules.value_sets import contained_value_sets

JsonObject = Mapping[str, Any]
Fields = Mapping[str, Sequence[str]]
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
OTHER = "other"
OTHER_FIELD = "~other"
SCALE_STEPS_MAX = 11
# Types that a form of a person's own is not asked for.
NOT_OFFERED = frozenset({"attachment", "reference"})
_SPACES = re.compile(r"[^\S\n]+")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?")
_DATE = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,12}([.,][0-9]{1,12})?")


@dataclass(frozen=True)
class Question:
    """One item as a form shows it: `options` are the answers to choose from, by number, and `scale` a short row of
    numbers that is chosen from too."""

    item: JsonObject
    options: tuple[JsonObject, ...] = ()
    scale: range | None = None

    @property
    def link_id(self) -> str:
        return str(self.item["linkId"])

    @property
    def kind(self) -> str:
        return str(self.item["type"])

    @property
    def repeats(self) -> bool:
        return bool(self.item.get("repeats"))


@dataclass(frozen=True)
class Form:
    """A Questionnaire as its fields: the questions that people are asked, by linkId, in order."""

    questionnaire: JsonObject
    questions: Mapping[str, Question]
    conditions: Mapping[str, EnableWhen]
    # the questions of each group that may be left out as a whole, by its linkId
    optional: Mapping[str, frozenset[str]] = field(default_factory=dict)
    copies: Copies = field(default_factory=Copies)


@dataclass
class Filled:
    """What the fields say: the answered items that are asked for, which items are, and which fields make no sense."""

    items: list[dict[str, Any]] = field(default_factory=list)
    enabled: frozenset[str] = frozenset()
    malformed: list[str] = field(default_factory=list)
    answered: frozenset[str] = frozenset()

    def blank(self, form: Form) -> list[str]:
        """The questions that are asked and have no answer."""
        return [each for each in form.questions if each in self.enabled and each not in self.answered]

    def missing(self, form: Form) -> list[str]:
        """The questions that need an answer and have none; a group that may be left out is so when it is blank."""
        left_out = [below for below in form.optional.values() if below.isdisjoint(self.answered)]
        return [
            each
            for each in self.blank(form)
            if form.questions[each].item.get("required") and not any(each in below for below in left_out)
        ]


def form_of(questionnaire: JsonObject, counts: Mapping[str, int] | None = None) -> Form:
    """The form, with its repeating groups asked as often as `counts` says, by linkId, or else once.

    Raises ValueError when it asks for what a form cannot take (attachments, references, unlisted value sets)."""
    copies = Copies(counts or {})
    questionnaire = unrolled(questionnaire, copies)
    listed = _with_displays(questionnaire)
    questions: dict[str, Question] = {}
    conditions: dict[str, EnableWhen] = {}
    for item in _shown_below(questionnaire):
        if item.get("enableWhen"):
            conditions[item["linkId"]] = EnableWhen(item)
        if item["type"] not in {"group", "display"}:
            questions[item["linkId"]] = _question(item, listed)
    optional = {
        item["linkId"]: frozenset(each["linkId"] for each in _shown_below(item)) & questions.keys()
        for item in _shown_below(questionnaire)
        if item["type"] == "group" and not item.get("required")
    }
    return Form(questionnaire, questions, conditions, optional, copies)


def is_shown(item: JsonObject) -> bool:
    """Whether people are asked: not what is hidden, reckoned, or only to be read."""
    hidden = extension_value(item, f"{CORE}questionnaire-hidden")
    reckoned = any(
        each.get("url") == f"{SDC}sdc-questionnaire-calculatedExpression" for each in item.get("extension", ())
    )
    return not (hidden or reckoned or item.get("readOnly"))


def _shown_below(node: JsonObject) -> Iterator[JsonObject]:
    for item in node.get("item", ()):
        if is_shown(item):
            yield item
            yield from _shown_below(item)


def _with_displays(questionnaire: JsonObject) -> dict[str, list[JsonObject]]:
    """The contained value sets with the words of their concepts, which the checker of answers does not need."""
    found: dict[str, list[JsonObject]] = {}
    contained = {f"#{each.get('id')}": each for each in questionnaire.get("contained", ())}
    for reference, options in contained_value_sets(questionnaire).items():
        words = dict(_displays(contained[reference]))
        found[reference] = [
            {"valueCoding": {**option["valueCoding"], **words.get(option["valueCoding"]["code"], {})}}
            for option in options
        ]
    return found


def _displays(node: Any) -> Iterator[tuple[str, JsonObject]]:
    if isinstance(node, list):
        for each in node:
            yield from _displays(each)
    elif isinstance(node, Mapping):
        if "code" in node and "display" in node:
            yield node["code"], {"display": node["display"]}
        for value in node.values():
            yield from _displays(value)


def _question(item: JsonObject, listed: Mapping[str, Sequence[JsonObject]]) -> Question:
    if item["type"] in NOT_OFFERED:
        raise ValueError(f"item {item['linkId']} asks for a {item['type']}, which the form page does not take")
    bound = item.get("answerValueSet")
    if bound is not None and bound not in listed:
        raise ValueError(f"item {item['linkId']} binds an answerValueSet whose codes are not listed here")
    options = tuple(listed[bound] if bound is not None else item.get("answerOption", ()))
    least, most = (extension_value(item, f"{CORE}{name}") for name in ("minValue", "maxValue"))
    scale = None
    if item["type"] == "integer" and not options and least is not None and most is not None:
        steps = range(int(least), int(most) + 1)
        scale = steps if 1 < len(steps) <= SCALE_STEPS_MAX else None
    return Question(item, options, scale)


def filled(form: Form, fields: Fields) -> Filled:
    """Reads the fields. Answers to questions that the other answers do not ask for are left out."""
    found = Filled()
    everything = _items(form.questionnaire, form, fields, found)
    enabled: frozenset[str] = frozenset()
    for _ in range(len(form.conditions) + 2):  # each turn settles at least one condition of a chain
        kept = _asked(form, everything, enabled) if enabled else everything
        now_enabled = frozenset(_enabled(form.questionnaire, form, kept, None))
        if now_enabled == enabled:
            break
        enabled = now_enabled
    found.enabled = enabled
    asked = _asked(form, everything, enabled)
    found.answered = frozenset(_answered(asked))
    found.items = rolled(asked, form.copies)
    found.malformed = [each for each in found.malformed if each in enabled]
    return found


def fields_of(form: Form, items: Sequence[JsonObject]) -> dict[str, list[str]]:
    """The fields that these answers of a response fill: what `filled` reads back."""
    repeating = frozenset(form.copies.original(each) for each in repeating_groups(form.questionnaire))
    return _fields_of(form, numbered(items, repeating))


def _fields_of(form: Form, items: Sequence[JsonObject]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for item in items:
        question = form.questions.get(item.get("linkId", ""))
        answers = item.get("answer", ())
        if question is not None:
            for answer in answers:
                _fill(fields, question, answer)
            if question.repeats and not question.options:
                fields[question.link_id] = ["\n".join(fields.get(question.link_id, []))]
        for children in (item.get("item", ()), *(answer.get("item", ()) for answer in answers)):
            fields.update(_fields_of(form, children))
    return fields


def _fill(fields: dict[str, list[str]], question: Question, answer: JsonObject) -> None:
    present = answer_value(answer)
    if present is None:
        return
    key, value = present
    numbers = [n for n, option in enumerate(question.options) if _is_option(option, key, value)]
    if numbers:
        fields.setdefault(question.link_id, []).append(str(numbers[0]))
    elif question.options:
        fields.setdefault(question.link_id, []).append(OTHER)
        fields[question.link_id + OTHER_FIELD] = [str(value)]
    else:
        text = value.get("value") if isinstance(value, Mapping) else value
        said = str(text).lower() if isinstance(text, bool) else str(text)
        fields.setdefault(question.link_id, []).append(said)


def _is_option(option: JsonObject, key: str, value: Any) -> bool:
    offered = option.get(key)
    if isinstance(offered, Mapping) and isinstance(value, Mapping):
        return (offered.get("system"), offered.get("code")) == (value.get("system"), value.get("code"))
    return offered is not None and bool(offered == value)


def _items(node: JsonObject, form: Form, fields: Fields, found: Filled) -> list[dict[str, Any]]:
    """Every item that has an answer, in the order of the Questionnaire."""
    items = []
    for item in node.get("item", ()):
        if not is_shown(item) or item["type"] == "display":
            continue
        built: dict[str, Any] = {"linkId": item["linkId"]}
        if "text" in item:
            built["text"] = item["text"]
        below = _items(item, form, fields, found)
        if item["type"] == "group":
            if below:
                items.append({**built, "item": below})
            continue
        answers = _answers(form.questions[item["linkId"]], fields, found)
        if answers:
            if below:
                answers[0]["item"] = below
            items.append({**built, "answer": answers})
    return items


def _answers(question: Question, fields: Fields, found: Filled) -> list[dict[str, Any]]:
    """The answers of one question; what cannot be read is noted by its linkId."""
    given = [_plain(value) for value in fields.get(question.link_id, ())]
    if question.repeats and not question.options:
        given = [line.strip() for value in given for line in value.splitlines()]
    answers = []
    for value in given if question.repeats else given[:1]:
        if value:
            answer = _chosen(question, value, fields) if question.options else _typed(question, value)
            if answer is not None:
                answers.append(answer)
            elif question.link_id not in found.malformed:
                found.malformed.append(question.link_id)
    return answers


def _plain(text: str) -> str:
    """What was typed without what nobody sees: control characters, and spaces more than one."""
    return _SPACES.sub(" ", _CONTROLS.sub("", text)).strip()


def _chosen(question: Question, value: str, fields: Fields) -> dict[str, Any] | None:
    if value == OTHER and question.kind == "open-choice":
        text = _plain(next(iter(fields.get(question.link_id + OTHER_FIELD, ())), ""))
        return {"valueString": text} if text else None
    if not value.isascii() or not value.isdecimal() or len(value) > 4 or int(value) >= len(question.options):
        return None
    present = answer_value(question.options[int(value)])
    if present is None:
        return None
    key, chosen = present
    if isinstance(chosen, Mapping):
        chosen = {name: chosen[name] for name in ("system", "version", "code", "display") if name in chosen}
    return {key: chosen}


def _typed(question: Question, value: str) -> dict[str, Any] | None:
    kind = question.kind
    read: Any = None
    if kind in {"string", "text"}:
        read = value
    elif kind == "boolean":
        read = {"true": True, "false": False}.get(value)
    elif kind == "integer":
        read = int(value) if _INTEGER.fullmatch(value) else None
    elif kind in {"decimal", "quantity"}:
        read = Decimal(value.replace(",", ".")) if _DECIMAL.fullmatch(value) else None
    elif kind in {"date", "dateTime"}:
        read = value if _DATE.fullmatch(value) else None
    elif kind == "time":
        read = (value if value.count(":") == 2 else f"{value}:00") if _TIME.fullmatch(value) else None
    elif kind == "url":
        read = value if _URL.fullmatch(value) else None
    if kind == "quantity" and read is not None:
        read = {"value": read, **_unit(question.item)}
    return None if read is None else {VALUE_KEY[kind]: read}


def _unit(item: JsonObject) -> dict[str, str]:
    """The unit that the question is asked in."""
    options = [
        extension_value({"extension": [each]}, f"{CORE}questionnaire-unitOption") for each in item.get("extension", ())
    ]
    unit = extension_value(item, f"{CORE}questionnaire-unit") or next((each for each in options if each), None) or {}
    parts = {"unit": unit.get("display", unit.get("code")), "system": unit.get("system"), "code": unit.get("code")}
    return {name: value for name, value in parts.items() if value}


def _asked(form: Form, items: Sequence[JsonObject], enabled: frozenset[str]) -> list[dict[str, Any]]:
    """The items without those that are not asked for, nor what stands below them."""
    kept = []
    for item in items:
        if item["linkId"] not in enabled:
            continue
        copy = dict(item)
        if "item" in item:
            copy["item"] = _asked(form, item["item"], enabled)
            if not copy["item"]:
                continue
        if "answer" in item:
            copy["answer"] = [_answer_asked(form, answer, enabled) for answer in item["answer"]]
        kept.append(copy)
    return kept


def _answer_asked(form: Form, answer: JsonObject, enabled: frozenset[str]) -> dict[str, Any]:
    below = _asked(form, answer.get("item", ()), enabled)
    rest = {name: value for name, value in answer.items() if name != "item"}
    return {**rest, "item": below} if below else rest


def _enabled(
    node: JsonObject, form: Form, items: Sequence[JsonObject], above: tuple[JsonObject, Scope] | None
) -> Iterator[str]:
    """The linkIds of the items that these answers ask for. A follow-up is asked once its question has an answer."""
    owner, parent = above if above is not None else (None, None)
    given = {item["linkId"]: item for item in items}
    places: list[JsonObject] = [given.get(item["linkId"], {"linkId": item["linkId"]}) for item in node.get("item", ())]
    scope = Scope(places, 0, owner, parent)
    for position, item in enumerate(node.get("item", ())):
        condition = form.conditions.get(item["linkId"])
        if not is_shown(item) or (condition is not None and not condition(scope.at(position))):
            continue
        yield item["linkId"]
        place = places[position]
        if item["type"] == "group":
            yield from _enabled(item, form, place.get("item", ()), (place, scope.at(position)))
        elif place.get("answer"):
            yield from _enabled(item, form, place["answer"][0].get("item", ()), (place, scope.at(position)))


def _answered(items: Sequence[JsonObject]) -> Iterator[str]:
    for item in items:
        answers = item.get("answer", ())
        if answers:
            yield item["linkId"]
        for children in (item.get("item", ()), *(answer.get("item", ()) for answer in answers)):
            yield from _answered(children)
