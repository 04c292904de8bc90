"""What the course of everybody takes from data, with where it comes from."""

import json
from datetime import timedelta
from functools import cache
from importlib.resources import files


@cache
def reminded_after() -> timedelta:
    """How soon somebody is told again of a check that nobody has answered."""
    found = json.loads((files("stepwell_routing") / "data" / "course.json").read_bytes())
    return timedelta(days=found["remindedAfter"]["days"])
