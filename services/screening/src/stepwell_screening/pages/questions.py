"""The questions of a form as HTML: each a fieldset or a labelled field, with its words, its limits and what is wrong.

A question that other answers have to ask for is in the page, switched off, so that the script can switch it on
without asking for the page again; without the script the next page has it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepwell_shared.markup import Markup, element, joined

from stepwell_screening.pages.texts import Texts
from stepwell_screening.rules.answers import CORE, extension_value
from stepwell_screening.rules.form_copies import COPIES_MAX, count_of, is_repeating
from stepwell_screening.rules.form_fields import OTHER, OTHER_FIELD, Form, Question, is_shown

SHOWN = "shown"
# Before each linkId, so that no question can take the name of something else in the page.
FIELD = "q."
COPIES, MORE = "copies.", "more:"
_INPUTS: Mapping[str, Mapping[str, str]] = {
    "integer": {"type": "text", "inputmode": "numeric"},
    "decimal": {"type": "text", "inputmode": "decimal"},
    "quantity": {"type": "text", "inputmode": "decimal"},
    "date": {"type": "date"},
    "dateTime": {"type": "date"},
    "time": {"type": "time"},
    "url": {"type": "url"},
    "string": {"type": "text"},
}
_HINTS = {
    **{kind: f"field.{kind}" for kind in ("integer", "decimal", "date", "time", "url")},
    "quantity": "field.decimal",
    "dateTime": "field.date",
}


@dataclass(frozen=True)
class Sheet:
    """What a form is shown with: its fields' values, which items are asked for, and what is wrong, by linkId."""

    form: Form
    texts: Texts
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    enabled: frozenset[str] = frozenset()
    problems: Mapping[str, str] = field(default_factory=dict)
    # the language of the questions where it is not the page's
    language: str | None = None

    @property
    def numbers(self) -> dict[str, int]:
        """Where each question stands among those that are asked, from 1."""
        asked = [each for each in self.form.questions if each in self.enabled]
        return {link_id: number for number, link_id in enumerate(asked, 1)}


def place_of(sheet: Sheet, link_id: str) -> str:
    """The id of a question's element: a number, since linkIds may hold anything."""
    return f"q{list(sheet.form.questions).index(link_id) + 1}"


def questions(sheet: Sheet) -> Markup:
    """All questions, with the texts and groups between them."""
    return joined(_below(sheet, sheet.form.questionnaire, 2))


def label_of(sheet: Sheet, link_id: str) -> str:
    """The words of a question, for lists of them."""
    return str(sheet.form.questions[link_id].item.get("text", ""))


def _below(sheet: Sheet, node: Mapping[str, Any], level: int) -> Iterator[Markup]:
    for item in node.get("item", ()):
        if not is_shown(item):
            continue
        kind, text = item["type"], item.get("text", "")
        if kind == "display":
            inner = element("p", text, class_="said", lang=sheet.language)
        elif kind == "group":
            heading = element(f"h{min(level, 6)}", text, lang=sheet.language) if text else None
            more = _more(sheet, item) if is_repeating(item) else None
            inner = element("section", heading, _below(sheet, item, level + 1), more, class_="group")
        else:
            inner = _question(sheet, sheet.form.questions[item["linkId"]], level)
        yield _conditional(sheet, item, inner) if _depends(sheet, item) else inner


def _more(sheet: Sheet, group: Mapping[str, Any]) -> Markup | None:
    """After the last copy of a group that repeats: how many there are, and the way to one more."""
    copies, link_id = sheet.form.copies, group["linkId"]
    if not copies.is_last(link_id):
        return None
    original = copies.original(link_id)
    count = count_of(copies.counts, original)
    known = element("input", type="hidden", name=COPIES + original, value=count)
    words = sheet.texts.said("field.another")
    button = element("button", words, name="act", value=MORE + original) if count < COPIES_MAX else None
    return element("div", known, button, class_="more")


def _depends(sheet: Sheet, item: Mapping[str, Any]) -> bool:
    return item["linkId"] in sheet.form.conditions or item["linkId"] not in sheet.enabled


def _conditional(sheet: Sheet, item: Mapping[str, Any], inner: Markup) -> Markup:
    """An item that other answers ask for; switched off, its fields are neither seen nor sent."""
    is_off = item["linkId"] not in sheet.enabled
    known = element("input", type="hidden", name=SHOWN, value=item["linkId"])
    return element("fieldset", known, inner, class_="asked", data_for=item["linkId"], hidden=is_off, disabled=is_off)


def _question(sheet: Sheet, question: Question, level: int) -> Markup:
    place = place_of(sheet, question.link_id)
    hints = list(_hints(sheet, question))
    problem = sheet.problems.get(question.link_id)
    noted = [f"{place}-hint"] if hints else []
    noted += [f"{place}-problem"] if problem else []
    described = " ".join(noted) or None
    if question.options or question.scale or question.kind == "boolean":
        head = element("legend", _words(sheet, question))
        body = joined(_notes(place, hints, problem), _choices(sheet, question, place, described, problem))
        asked = element("fieldset", head, body, id=place, class_=_classes(problem), tabindex=-1)
    else:
        head = element("label", _words(sheet, question), for_=f"{place}-field", id=f"{place}-label")
        body = joined(_notes(place, hints, problem), _typed(sheet, question, place, described, problem))
        asked = element("div", head, body, id=place, class_=_classes(problem), tabindex=-1)
    follow_ups = list(_below(sheet, {"item": _children(question)}, level))
    return joined(asked, element("div", follow_ups, class_="follow-ups") if follow_ups else None)


