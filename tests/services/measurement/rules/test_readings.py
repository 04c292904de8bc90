"""Promises of readings against a plan: only what is about the same in the same unit is compared, ends belong to it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from stepwell_measurement.rules.readings import Reading, codes_of, is_outside, planned_ranges

AT = datetime(2026, 11, 20, 8, tzinfo=UTC)
STEPS: dict[str, Any] = {"coding": [{"system": "https://clinic.example/measures", "code": "steps"}]}


def goal(**target: Any) -> dict[str, Any]:
    return {"target": [{"measure": STEPS, **target}]}


def reading(value: str, unit: str = "", concept: dict[str, Any] = STEPS) -> Reading:
    return Reading(codes_of(concept), Decimal(value), unit, AT)


def outside(value: str, unit: str = "", **target: Any) -> bool | None:
    (planned,) = planned_ranges(goal(**target))
    return is_outside(reading(value, unit), planned)


@pytest.mark.parametrize(
    "target",
    [
        {},
        {"detailString": "more"},
        {"detailRange": {}},
        {"detailQuantity": {"value": 5000}},
        {"detailQuantity": {"comparator": "<"}},
        {"measure": {"text": "steps"}, "detailRange": {"low": {"value": 3000}}},
        {"measure": {"coding": [{"system": "x"}]}, "detailRange": {"low": {"value": 3000}}},
    ],
)
def test_what_names_no_measure_or_no_limit_is_no_plan(target: dict[str, Any]) -> None:
    assert planned_ranges(goal(**target)) == []


@pytest.mark.parametrize(
    ("target", "inside", "beyond"),
    [
        ({"detailRange": {"low": {"value": 3000}, "high": {"value": 6000}}}, ["3000", "6000"], ["2999", "6000.5"]),
        ({"detailRange": {"low": {"value": 3000}}}, ["3000", "99999"], ["2999"]),
        ({"detailRange": {"high": {"value": 6000}}}, ["0", "6000"], ["6001"]),
        ({"detailQuantity": {"value": 6, "comparator": "<"}}, ["5.9"], ["6", "7"]),
        ({"detailQuantity": {"value": 6, "comparator": "<="}}, ["6"], ["6.1"]),
        ({"detailQuantity": {"value": 6, "comparator": ">"}}, ["6.1"], ["6", "5"]),
        ({"detailQuantity": {"value": 6, "comparator": ">="}}, ["6"], ["5.9"]),
    ],
)
def test_the_ends_of_a_range_belong_to_it(target: dict[str, Any], inside: list[str], beyond: list[str]) -> None:
    assert [outside(value, **target) for value in inside] == [False] * len(inside)
    assert [outside(value, **target) for value in beyond] == [True] * len(beyond)


def test_another_measure_or_another_unit_is_not_compared() -> None:
    kilometres = {"detailRange": {"low": {"value": 3, "code": "km"}}}
    assert outside("1", "km", **kilometres) is True
    assert outside("1", "", **kilometres) is True
    assert outside("1", "m", **kilometres) is None
    (planned,) = planned_ranges(goal(**kilometres))
    assert is_outside(reading("1", "km", {"coding": [{"code": "steps"}]}), planned) is None
