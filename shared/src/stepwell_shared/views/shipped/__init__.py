"""The views that ship: tables of what Stepwell keeps, without names, addresses or identifiers of people."""

from importlib.resources import files
from typing import Any

import orjson


def shipped_views() -> dict[str, dict[str, Any]]:
    """The ViewDefinitions by name."""
    folder = files(__package__)
    found = [orjson.loads(each.read_bytes()) for each in folder.iterdir() if each.name.endswith(".json")]
    return {each["name"]: each for each in sorted(found, key=lambda each: str(each["name"]))}
