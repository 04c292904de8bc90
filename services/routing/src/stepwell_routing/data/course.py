"""What the course of everybody takes from data, with where it comes from."""

import json
from datetime import timedelta
from functools import cache
from importlib.resources import files


def reminded_after() -> timedelta:
    """How soon somebody is told again of a check that nobody has answered."""
    return _days("remindedAfter")


def shadows_kept() -> timedelta:
    """How long it is kept what policies in shadow decided."""
    return _days("shadowDecisionsKept")


@cache
def _days(name: str) -> timedelta:
    found = json.loads((files("stepwell_routing") / "data" / "course.json").read_bytes())
    return timedelta(days=found[name]["days"])
