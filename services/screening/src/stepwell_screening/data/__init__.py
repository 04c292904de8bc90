"""What screening ships as data: instruments, their scoring, and what a safety finding asks for.

Numbers are read as exact decimals, so that a weight of 0.1 stays 0.1.
"""

import json
from decimal import Decimal
from importlib.resources import files
from typing import Any

INSTRUMENTS = ("phq-9", "gad-7", "phq-15")


def questionnaire(instrument: str) -> dict[str, Any]:
    """The R4 Questionnaire of an instrument, fresh on every call; raises FileNotFoundError for one not shipped."""
    return _read("questionnaires", f"{instrument}.json")


def scoring(instrument: str) -> dict[str, Any]:
    """The scoring definition of an instrument, for `rules.definition.parse_definition`."""
    return _read("scoring", f"{instrument}.json")


def safety_policy() -> dict[str, Any]:
    """Deadlines, wording and risk levels, for `rules.safety.parse_policy`."""
    return _read("safety.json")


def _read(*path: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(files(__name__).joinpath(*path).read_bytes(), parse_float=Decimal)
    return content
