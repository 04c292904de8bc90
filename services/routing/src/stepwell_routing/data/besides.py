"""How what ran beside a step can end: what each outcome is called, and what becomes of its Task and its request."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import NamedTuple

STATUSES = {"done": ("completed", "completed")}
"""Task and request; where nothing came of it, the Task is cancelled and the request revoked."""


class BesideOutcome(NamedTuple):
    """One outcome: what it is called, and the status in which Task and request are left."""

    display: str
    task: str
    request: str


@cache
def beside_outcomes() -> Mapping[str, BesideOutcome]:
    """By code, as the code system has them."""
    found = json.loads((files("stepwell_shared") / "terminology" / "beside-outcome.json").read_bytes())
    return MappingProxyType(
        {
            each["code"]: BesideOutcome(each["display"], *STATUSES.get(each["code"], ("cancelled", "revoked")))
            for each in found["concept"]
        }
    )
