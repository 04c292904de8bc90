"""How much the worklist shows at once, and its words in four languages."""

import tomllib
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

LANGUAGES = ("en", "de", "es", "fr")


def rows_shown() -> int:
    """How many rows a list has unless more or fewer are asked for."""
    return int(_sizes()["page"]["rows"])


def rows_most() -> int:
    """How many rows a list has at most."""
    return int(_sizes()["page"]["rows_most"])


def services_shown() -> int:
    """How many services a page names at most."""
    return int(_sizes()["page"]["services"])


def overview_rows() -> int:
    """How many rows of each list the overview shows."""
    return int(_sizes()["page"]["overview_rows"])


def promise_is_near() -> tuple[timedelta, float]:
    """How long before the promised day a promise is at risk while there is no appointment, and which share of the whole
    wait that is at most."""
    found = _sizes()["promise"]
    return timedelta(days=found["near_days"]), float(found["near_share"])


def load_period() -> tuple[timedelta, int]:
    """The period in which appointments are counted, and how many practitioners are shown."""
    return timedelta(days=_sizes()["load"]["days"]), int(_sizes()["load"]["practitioners"])


def slots_offered() -> tuple[timedelta, int]:
    """How far ahead free times are looked for, and how many are offered."""
    return timedelta(days=_sizes()["slots"]["days"]), int(_sizes()["slots"]["most"])


def said(name: str, language: str, /, **values: object) -> str:
    """Words of the pages with the values put in; in English where there are none in this language."""
    words = _words()
    text = words.get(language, {}).get(name) or words[LANGUAGES[0]][name]
    return text.format(**values) if values else text


def knows(name: str) -> bool:
    """Whether there are words of this name."""
    return name in _words()[LANGUAGES[0]]


@cache
def _words() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = orjson.loads((files(__package__) / "worklist-words.json").read_bytes())[
        "languages"
    ]
    return found


@cache
def _sizes() -> dict[str, Any]:
    return tomllib.loads((files(__package__) / "worklist.toml").read_text(encoding="utf-8"))
