"""Invariants of the datatypes: quantities, periods, timings, contact points and their kin.

https://hl7.org/fhir/R4/datatypes.html
"""

from stepwell_shared.fhir.validation.invariants.nodes import UCUM, Node, Rules, has, has_any, has_choice, not_after
from stepwell_shared.fhir.validation.narrative import has_content, is_safe

_MEALS = {"C", "CM", "CD", "CV"}


def _period_runs_forward(period: Node) -> bool:
    return "start" not in period or "end" not in period or not_after(period["start"], period["end"])


def _range_runs_upward(node: Node) -> bool:
    low, high = node.get("low", {}), node.get("high", {})
    if "value" not in low or "value" not in high:
        return True
    same_unit = all(low.get(name) == high.get(name) for name in ("system", "code", "unit"))
    return not same_unit or bool(low["value"] <= high["value"])


def _unit_is_ucum(quantity: Node) -> bool:
    has_code = has(quantity, "code") or not has(quantity, "value")
    return has_code and (not has(quantity, "system") or quantity.get("system") == UCUM)


def _is_count(quantity: Node) -> bool:
    has_code = not has(quantity, "code") or quantity.get("code") == "1"
    value = quantity.get("value")
    return _unit_is_ucum(quantity) and has_code and (value is None or "." not in str(value))


def _is_age(quantity: Node) -> bool:
    return _unit_is_ucum(quantity) and ("value" not in quantity or quantity["value"] > 0)


def _is_duration(quantity: Node) -> bool:
    return not has(quantity, "code") or (quantity.get("system") == UCUM and has(quantity, "value"))


def _ratio_is_whole(ratio: Node) -> bool:
    numerator, denominator = "numerator" in ratio, "denominator" in ratio
    return numerator == denominator and (numerator or "extension" in ratio)


def _offset_has_event(repeat: Node) -> bool:
    events = repeat.get("when", [])
    return not has(repeat, "offset") or (has(repeat, "when") and not _MEALS.intersection(events))


def _not_negative(repeat: Node, name: str) -> bool:
    return name not in repeat or repeat[name] >= 0


def _trigger_has_what_its_type_needs(trigger: Node) -> bool:
    kind = trigger.get("type", "")
    if kind == "named-event":
        return has(trigger, "name")
    if kind == "periodic":
        return has_choice(trigger, "timing")
    return not kind.startswith("data-") or "data" in trigger


RULES: Rules = {
    "age-1": _is_age,
    "att-1": lambda attachment: not has(attachment, "data") or has(attachment, "contentType"),
    "cnt-3": _is_count,
    "cpt-2": lambda contact: not has(contact, "value") or has(contact, "system"),
    "dis-1": _unit_is_ucum,
    "drq-1": lambda code_filter: has(code_filter, "path") != has(code_filter, "searchParam"),
    "drq-2": lambda date_filter: has(date_filter, "path") != has(date_filter, "searchParam"),
    "drt-1": _is_duration,
    "exp-1": lambda expression: has_any(expression, "expression", "reference"),
    "per-1": _period_runs_forward,
    "qty-3": lambda quantity: not has(quantity, "code") or has(quantity, "system"),
    "rat-1": _ratio_is_whole,
    "rng-2": _range_runs_upward,
    "tim-1": lambda repeat: not has(repeat, "duration") or has(repeat, "durationUnit"),
    "tim-2": lambda repeat: not has(repeat, "period") or has(repeat, "periodUnit"),
    "tim-4": lambda repeat: _not_negative(repeat, "duration"),
    "tim-5": lambda repeat: _not_negative(repeat, "period"),
    "tim-6": lambda repeat: not has(repeat, "periodMax") or has(repeat, "period"),
    "tim-7": lambda repeat: not has(repeat, "durationMax") or has(repeat, "duration"),
    "tim-8": lambda repeat: not has(repeat, "countMax") or has(repeat, "count"),
    "tim-9": _offset_has_event,
    "tim-10": lambda repeat: not has(repeat, "timeOfDay") or not has(repeat, "when"),
    "trd-1": lambda trigger: "data" not in trigger or not has_choice(trigger, "timing"),
    "trd-2": lambda trigger: "condition" not in trigger or "data" in trigger,
    "trd-3": _trigger_has_what_its_type_needs,
    "txt-1": is_safe,
    "txt-2": has_content,
}
