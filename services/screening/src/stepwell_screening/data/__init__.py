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


def is_scored(instrument: str) -> bool:
    """Whether a scoring definition ships for this name."""
    return files(__name__).joinpath("scoring", f"{instrument}.json").is_file()


def shipped() -> list[str]:
    """The instruments and forms that ship with their wording, by name."""
    return _names("questionnaires")


def skeletons() -> list[str]:
    """The instruments whose wording a site must supply, by name."""
    return _names("skeletons")


def skeleton(instrument: str) -> dict[str, Any]:
    """The skeleton of an instrument, for `rules.skeletons.parse_skeleton`."""
    return _read("skeletons", f"{instrument}.json")


def safety_policy() -> dict[str, Any]:
    """Deadlines, wording and risk levels, for `rules.safety.parse_policy`."""
    return _read("safety.json")


def _names(folder: str) -> list[str]:
    found = (each.name for each in files(__name__).joinpath(folder).iterdir())
    return sorted(name.removesuffix(".json") for name in found if name.endswith(".json"))


def on_call() -> dict[str, Any]:
    """Who is told when a safety alert waits, for `rules.escalation.parse_on_call`; a site sets its own."""
    return _read("oncall.json")


def cadence() -> dict[str, Any]:
    """How often whom is asked for which form, for `rules.cadence_policy.parse_cadence`."""
    return _read("cadence.json")


def reminders() -> dict[str, Any]:
    """What a person is sent when a form waits for them, by language."""
    return _read("reminders.json")


def _read(*path: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(files(__name__).joinpath(*path).read_bytes(), parse_float=Decimal)
    return content
