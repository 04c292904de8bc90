"""What measurement ships as data: reliable_change.json, the parameters of change per instrument with their sources."""

import json
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from stepwell_measurement.rules.reliable_change import ChangeParameters, threshold_from_reliability
from stepwell_measurement.rules.trajectory import TrajectoryParameters


@cache
def trajectory_parameters() -> dict[str, TrajectoryParameters]:
    """The parameters by LOINC code of the score, each with its default parameter set of reliable change."""
    content = _read("reliable_change.json")
    drop_fraction = Decimal(content["response"]["drop_fraction"])
    return {row["score_code"]: _parameters(row, drop_fraction) for row in content["instruments"]}


@cache
def change_parameter_sets(instrument: str) -> dict[str, ChangeParameters]:
    """Every shipped parameter set of one instrument by its id, the default first. Raises KeyError when unknown."""
    rows = {row["instrument"]: row for row in _read("reliable_change.json")["instruments"]}
    row = rows[instrument]
    return {parameter_set["id"]: change_parameters(row, parameter_set) for parameter_set in row["parameter_sets"]}


def change_parameters(instrument: dict[str, Any], parameter_set: dict[str, Any]) -> ChangeParameters:
    """One parameter set as the rules take it.

    It gives a `threshold`, or `standard_deviation` and `reliability` from which the strict Jacobson-Truax threshold
    follows.
    """
    if "threshold" in parameter_set:
        threshold, inclusive = Decimal(parameter_set["threshold"]), parameter_set["inclusive"]
    else:
        deviation, reliability = Decimal(parameter_set["standard_deviation"]), Decimal(parameter_set["reliability"])
        threshold, inclusive = threshold_from_reliability(deviation, reliability), False
    return ChangeParameters(
        instrument=instrument["instrument"],
        parameter_set=parameter_set["id"],
        threshold=threshold,
        inclusive=inclusive,
        higher_is_worse=instrument["higher_is_worse"],
        source=parameter_set["source"],
    )


def _parameters(row: dict[str, Any], drop_fraction: Decimal) -> TrajectoryParameters:
    sets = row["parameter_sets"]
    return TrajectoryParameters(
        change=change_parameters(row, sets[0]) if sets else _no_parameters(row),
        response_drop_fraction=drop_fraction,
        remission_below=Decimal(row["remission"]["below"]) if "remission" in row else None,
        caseness_at_least=Decimal(row["caseness"]["at_least"]) if "caseness" in row else None,
    )


def _no_parameters(row: dict[str, Any]) -> ChangeParameters:
    return ChangeParameters(
        instrument=row["instrument"],
        parameter_set="none",
        threshold=None,
        inclusive=False,
        higher_is_worse=row["higher_is_worse"],
        source=row["not_available"],
    )


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files(__name__) / name).read_text(encoding="utf-8"))
    return content