def _classes(problem: str | None) -> str:
    return "question wrong" if problem else "question"


def _children(question: Question) -> list[Mapping[str, Any]]:
    """What stands below a question, without the displays that belong to it as hints."""
    return [item for item in question.item.get("item", ()) if item["type"] != "display"]


def _words(sheet: Sheet, question: Question) -> Markup:
    total = len(sheet.numbers)
    number = sheet.numbers.get(question.link_id)
    count = sheet.texts.said("page.number", number=number, total=total) if number else ""
    required = element("span", f" ({sheet.texts.said('page.required')})", class_="required")
    return joined(
        element("span", count, class_="count", data_count=True),
        " ",
        element("span", question.item.get("text", ""), lang=sheet.language, class_="words"),
        required if question.item.get("required") else None,
    )


def _hints(sheet: Sheet, question: Question) -> Iterator[Markup]:
    """What helps to answer: the form's own words, then the kind of answer and its limits."""
    for item in question.item.get("item", ()):
        if item["type"] == "display" and is_shown(item):
            words = element("span", item.get("text", ""), lang=sheet.language)
            end = _end_of_scale(question, item)
            yield element("span", element("b", str(end)), " = ", words) if end is not None else words
    said = sheet.texts.said
    is_typed = not (question.options or question.scale)
    if question.repeats:
        yield element("span", said("field.lines" if is_typed else "field.several"))
    elif is_typed and question.kind in _HINTS:
        yield element("span", said(_HINTS[question.kind]))
    least, most = (extension_value(question.item, f"{CORE}{name}") for name in ("minValue", "maxValue"))
    if is_typed and least is not None and most is not None and not isinstance(least, Mapping):
        yield element("span", said("field.limits", least=least, most=most))


def _end_of_scale(question: Question, item: Mapping[str, Any]) -> int | None:
    """The number that a display names, where it stands at one end of a scale (itemControl lower or upper)."""
    control = extension_value(item, f"{CORE}questionnaire-itemControl") or {}
    codes = {coding.get("code") for coding in control.get("coding", ())}
    if question.scale is None or not codes & {"lower", "upper"}:
        return None
    return question.scale[0] if "lower" in codes else question.scale[-1]


def _notes(place: str, hints: Sequence[Markup], problem: str | None) -> Markup:
    separated = [part for hint in hints for part in (hint, " ")]
    return joined(
        element("p", separated, id=f"{place}-hint", class_="hint") if hints else None,
        element("p", problem, id=f"{place}-problem", class_="problem") if problem else None,
    )


def _choices(sheet: Sheet, question: Question, place: str, described: str | None, problem: str | None) -> Markup:
    """Radio buttons, or boxes where several may be chosen. The note of what is wrong is read with the first."""
    given = sheet.values.get(question.link_id, ())
    options = list(_options(sheet, question))
    kind = "checkbox" if question.repeats else "radio"
    rows = []
    for number, (value, words, language) in enumerate(options):
        field_ = element(
            "input",
            type=kind,
            name=FIELD + question.link_id,
            value=value,
            id=f"{place}-{number}",
            checked=value in given,
            aria_describedby=described if number == 0 else None,
            aria_invalid="true" if problem and kind == "checkbox" else None,
        )
        rows.append(element("label", field_, element("span", words, lang=language), for_=f"{place}-{number}"))
    if question.kind == "open-choice":
        rows.append(_other_words(sheet, question, place))
    return element("div", rows, class_="choices scale" if question.scale else "choices")


def _other_words(sheet: Sheet, question: Question, place: str) -> Markup:
    name = question.link_id + OTHER_FIELD
    value = next(iter(sheet.values.get(name, ())), "")
    words = element("span", sheet.texts.said("field.other_words"))
    field_ = element("input", type="text", name=FIELD + name, value=value, id=f"{place}-words", maxlength=1000)
    return element("label", words, field_, for_=f"{place}-words", class_="words-field")


def _options(sheet: Sheet, question: Question) -> Iterator[tuple[str, str, str | None]]:
    """(value, words, language of the words) of each thing to choose."""
    if question.kind == "boolean":
        yield from (("true", sheet.texts.said("field.yes"), None), ("false", sheet.texts.said("field.no"), None))
    for number in question.scale or ():
        yield str(number), str(number), None
    for number, option in enumerate(question.options):
        yield str(number), option_words(option), sheet.language
    if question.kind == "open-choice":
        yield OTHER, sheet.texts.said("field.other"), None


def option_words(option: Mapping[str, Any]) -> str:
    """What an answer option is called."""
    value = next((value for key, value in option.items() if key.startswith("value")), "")
    if isinstance(value, Mapping):
        return str(value.get("display") or value.get("code") or value.get("reference") or "")
    return str(value)


def _typed(sheet: Sheet, question: Question, place: str, described: str | None, problem: str | None) -> Markup:
    """A field to type into; several answers go on lines of their own."""
    value = next(iter(sheet.values.get(question.link_id, ())), "")
    common: dict[str, str | int | bool | None] = {
        "name": FIELD + question.link_id,
        "id": f"{place}-field",
        "aria_describedby": described,
        "aria_invalid": "true" if problem else None,
        "maxlength": question.item.get("maxLength"),
        "autocomplete": "off",
    }
    if question.kind == "text" or question.repeats:
        return element("textarea", value, rows=4, **common)
    unit = extension_value(question.item, f"{CORE}questionnaire-unit") or {}
    field_ = element("input", value=value, **_INPUTS[question.kind], **common)
    words = unit.get("display", unit.get("code"))
    return joined(field_, " ", element("span", words, class_="unit") if words else None)
