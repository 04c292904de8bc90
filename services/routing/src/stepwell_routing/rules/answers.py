"""From the answers of a form to evidence: which question says what, and what several answers say together.

Which forms are read, and how, is data (`data/answers.json`). What was not answered, assessed or told is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Resource = Mapping[str, Any]

NOTHING = ""
"""Was asked, and there is none: what was said before holds no more."""
TRUE, FALSE = "true", "false"
WITHDRAWN = "entered-in-error"


@dataclass(frozen=True, slots=True)
class Reading:
    """How one piece of evidence is read from a form.

    `take` is `first` (the first answer), `worst` (the one that stands first in `values`), `every` (true when all are),
    `any` (true when one is), `count` (how many questions say true), `answers` (how many were answered), `least` (the
    smallest number) or `reached` (whether every number is at least `top`). `values` are the evidence by answer code.
    """

    name: str
    link_ids: tuple[str, ...]
    take: str
    values: Mapping[str, str]
    top: Decimal | None = None


def readings_of(data: Mapping[str, Any]) -> dict[str, tuple[Reading, ...]]:
    """The readings of each form by its canonical without version. Raises KeyError for a take that there is none of."""
    return {
        form["questionnaire"]: tuple(
            Reading(
                each["name"],
                tuple(each["linkIds"]),
                _known_take(each["take"]),
                each.get("values", {}),
                Decimal(str(each["top"])) if "top" in each else None,
            )
            for each in form["answers"]
        )
        for form in data["forms"]
    }


def said_by(readings: Sequence[Reading], response: Resource) -> dict[str, str | None]:
    """What a finished response says, by the names of evidence; None takes back what an earlier version of it said."""
    if response.get("status") == WITHDRAWN:
        return dict.fromkeys((each.name for each in readings), None)
    answers = _answers(response.get("item", ()))
    found = {each.name: _TAKES[each.take](each, answers) for each in readings}
    # Only an amendment can take something back: what a first version leaves out was never said.
    if response.get("status") == "amended":
        return dict(found)
    return {name: value for name, value in found.items() if value is not None}


def _answers(items: Any) -> dict[str, list[Resource]]:
    found: dict[str, list[Resource]] = {}
    for item in _items(items):
        found.setdefault(str(item.get("linkId")), []).extend(item.get("answer", ()))
    return found


def _items(items: Any) -> Iterator[Resource]:
    for item in items:
        yield item
        yield from _items(item.get("item", ()))
        for answer in item.get("answer", ()):
            yield from _items(answer.get("item", ()))


def _given(reading: Reading, answers: Mapping[str, list[Resource]]) -> list[str]:
    """What the questions were answered with, one value an answer; what says nothing is left out."""
    raw = (each for link_id in reading.link_ids for each in answers.get(link_id, ()))
    return [value for each in raw if (value := _value(reading, each)) is not None]


def _value(reading: Reading, answer: Resource) -> str | None:
    coding = answer.get("valueCoding")
    if coding is not None:
        return reading.values.get(str(coding.get("code")))
    if "valueBoolean" in answer:
        return TRUE if answer["valueBoolean"] else FALSE
    for element in ("valueInteger", "valueDecimal", "valueString"):
        if element in answer:
            return str(answer[element])
    return None


def _first(reading: Reading, answers: Mapping[str, list[Resource]]) -> str | None:
    return next(iter(_given(reading, answers)), None)


def _worst(reading: Reading, answers: Mapping[str, list[Resource]]) -> str | None:
    given = _given(reading, answers)
    return next((value for value in reading.values.values() if value in given), NOTHING)


def _every(reading: Reading, answers: Mapping[str, list[Resource]]) -> str | None:
    given = _given(reading, answers)
    return None if not given else TRUE if all(value == TRUE for value in given) else FALSE


def _any(reading: Reading, answers: Mapping[str, list[Resource]]) -> str | None:
    """True when one says so; false only when every question was answered so."""
    given = _given(reading, answers)
    if TRUE in given:
        return TRUE
    return FALSE if len(given) == len(reading.link_ids) else None


def _count(reading: Reading, answers: Mapping[str, list[Resource]]) -> str | None:
    given = _given(reading, answers)
    return str(given.count(TRUE)) if given else None


def _number_of_answers(reading: Reading, answers: Mapping[str, list[Resource]]) -> str | None:
    return str(sum(len(answers.get(link_id, ())) for link_id in reading.link_ids))


def _least(reading: Reading, answers: Mapping[str, list[Resource]]) -> str | None:
    given = _given(reading, answers)
    return min(given, key=Decimal) if given else None


def _reached(reading: Reading, answers: Mapping[str, list[Resource]]) -> str | None:
    least = _least(reading, answers)
    return None if least is None or reading.top is None else TRUE if Decimal(least) >= reading.top else FALSE


_TAKES = {
    "first": _first,
    "worst": _worst,
    "every": _every,
    "any": _any,
    "count": _count,
    "answers": _number_of_answers,
    "least": _least,
    "reached": _reached,
}


def _known_take(take: str) -> str:
    if take not in _TAKES:
        raise KeyError(take)
    return take
