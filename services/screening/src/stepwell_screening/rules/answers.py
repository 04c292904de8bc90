"""Whether the answers of one question are what its Questionnaire item allows.

https://hl7.org/fhir/R4/questionnaire-definitions.html and the SDC validation page; extensions of R4 core.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from stepwell_screening.rules.fhirpath import Budget, ExpressionError
from stepwell_screening.rules.fhirpath.patterns import search
from stepwell_screening.rules.ordering import compare
from stepwell_screening.rules.value_sets import Options

JsonObject = Mapping[str, Any]
Json = Any
"""Any value that JSON can hold."""
Problem = tuple[str, str]
"""(issue code, words for the sender)."""
ValueCheck = Callable[[str, Any], Problem | None]
OptionValue = tuple[str, object, object]

CORE = "http://hl7.org/fhir/StructureDefinition/"
VALUE_KEY = {
    "boolean": "valueBoolean",
    "decimal": "valueDecimal",
    "integer": "valueInteger",
    "date": "valueDate",
    "dateTime": "valueDateTime",
    "time": "valueTime",
    "string": "valueString",
    "text": "valueString",
    "url": "valueUri",
    "choice": "valueCoding",
    "open-choice": "valueCoding",
    "attachment": "valueAttachment",
    "reference": "valueReference",
    "quantity": "valueQuantity",
}
WRONG_TYPE: Problem = ("value", "The answer is of another data type than the question.")
NO_OPTION: Problem = ("code-invalid", "The answer is not one of the options of this question.")


def extension_value(element: JsonObject, url: str) -> Json:
    """The value of the first extension with this URL; None when there is none."""
    for extension in element.get("extension", ()):
        if extension.get("url") == url:
            return next((value for key, value in extension.items() if key.startswith("value")), None)
    return None


def answer_value(answer: JsonObject) -> tuple[str, Json] | None:
    """The (key, value) of an answer's value[x]; None when it has none, as with only an extension."""
    return next(((key, value) for key, value in answer.items() if key.startswith("value")), None)


def option_value(key: str, value: Json) -> OptionValue:
    """What makes two option values the same: type and content; for a Coding its system and code, not its display."""
    if key == "valueCoding":
        return key, value.get("system"), value.get("code")
    if key == "valueReference":
        return key, value.get("reference"), None
    return key, value, None


class AnswerRule:
    """What one question allows; compiled from its Questionnaire item, with the options of value sets by reference.

    Raises ValueError for an unknown item type, a value set that is not given and a limit that cannot be checked.
    """

    def __init__(
        self,
        item: JsonObject,
        accepted: Sequence[JsonObject] = (),
        value_sets: Mapping[str, Options] = MappingProxyType({}),
    ) -> None:
        kind = item["type"]
        if kind not in VALUE_KEY:
            raise ValueError(f"item {item['linkId']} has the type {kind}, which takes no answer")
        bound = item.get("answerValueSet")
        if bound is not None and bound not in value_sets:
            raise ValueError(f"item {item['linkId']} binds an answerValueSet whose codes are not listed here")
        listed = value_sets[bound] if bound is not None else item.get("answerOption", ())
        self.repeats = bool(item.get("repeats"))
        self._key = VALUE_KEY[kind]
        options = [dict([_only_value(option)]) for option in (*listed, *accepted)]
        self._options = frozenset(option_value(*_only_value(option)) for option in options)
        self._codings = {(key[1], key[2]) for key in self._options if key[0] == "valueCoding"}
        self._exclusive = frozenset(
            option_value(*_only_value(option))
            for option in item.get("answerOption", ())
            if extension_value(option, f"{CORE}questionnaire-optionExclusive")
        )
        self._keys = {key[0] for key in self._options} or {self._key}
        self._open = kind == "open-choice"
        if self._open:
            self._keys = self._keys | {"valueString"}
        self._limits = value_checks(item)
        self._least = extension_value(item, f"{CORE}questionnaire-minOccurs") or 0
        self._most = extension_value(item, f"{CORE}questionnaire-maxOccurs") if self.repeats else 1

    def structure(self, answers: Sequence[JsonObject]) -> list[tuple[str, Problem]]:
        """Problems of datatype and option membership, which hold in every status, as (path suffix, problem)."""
        if len(answers) == 1:
            coding = answers[0].get("valueCoding")
            if coding is not None and (coding.get("system"), coding.get("code")) in self._codings:
                return []
        problems: list[tuple[str, Problem]] = []
        for index, answer in enumerate(answers):
            present = answer_value(answer)
            problem = None if present is None else self._membership(*present)
            if problem is not None:
                problems.append((f".answer[{index}].value", problem))
        return problems

    def content(self, answers: Sequence[JsonObject]) -> list[tuple[str, Problem]]:
        """Problems of count and of the value's limits, which hold once a response is finished."""
        count = len(answers)
        problems: list[tuple[str, Problem]] = []
        if self._most is not None and count > self._most:
            problems.append((".answer", ("business-rule", "This question takes fewer answers than were given.")))
        if 0 < count < self._least:
            problems.append((".answer", ("business-rule", "This question takes more answers than were given.")))
        if not self._limits and not self._exclusive:
            return problems
        for index, answer in enumerate(answers):
            present = answer_value(answer)
            if present is None:
                continue
            path = f".answer[{index}].value"
            if count > 1 and option_value(*present) in self._exclusive:
                problems.append((path, ("business-rule", "This option stands alone; other answers stand beside it.")))
            problems.extend((path, found) for check in self._limits if (found := check(*present)) is not None)
        return problems

    def _membership(self, key: str, value: Json) -> Problem | None:
        if key not in self._keys:
            return WRONG_TYPE
        if not self._options or (self._open and key == "valueString"):
            return None
        return None if option_value(key, value) in self._options else NO_OPTION


