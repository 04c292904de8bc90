"""The expressions of a Questionnaire (SDC "Using expressions"), evaluated for one request with one budget.

https://hl7.org/fhir/uv/sdc/expressions.html: `%resource`, `%context`, `%questionnaire`, `%qitem`, launch contexts and
variables; a variable is seen by its element and everything below. What cannot be evaluated becomes a finding.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from stepwell_screening.rules.answers import CORE
from stepwell_screening.rules.constraints import CompileExpression, Holds
from stepwell_screening.rules.fhirpath import (
    Budget,
    Collection,
    Expression,
    ExpressionError,
    Item,
    Run,
    TooCostlyError,
    compile_path,
    root,
)
from stepwell_screening.rules.finding import Finding
from stepwell_screening.rules.weights import answer_weight, extension_weight, option_weights, questionnaire_items

JsonObject = Mapping[str, Any]
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
VARIABLE = f"{CORE}variable"
FHIRPATH = "text/fhirpath"
FINDINGS_MAX = 50
SYSTEMS = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression stands: what its paths start from, and the names that it can use."""

    focus: Collection
    names: Mapping[str, Collection]

    def naming(self, **names: Collection) -> "Place":
        return replace(self, names={**self.names, **names})

    def at(self, focus: Collection, qitem: JsonObject | None = None) -> "Place":
        """A place below: `%context` is its focus, `%qitem` its Questionnaire item."""
        names = {**self.names, "context": focus}
        if qitem is not None:
            names["qitem"] = root(qitem)
        return Place(focus, names)


@dataclass
class Evaluator:
    """Evaluates for one request; what went wrong is kept in `findings`, each thing once."""

    run: Run
    findings: list[Finding] = field(default_factory=list)
    _said: set[Finding] = field(default_factory=set)

    def say(self, code: str, text: str, expression: str) -> None:
        """Keeps a finding; no more than a reader can take in."""
        finding = Finding(code, text, expression)
        if finding not in self._said and len(self.findings) < FINDINGS_MAX:
            self._said.add(finding)
            self.findings.append(finding)

    def value(self, source: object, place: Place, path: str) -> Collection:
        """What an expression gives: text, or an Expression of FHIR. Nothing, and a finding, where it cannot.

        Raises TooCostlyError once the request's budget is spent.
        """
        try:
            compiled = _compiled(source)
            return compiled(self.run, place.focus, place.names)
        except TooCostlyError:
            raise
        except ExpressionError as error:
            self.say("processing", str(error), path)
            return []

    def within(self, element: JsonObject, place: Place, path: str) -> Place:
        """The place with the variables that this element declares, in the order of what they use."""
        pending = _variables(element)
        if not pending:
            return place
        names = dict(place.names)
        while pending:
            ready = [name for name, (uses, _) in pending.items() if not uses & pending.keys() - {name}]
            if not ready:
                self.say("processing", "variables depend on each other in a circle", path)
                break
            for name in ready:
                _, source = pending.pop(name)
                if name in place.names and _language(source) != FHIRPATH:
                    continue  # what a query would find came with the request
                names[name] = self.value(source, Place(place.focus, names), path)
        return Place(place.focus, names)


def start(
    questionnaire: JsonObject,
    response: JsonObject | None,
    *,
    now: datetime,
    launch: Mapping[str, Collection] | None = None,
    resources: Iterable[JsonObject] = (),
    budget: Budget | None = None,
) -> tuple[Evaluator, Place]:
    """An evaluator, and the place at the root of the response: launch contexts and the root's variables are named.

    `resources` are those that `resolve()` finds by `Type/id`, beside what questionnaire and response contain.
    """
    run = Run(
        budget=budget or Budget(),
        now=now,
        weigh=_weigher(questionnaire),
        resolve=_resolver(questionnaire, response, resources),
    )
    evaluator = Evaluator(run)
    focus = root(response)
    names = {
        **{name: [Item(system, "uri")] for name, system in SYSTEMS.items()},
        **(launch or {}),
        "resource": focus,
        "rootResource": focus,
        "context": focus,
        "questionnaire": root(questionnaire),
    }
    return evaluator, evaluator.within(questionnaire, Place(focus, names), "Questionnaire")


def compiles(questionnaire: JsonObject, now: Callable[[], datetime]) -> CompileExpression:
    """What `compile_questionnaire` takes to hold responses to the FHIRPath constraints of a Questionnaire.

    An expression that is not FHIRPath is refused at once; one that fails on a response does not hold.
    """

    def compile_expression(source: str) -> Holds:
        expression = compile_path(source)

        def holds(response: JsonObject, item: JsonObject) -> bool:
            evaluator, place = start(questionnaire, response, now=now())
            try:
                found = expression(evaluator.run, root(item), place.at(root(item)).names)
            except ExpressionError:
                return False
            return len(found) == 1 and found[0].value is True

        return holds

    return compile_expression


def _compiled(source: object) -> Expression:
    if isinstance(source, str):
        return compile_path(source)
    language = _language(source)
    text = source.get("expression") if isinstance(source, Mapping) else None
    if language != FHIRPATH or not isinstance(text, str):
        raise ExpressionError(f"only expressions in {FHIRPATH} are evaluated here")
    return compile_path(text)


def _language(source: object) -> str:
    return str(source.get("language", FHIRPATH)) if isinstance(source, Mapping) else FHIRPATH


def _variables(element: JsonObject) -> dict[str, tuple[frozenset[str], Any]]:
    """The declared variables by name, with the names that each uses."""
    found: dict[str, tuple[frozenset[str], Any]] = {}
    for extension in element.get("extension", ()):
        expression = extension.get("valueExpression")
        if extension.get("url") == VARIABLE and isinstance(expression, Mapping) and "name" in expression:
            found[str(expression["name"])] = _used(expression), expression
    return found


def _used(expression: JsonObject) -> frozenset[str]:
    try:
        return _compiled(expression).names
    except ExpressionError:
        return frozenset()


def _weigher(questionnaire: JsonObject) -> Callable[[Item], Any]:
    weights = {item["linkId"]: option_weights(item) for item in questionnaire_items(questionnaire)}

    def weigh(item: Item) -> Any:
        """By the item's own weight, else by the option of the question that the answer stands in."""
        if not isinstance(item.value, Mapping):
            return None
        above = item.parent
        while above is not None and not (isinstance(above.value, Mapping) and "linkId" in above.value):
            above = above.parent
        if above is None:
            return extension_weight(item.value)
        return answer_weight({"valueCoding": item.value}, weights.get(above.value["linkId"], {}))

    return weigh


def _resolver(
    questionnaire: JsonObject, response: JsonObject | None, resources: Iterable[JsonObject]
) -> Callable[[str], Any]:
    known: dict[str, JsonObject] = {
        f"{each['resourceType']}/{each['id']}": each for each in resources if "id" in each and "resourceType" in each
    }
    for holder in (questionnaire, response or {}):
        contained: Sequence[JsonObject] = holder.get("contained", ())
        known.update({f"#{each['id']}": each for each in contained if "id" in each})

    def resolve(reference: str) -> Any:
        return known.get(reference) or known.get("/".join(reference.split("/")[-2:]))

    return resolve
