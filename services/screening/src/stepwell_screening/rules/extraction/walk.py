"""The walk through a response beside its Questionnaire: every item is offered to all three ways of extraction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stepwell_screening.rules.expressions import Place, start
from stepwell_screening.rules.extraction import definitions, observations, templates
from stepwell_screening.rules.extraction.session import Extracted, Session
from stepwell_screening.rules.extraction.structure import Structure
from stepwell_screening.rules.fhirpath import Budget, Collection, Item
from stepwell_screening.rules.fhirpath.items import members

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Here:
    """What is inherited on the way down."""

    place: Place
    observations: observations.State
    definitions: definitions.State


def extract(
    questionnaire: JsonObject,
    response: JsonObject,
    *,
    structure: Structure,
    new_uuid: Callable[[], str],
    now: datetime,
    source: JsonObject | None,
    budget: Budget | None = None,
) -> Extracted:
    """The resources that a finished response becomes, as entries of a transaction, and what could not be made.

    `source` is the Reference to the response that extracted Observations are derived from. Raises ValueError when the
    expressions take more work, or the resources are more, than one request may have.
    """
    evaluator, place = start(questionnaire, response, now=now, budget=budget)
    session = Session(questionnaire, response, evaluator, structure, new_uuid, source)
    root = "Questionnaire"
    place = session.allocated(questionnaire, place)
    templates.extract(session, questionnaire, place, root)
    above = definitions.State()
    opened = definitions.entered(session, questionnaire, above, place, root)
    here = _Here(place, observations.root_state(session), opened)
    if opened.open:
        definitions.filled(session, {**questionnaire, "type": "group"}, [], opened, place, root)
    _level(session, questionnaire.get("item", ()), response.get("item", ()), here, "QuestionnaireResponse")
    definitions.left(session, opened, above)
    return Extracted(session.entries, evaluator.findings)


def _level(session: Session, asked: Sequence[JsonObject], given: Sequence[JsonObject], here: _Here, path: str) -> None:
    places: dict[str, list[int]] = {}
    for index, each in enumerate(given):
        places.setdefault(each.get("linkId", ""), []).append(index)
    for item in asked:
        for index in places.get(item["linkId"], ()):
            if _says(given[index]):
                _item(session, item, given[index], here, f"{path}.item[{index}]")


def _item(session: Session, item: JsonObject, given: JsonObject, here: _Here, path: str) -> None:
    session.evaluator.run.budget.spend()
    place = session.evaluator.within(item, here.place.at([Item(given)], item), path)
    place = session.allocated(item, place)
    templates.extract(session, item, place, path)
    opened = definitions.entered(session, item, here.definitions, place, path)
    below = definitions.filled(session, item, _values(given), opened, place, path)
    state = observations.entered(item, here.observations)
    children = item.get("item", ())
    if item.get("type") == "group":
        state = observations.of_group(session, item, given, state, place, path)
        _level(session, children, given.get("item", ()), _Here(place, state, below), path)
    else:
        for index, answer in enumerate(given.get("answer", ())):
            where = f"{path}.answer[{index}]"
            of_answer = observations.of_answer(session, item, answer, state, place, where)
            _level(session, children, answer.get("item", ()), _Here(place, of_answer, below), where)
    definitions.left(session, opened, here.definitions)


def _values(given: JsonObject) -> Collection:
    owner = Item(given)
    return [value for answer in members(owner, "answer") for value in members(answer, "value")]


def _says(given: JsonObject) -> bool:
    """Whether anything is answered in this item or below it."""
    for answer in given.get("answer", ()):
        if any(key.startswith("value") for key in answer) or any(_says(each) for each in answer.get("item", ())):
            return True
    return any(_says(each) for each in given.get("item", ()))