def value_checks(item: JsonObject) -> tuple[ValueCheck, ...]:
    """The limits on single values that this item sets: minValue, maxValue, lengths, decimal places, regex."""
    found: list[ValueCheck | None] = [
        _bound(extension_value(item, f"{CORE}minValue"), -1, "is below the least"),
        _bound(extension_value(item, f"{CORE}maxValue"), 1, "is above the greatest"),
        _length(item.get("maxLength"), lambda length, bound: length > bound, "longer"),
        _length(extension_value(item, f"{CORE}minLength"), lambda length, bound: length < bound, "shorter"),
        _decimal_places(extension_value(item, f"{CORE}maxDecimalPlaces")),
        _regex(extension_value(item, f"{CORE}regex")),
    ]
    return tuple(check for check in found if check is not None)


def _only_value(option: JsonObject) -> tuple[str, Json]:
    present = answer_value(option)
    if present is None:
        raise ValueError("an answer option has no value")
    return present


def _bound(bound: object, beyond: int, words: str) -> ValueCheck | None:
    """A limit on one side: `beyond` is the order of an answer that is past it."""
    if bound is None:
        return None

    def check(_: str, value: object) -> Problem | None:
        order = compare(value, bound)
        if order is None and isinstance(value, Mapping):
            return "value", "The answer is in another unit than its limits."
        return ("value", f"The answer {words} value allowed.") if order == beyond else None

    return check


def _length(bound: Json, beyond: Callable[[int, int], bool], words: str) -> ValueCheck | None:
    if bound is None:
        return None

    def check(_: str, value: object) -> Problem | None:
        too_far = isinstance(value, str) and beyond(len(value), bound)
        return ("value", f"The answer is {words} than allowed.") if too_far else None

    return check


def _decimal_places(most: Json) -> ValueCheck | None:
    if most is None:
        return None

    def check(_: str, value: object) -> Problem | None:
        given = value.get("value") if isinstance(value, Mapping) else value
        if isinstance(given, bool) or not isinstance(given, int | float | Decimal):
            return None
        exponent = Decimal(repr(given) if isinstance(given, float) else given).as_tuple().exponent
        too_many = isinstance(exponent, int) and -exponent > most
        return ("value", "The answer has more decimal places than allowed.") if too_many else None

    return check


def _regex(pattern: str | None) -> ValueCheck | None:
    """The whole answer has the form of a pattern, decided in time that is bounded whatever the pattern."""
    if pattern is None:
        return None
    whole = f"^({pattern})$"
    try:
        search(whole, "", Budget())
    except ExpressionError as error:
        raise ValueError(f"a regex of the Questionnaire cannot be used: {error}") from error

    def check(_: str, value: object) -> Problem | None:
        if not isinstance(value, str):
            return None
        try:
            misses = not search(whole, value, Budget())
        except ExpressionError:
            misses = True
        return ("value", "The answer does not have the form asked for.") if misses else None

    return check
