"""Whether a reading lies within what a person's plan says: the targets of their Goals.

https://hl7.org/fhir/R4/goal-definitions.html#Goal.target
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

Json = Mapping[str, Any]
_LIMITS = frozenset({"<", "<=", ">", ">="})


@dataclass(frozen=True, slots=True)
class Planned:
    """One range of a plan: what it is about, and its ends, which belong to it unless they are open. None has no end."""

    place: int
    codes: frozenset[tuple[str, str]]
    low: Decimal | None
    high: Decimal | None
    low_open: bool = False
    high_open: bool = False
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """One value that was measured away from the team."""

    codes: frozenset[tuple[str, str]]
    value: Decimal
    unit: str
    effective: datetime


def planned_ranges(goal: Json) -> list[Planned]:
    """The ranges of a Goal: targets with a range, or with a quantity that is a limit (`<`, `<=`, `>`, `>=`).

    A quantity without a comparator is what the person works towards, and no limit.
    """
    return [
        found for place, target in enumerate(goal.get("target", ())) if (found := _planned(place, target)) is not None
    ]


def is_outside(reading: Reading, planned: Planned) -> bool | None:
    """Whether the reading is beyond an end of the range; None when it is about something else or in another unit."""
    if not reading.codes & planned.codes or (planned.unit and reading.unit and planned.unit != reading.unit):
        return None
    low, high, value = planned.low, planned.high, reading.value
    below = low is not None and (value <= low if planned.low_open else value < low)
    above = high is not None and (value >= high if planned.high_open else value > high)
    return below or above


def codes_of(concept: Json) -> frozenset[tuple[str, str]]:
    """System and code of each coding."""
    return frozenset((each.get("system", ""), each["code"]) for each in concept.get("coding", ()) if "code" in each)


def _planned(place: int, target: Json) -> Planned | None:
    codes = codes_of(target.get("measure", {}))
    detail, limit = target.get("detailRange", {}), target.get("detailQuantity", {})
    low, high = detail.get("low", {}).get("value"), detail.get("high", {}).get("value")
    if codes and (low is not None or high is not None):
        unit = _unit(detail.get("low", {})) or _unit(detail.get("high", {}))
        return Planned(place, codes, _decimal(low), _decimal(high), unit=unit)
    value, comparator = limit.get("value"), limit.get("comparator")
    if not codes or value is None or comparator not in _LIMITS:
        return None
    if comparator in {"<", "<="}:
        return Planned(place, codes, None, Decimal(value), high_open=comparator == "<", unit=_unit(limit))
    return Planned(place, codes, Decimal(value), None, low_open=comparator == ">", unit=_unit(limit))


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _unit(quantity: Json) -> str:
    return str(quantity.get("code", quantity.get("unit", "")))
