"""Which answers of which forms are evidence, read once from `answers.json`."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from stepwell_routing.rules.answers import Reading, readings_of


@cache
def readings() -> Mapping[str, tuple[Reading, ...]]:
    """How evidence is read from each form, by its canonical without version."""
    return readings_of(json.loads((files("stepwell_routing") / "data" / "answers.json").read_bytes()))
