"""An item bank as a site supplies it: an adaptive Questionnaire whose items carry the parameters of their calibration.

No bank ships. The extensions are ours, as R4 and SDC have no place for a calibration: `item-bank` on the Questionnaire
says how it measures and when it stops, `graded-response` on each item holds a and the thresholds between its options.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stepwell_screening.rules.adaptive import Following, Step
from stepwell_screening.rules.finding import Finding
from stepwell_screening.rules.item_response import (
    Estimate,
    GradedItem,
    ItemBank,
    estimate,
    most_informative,
    reason_to_stop,
)
from stepwell_screening.rules.weights import OptionKey, exact, option_weights

JsonObject = Mapping[str, Any]
BANK = "https://stepwell.health/fhir/StructureDefinition/item-bank"
GRADED = "https://stepwell.health/fhir/StructureDefinition/graded-response"
ADAPTIVE = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-questionnaireAdaptive"
ROOT = "Questionnaire"
_TEXTS = frozenset({"method", "source"})
_FLAGS = frozenset({"higherIsBetter"})
_COUNTS = frozenset({"gridPoints", "itemsMin", "itemsMax"})
_MEASURES = frozenset({"scaling", "priorMean", "priorStandardDeviation", "lower", "upper", "standardErrorMax"})


@dataclass(frozen=True, slots=True)
class SuppliedBank:
    """A bank with its questions: what is asked, which category each option is, and what its T score is called."""

    bank: ItemBank
    questionnaire: JsonObject
    questions: Mapping[str, JsonObject]
    categories: Mapping[str, Mapping[OptionKey, int]]
    code: Mapping[str, str]
    source: str
    higher_is_better: bool

    def answers(self, link_ids: Sequence[str], response: JsonObject) -> dict[str, int]:
        """The category that was chosen for each of these items that was answered."""
        found = {}
        for item in response.get("item", ()):
            link_id = item.get("linkId")
            if link_id not in link_ids:
                continue
            for answer in item.get("answer", ())[:1]:
                coding = answer.get("valueCoding") or {}
                category = self.categories[link_id].get((coding.get("system"), coding.get("code")))
                if category is not None:
                    found[link_id] = category
        return found

    def measure(self, steps: Sequence[Step], response: JsonObject) -> Estimate | None:
        """What the answers to these steps come to; None while none was answered."""
        answers = self.answers([step.link_id for step in steps], response)
        return estimate(self.bank, answers) if answers else None


def bank_following(supplied: SuppliedBank, response: JsonObject) -> Following:
    """What the bank asks next: the item that tells most, until its stopping rule holds."""

    def following(steps: Sequence[Step]) -> Sequence[Step]:
        asked = [step.link_id for step in steps]
        answers = supplied.answers(asked, response)
        found = estimate(supplied.bank, answers)
        if reason_to_stop(supplied.bank, len(asked), len(answers), found.standard_error) is not None:
            return ()
        link_id = most_informative(supplied.bank, found.theta, asked)
        return [Step(link_id, supplied.questions[link_id])] if link_id is not None else ()

    return following


def parse_bank(questionnaire: JsonObject) -> tuple[SuppliedBank | None, list[Finding]]:
    """The bank of a valid Questionnaire, or what is wrong with it, each with its place."""
    findings: list[Finding] = []
    declared = _parts(questionnaire, BANK)
    for name in sorted(_TEXTS | _FLAGS | _COUNTS | _MEASURES | {"score"}):
        if len(declared.get(name, ())) != 1 or not _is_kind(name, declared[name][0]):
            place = f"{ROOT}.extension.where(url = '{BANK}').extension.where(url = '{name}')"
            findings.append(Finding("required", f"An item bank says {name} once.", place))
    if not any(each.get("url") == ADAPTIVE for each in questionnaire.get("extension", ())):
        findings.append(Finding("required", "An item bank is an adaptive Questionnaire.", f"{ROOT}.extension"))
    items: dict[str, GradedItem] = {}
    categories: dict[str, dict[OptionKey, int]] = {}
    for index, item in enumerate(questionnaire.get("item", ())):
        graded, options = _graded(item), _categories(item)
        if graded is None or len(options) != len(graded.thresholds) + 1 or len(options) != len(item["answerOption"]):
            text = "An item of a bank is a choice with one discrimination and a threshold between each two options."
            findings.append(Finding("business-rule", text, f"{ROOT}.item[{index}]"))
        else:
            items[graded.link_id], categories[graded.link_id] = graded, options
    if findings:
        return None, findings
    said = {name: values[0] for name, values in declared.items()}
    try:
        bank = _bank(said, items)
    except ValueError as error:
        return None, [Finding("business-rule", f"{error}.", ROOT)]
    questions = {item["linkId"]: _question(item) for item in questionnaire["item"]}
    supplied = SuppliedBank(
        bank, questionnaire, questions, categories, said["score"], said["source"], said["higherIsBetter"]
    )
    return supplied, []


def _bank(said: Mapping[str, Any], items: Mapping[str, GradedItem]) -> ItemBank:
    return ItemBank(
        items=items,
        scaling=float(said["scaling"]),
        method=said["method"],
        prior_mean=float(said["priorMean"]),
        prior_standard_deviation=float(said["priorStandardDeviation"]),
        lower=float(said["lower"]),
        upper=float(said["upper"]),
        grid_points=said["gridPoints"],
        standard_error_max=float(said["standardErrorMax"]),
        items_min=said["itemsMin"],
        items_max=said["itemsMax"],
    )


def _parts(element: JsonObject, url: str) -> dict[str, list[Any]]:
    """The values below an extension by their name; an extension that stands twice has them twice."""
    found: dict[str, list[Any]] = {}
    for extension in element.get("extension", ()):
        for part in extension.get("extension", ()) if extension.get("url") == url else ():
            value = next((value for key, value in part.items() if key.startswith("value")), None)
            found.setdefault(part.get("url", ""), []).append(value)
    return found


def _is_kind(name: str, value: Any) -> bool:
    if name in _TEXTS:
        return isinstance(value, str) and bool(value)
    if name in _FLAGS:
        return isinstance(value, bool)
    if name == "score":
        return isinstance(value, Mapping) and {"system", "code", "display"} <= value.keys()
    number = exact(value)
    return number is not None and (name in _MEASURES or isinstance(number, int))


def _graded(item: JsonObject) -> GradedItem | None:
    parts = _parts(item, GRADED)
    numbers = [exact(each) for name in ("discrimination", "threshold") for each in parts.get(name, ())]
    if item["type"] != "choice" or item.get("repeats") or item.get("item") or item.get("enableWhen"):
        return None
    if len(parts.get("discrimination", ())) != 1 or len(numbers) < 2 or None in numbers:
        return None
    values = [float(number) for number in numbers if number is not None]
    return GradedItem(item["linkId"], values[0], tuple(values[1:]))


def _categories(item: JsonObject) -> dict[OptionKey, int]:
    """Which category each option is: by rising weight where the options have weights, else in their order."""
    options = [each.get("valueCoding") or {} for each in item.get("answerOption", ())]
    keys: list[OptionKey] = [(each.get("system"), each.get("code")) for each in options]
    weights = option_weights(item)
    if weights and (len(weights) != len(keys) or len(set(weights.values())) != len(keys)):
        return {}
    ordered = sorted(keys, key=lambda key: weights[key]) if weights else keys
    return {key: category for category, key in enumerate(ordered)}


def _question(item: JsonObject) -> JsonObject:
    """The item as it is asked: without its calibration."""
    kept = [each for each in item.get("extension", ()) if each.get("url") != GRADED]
    rest = {name: value for name, value in item.items() if name != "extension"}
    return {"extension": kept, **rest} if kept else rest
