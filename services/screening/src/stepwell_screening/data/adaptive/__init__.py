"""The adaptive forms that ship with screening: which questions come first and what leaves the others out."""

import json
from decimal import Decimal
from importlib.resources import files
from typing import Any


def forms() -> list[dict[str, Any]]:
    """Every form, by name, for `rules.adaptive.parse_form`."""
    found = sorted(
        (each for each in files(__name__).iterdir() if each.name.endswith(".json")), key=lambda each: each.name
    )
    return [json.loads(each.read_bytes(), parse_float=Decimal) for each in found]
