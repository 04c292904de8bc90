"""What a person reads beside their own results, in four languages: trajectory_words.json."""

import json
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any


def languages() -> tuple[str, ...]:
    """The languages that there are, the default first."""
    return tuple(_read()["languages"])


def domain(name: str, language: str) -> str:
    """What an instrument is about, such as mood."""
    return str(_read()["domains"][name][language])


def standing(code: str, language: str) -> str:
    """What the person's answers say so far, as a sentence to them."""
    return str(_read()["standings"][code][language])


def phrase(name: str, language: str, **given: object) -> str:
    """A short text; `given` fills its gaps."""
    return str(_read()["phrases"][name][language]).format(**given)


def date(moment: datetime, language: str) -> str:
    """A day as it is written in the language."""
    dates = _read()["dates"]
    day, number = (moment.day, moment.month) if language == "en" else (f"{moment.day:02d}", f"{moment.month:02d}")
    text: str = dates[language]
    return text.format(day=day, number=number, month=dates["months"][moment.month - 1], year=moment.year)


@cache
def _read() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files(__package__) / "trajectory_words.json").read_text(encoding="utf-8"))
    return content
