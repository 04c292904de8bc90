"""What measurement ships as data: reliable_change.json, the parameters of change per instrument with their sources."""

import json
from datetime import timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from stepwell_measurement.rules.progress import ProgressParameters
from stepwell_measurement.rules.reliable_change import (
    ChangeParameters,
    threshold_from_error,
    threshold_from_reliability,
)
from stepwell_measurement.rules.trajectory import TrajectoryParameters


@cache
def trajectory_parameters() -> dict[str, TrajectoryParameters]:
    """The parameters by code of the score, each with its default parameter set of reliable change."""
    content = _read("reliable_change.json")
    progress = _progress(content["progress"])
    return {row["score_code"]: _parameters(row, progress) for row in content["instruments"]}


@cache
def score_systems() -> dict[str, str]:
    """The code system of each score by its code: no two systems share one."""
    return {row["score_code"]: row["score_system"] for row in _read("reliable_change.json")["instruments"]}


@cache
def change_parameter_sets(instrument: str) -> dict[str, ChangeParameters]:
    """Every shipped parameter set of one instrument by its id, the default first. Raises KeyError when unknown."""
    rows = {row["instrument"]: row for row in _read("reliable_change.json")["instruments"]}
    row = rows[instrument]
    return {parameter_set["id"]: change_parameters(row, parameter_set) for parameter_set in row["parameter_sets"]}


def change_parameters(instrument: dict[str, Any], parameter_set: dict[str, Any]) -> ChangeParameters:
    """One parameter set as the rules take it.

    It gives a `threshold`; or `standard_error`, or `standard_deviation` and `reliability`, from which the strict
    Jacobson-Truax threshold follows.
    """
    inclusive = False
    if "threshold" in parameter_set:
        threshold, inclusive = Decimal(parameter_set["threshold"]), parameter_set["inclusive"]
    elif "standard_error" in parameter_set:
        threshold = threshold_from_error(Decimal(parameter_set["standard_error"]))
    else:
        deviation, reliability = Decimal(parameter_set["standard_deviation"]), Decimal(parameter_set["reliability"])
        threshold = threshold_from_reliability(deviation, reliability)
    return ChangeParameters(
        instrument=instrument["instrument"],
        parameter_set=parameter_set["id"],
        threshold=threshold,
        inclusive=inclusive,
        higher_is_worse=instrument["higher_is_worse"],
        source=parameter_set["source"],
    )


def _parameters(row: dict[str, Any], progress: ProgressParameters) -> TrajectoryParameters:
    sets = row["parameter_sets"]
    return TrajectoryParameters(
        change=change_parameters(row, sets[0]) if sets else _no_parameters(row),
        progress=progress,
        title=row["title"],
        domain=row["domain"],
        lowest=Decimal(row["range"]["lowest"]),
        highest=Decimal(row["range"]["highest"]),
        response_drop_fraction=_number(row, "response", "drop_fraction"),
        remission_below=_number(row, "remission", "below"),
        caseness_at_least=_number(row, "caseness", "at_least"),
        important_points=_number(row, "important_change", "points"),
    )


def _number(row: dict[str, Any], fact: str, name: str) -> Decimal | None:
    return Decimal(row[fact][name]) if fact in row else None


def _progress(given: dict[str, Any]) -> ProgressParameters:
    return ProgressParameters(
        stall_measures=given["stall_measures"],
        stall_over=timedelta(weeks=given["stall_weeks"]),
        improvement_by=timedelta(weeks=given["improvement_weeks"]),
        band_people_min=given["band_people_min"],
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
