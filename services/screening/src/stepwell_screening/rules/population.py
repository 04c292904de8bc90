"""A response with what is known already: SDC's `$populate` by expressions, by Observations and by initial values.

https://hl7.org/fhir/uv/sdc/populate.html. An answer that the question would not take is left out and said so; what a
person has not seen is never stored: the response is in progress until somebody looks at it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from stepwell_screening.rules.answers import VALUE_KEY, AnswerRule, answer_value
from stepwell_screening.rules.assembly import launch_name
from stepwell_screening.rules.enable_when import EnableWhen, Scope
from stepwell_screening.rules.expressions import SDC, Evaluator, Place, start
from stepwell_screening.rules.extraction.casting import cast, unit_of
from stepwell_screening.rules.extraction.observations import UNIT
from stepwell_screening.rules.fhirpath import Budget, Collection, Item, TooCostlyError
from stepwell_screening.rules.fhirpath.items import PRIMITIVES, members
from stepwell_screening.rules.fhirpath.moments import moved
from stepwell_screening.rules.finding import Finding
from stepwell_screening.rules.ordering import compare
from stepwell_screening.rules.value_sets import Options, contained_value_sets

JsonObject = Mapping[str, Any]
REPEATS_MAX = 100
ITEMS_MAX = 5000
PASSES_MAX = 10
LOOKS_PER_STEP = 20
_USABLE = frozenset({"final", "amended", "corrected"})


@dataclass(frozen=True, slots=True)
class Known:
    """What a population may use: launch contexts and query results by name, and Observations about the subject."""

    launch: Mapping[str, Collection]
    observations: Sequence[JsonObject] = ()
    resources: Sequence[JsonObject] = ()


@dataclass(frozen=True, slots=True)
class Populated:
    """The items of the response, and what could not be filled in."""

    items: list[dict[str, Any]]
    findings: list[Finding]


def launch_names(questionnaire: JsonObject) -> list[str]:
    """The launch contexts that a Questionnaire declares, such as `patient`."""
    return [name for each in questionnaire.get("extension", ()) if (name := launch_name(each)) is not None]


def populate(
    questionnaire: JsonObject, response: JsonObject, known: Known, *, now: datetime, budget: Budget | None = None
) -> Populated:
    """The items of a Questionnaire with what is known; `response` is the response so far, without items.

    Items that the answers do not enable are left out. Raises ValueError when that is more work than a request may be.
    """
    evaluator, place = start(
        questionnaire, response, now=now, launch=known.launch, resources=known.resources, budget=budget
    )
    run = _Population(evaluator, known, contained_value_sets(questionnaire), now)
    items = run.level(questionnaire.get("item", ()), place, run.period(questionnaire, None), "Questionnaire")
    return Populated(_enabled(questionnaire, items, evaluator.run.budget), evaluator.findings)


@dataclass
class _Population:
    evaluator: Evaluator
    known: Known
    value_sets: Mapping[str, Options]
    now: datetime
    count: int = 0

    def level(
        self, items: Sequence[JsonObject], place: Place, period: JsonObject | None, path: str
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for index, item in enumerate(items):
            if item.get("type") != "display":
                found += self.item(item, place, self.period(item, period), f"{path}.item[{index}]")
        return found

    def item(self, item: JsonObject, place: Place, period: JsonObject | None, path: str) -> list[dict[str, Any]]:
        """The response items of one item: a repeating group may have several."""
        self.count += 1
        if self.count > ITEMS_MAX:
            raise TooCostlyError(f"a populated response has at most {ITEMS_MAX} items")
        head = {"linkId": item["linkId"], **({"text": item["text"]} if "text" in item else {})}
        here = place.at([Item(head)], item)
        if item.get("type") == "group":
            return [self.group(item, head, each, period, path) for each in self.contexts(item, here, path)]
        here = self.evaluator.within(item, here, path)
        answers = self.answers(item, here, period, path)
        if answers and "item" in item:
            for answer in answers:
                nested = self.level(item["item"], here, period, path)
                if nested:
                    answer["item"] = nested
        return [{**head, "answer": answers} if answers else head]

    def group(
        self, item: JsonObject, head: JsonObject, place: Place, period: JsonObject | None, path: str
    ) -> dict[str, Any]:
        below = self.level(item.get("item", ()), self.evaluator.within(item, place, path), period, path)
        return {**head, "item": below} if below else dict(head)

    def contexts(self, item: JsonObject, place: Place, path: str) -> list[Place]:
        """Where a group is filled: once, or once for each thing that its population context finds."""
        for extension in item.get("extension", ()):
            expression = extension.get("valueExpression")
            if extension.get("url") != f"{SDC}itemPopulationContext" or not isinstance(expression, Mapping):
                continue
            name = str(expression.get("name", "context"))
            if expression.get("language") == "application/x-fhir-query" and name in place.names:
                found = place.names[name]  # what the query finds came with the request
            else:
                found = self.evaluator.value(expression, place, path)
            if not item.get("repeats"):
                return [place.naming(**{name: found})]
            if len(found) > REPEATS_MAX:
                self.evaluator.say("too-costly", f"a group is repeated at most {REPEATS_MAX} times", path)
            return [place.naming(**{name: [each]}) for each in found[:REPEATS_MAX]] or [place.naming(**{name: []})]
        return [place]

    def answers(self, item: JsonObject, place: Place, period: JsonObject | None, path: str) -> list[dict[str, Any]]:
        """An expression wins over an Observation, and that over an initial value."""
        for extension in item.get("extension", ()):
            if extension.get("url") == f"{SDC}initialExpression":
                values = self.evaluator.value(extension.get("valueExpression"), place, path)
                found = self.taken(item, values, path)
                if found:
                    return found
        if period is not None and "code" in item:
            observed = self.observed(item, period)
            if observed:
                return self.taken(item, observed, path)
        return _initial(item)

    def taken(self, item: JsonObject, values: Collection, path: str) -> list[dict[str, Any]]:
        """The values as answers of this question, as far as it takes them."""
        key = VALUE_KEY.get(item["type"])
        if key is None or not values:
            return []
        rule = AnswerRule({**item, "extension": ()}, (), self.sets(item))
        found = []
        for value in values:
            self.evaluator.run.budget.spend(1 + len(item.get("answerOption", ())))
            answer = _answer(item, key, value)
            if answer is None or rule.structure([answer]):
                self.evaluator.say("value", "what is known for this question is no answer that it takes", path)
            elif answer not in found:
                found.append(answer)
        if len(found) > 1 and not item.get("repeats"):
            self.evaluator.say("value", "several answers are known where one is taken; the first stands", path)
            return found[:1]
        return found[:REPEATS_MAX]

    def sets(self, item: JsonObject) -> Mapping[str, Options]:
        """The value sets of a question; one whose codes are not at hand takes every code."""
        bound = item.get("answerValueSet")
        return self.value_sets if bound is None or bound in self.value_sets else {**self.value_sets, bound: []}

    def period(self, element: JsonObject, inherited: JsonObject | None) -> JsonObject | None:
        for extension in element.get("extension", ()):
            if extension.get("url") == f"{SDC}observationLinkPeriod":
                found = extension.get("valueDuration")
                return found if isinstance(found, Mapping) else inherited
        return inherited

    def observed(self, item: JsonObject, period: JsonObject) -> Collection:
        """The value of the newest Observation with a code of this question, no older than the period."""
        wanted = {(code.get("system"), code.get("code")) for code in item["code"]}
        earliest = moved(self.now.isoformat(timespec="seconds"), period, -1)
        best: JsonObject | None = None
        for each in self.known.observations:
            self.evaluator.run.budget.spend()
            codings = {(one.get("system"), one.get("code")) for one in each.get("code", {}).get("coding", ())}
            if not codings & wanted or each.get("status") not in _USABLE or earliest is None:
                continue
            if compare(_time(each), earliest) in {0, 1} and (best is None or compare(_time(each), _time(best)) == 1):
                best = each
        return [] if best is None else list(members(Item(best), "value"))


def _time(observation: JsonObject) -> str:
    found = observation.get("effectiveDateTime") or observation.get("effectiveInstant") or observation.get("issued")
    period = observation.get("effectivePeriod", {})
    return str(found or period.get("end") or period.get("start") or "")


def _initial(item: JsonObject) -> list[dict[str, Any]]:
    given = [dict(each) for each in item.get("initial", ())]
    chosen = [each for each in item.get("answerOption", ()) if each.get("initialSelected")]
    options = [{key: value for key, value in each.items() if key.startswith("value")} for each in chosen]
    return given or options


def _answer(item: JsonObject, key: str, value: Item) -> dict[str, Any] | None:
    """A value as an answer to this question; a code finds the option that it is the code of."""
    kind = PRIMITIVES.get(key[5:], key[5:])
    options = item.get("answerOption", ())
    if item["type"] in {"choice", "open-choice"}:
        option = _option(options, value)
        if option is not None:
            return option
        if item["type"] == "open-choice" and isinstance(value.value, str):
            return {"valueString": value.value}
    made = cast(value, kind, unit_of(item, UNIT))
    if kind in {"decimal", "integer"} and isinstance(value.value, Mapping) and not _same_unit(item, value.value):
        return None
    return None if made is None or made == "" else {key: made}


def _same_unit(item: JsonObject, quantity: JsonObject) -> bool:
    """Whether a quantity is counted in the unit of the question; a question without one takes any."""
    unit = unit_of(item, UNIT)
    return unit is None or unit.get("code") in {None, quantity.get("code")}


def _option(options: Iterable[JsonObject], value: Item) -> dict[str, Any] | None:
    """The option that a value means: a Coding by system and code, a concept by any of its codings, a text by a code."""
    given = value.value
    codings = given.get("coding", [given]) if isinstance(given, Mapping) else []
    for option in options:
        key, content = answer_value(option) or ("", {})
        if key == "valueCoding":
            is_meant = any(_same_coding(content, coding) for coding in codings)
            if is_meant or (isinstance(given, str) and content.get("code") == given):
                return {key: content}
        elif content == given and isinstance(given, str | int | Decimal):
            return {key: content}
    return None


def _same_coding(first: Any, second: JsonObject) -> bool:
    return (first.get("system"), first.get("code")) == (second.get("system"), second.get("code"))


def _enabled(questionnaire: JsonObject, items: list[dict[str, Any]], budget: Budget) -> list[dict[str, Any]]:
    """The items without those that the other answers do not enable; what that disables in turn goes too."""
    conditions: dict[str, EnableWhen] = {}
    count = 0
    pending: list[JsonObject] = list(questionnaire.get("item", ()))
    while pending:
        item = pending.pop()
        count += 1
        if item.get("enableWhen"):
            conditions[item["linkId"]] = EnableWhen(item)
        pending.extend(item.get("item", ()))
    for _ in range(min(len(conditions), PASSES_MAX)):
        budget.spend(1 + count * len(conditions) // LOOKS_PER_STEP)
        kept = _pruned(items, conditions, None, None)
        if kept == items:
            break
        items = kept
    return items


def _pruned(
    items: list[dict[str, Any]], conditions: Mapping[str, EnableWhen], owner: JsonObject | None, above: Scope | None
) -> list[dict[str, Any]]:
    scope = Scope(items, 0, owner, above)
    kept = []
    for index, item in enumerate(items):
        place = scope.at(index)
        condition = conditions.get(item["linkId"])
        if condition is not None and not condition(place):
            continue
        made = dict(item)
        if "item" in item:
            made["item"] = _pruned(item["item"], conditions, item, place)
        if "answer" in item:
            made["answer"] = [
                {**each, "item": _pruned(each["item"], conditions, item, place)} if "item" in each else each
                for each in item["answer"]
            ]
        kept.append(made)
    return kept


def about(observations: Iterable[JsonObject], subject: str | None) -> list[JsonObject]:
    """The Observations that are about this subject; those that name nobody are about it."""
    found = []
    for each in observations:
        reference = each.get("subject", {}).get("reference")
        if subject is None or reference is None or reference.rpartition("/")[2] == subject.rpartition("/")[2]:
            found.append(each)
    return found
