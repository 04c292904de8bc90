"""What pages say when they cannot be shown, and around them, in four languages: words.json."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

LANGUAGES = ("en", "de", "es", "fr")


def phrase(name: str, language: str) -> str:
    """A short text of the frame of a page; in English where there is none in this language."""
    return _said(_read()["phrases"][name], language)


def refusal(status: int, language: str) -> tuple[str, str]:
    """What has happened, and what somebody can do about it."""
    known = _read()["refusals"]
    found = known.get(str(status)) or known["5xx" if status >= 500 else "4xx"]
    return _said(found["title"], language), _said(found["advice"], language)


def _said(texts: dict[str, str], language: str) -> str:
    return texts.get(language) or texts[LANGUAGES[0]]


@cache
def _read() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files(__package__) / "words.json").read_text(encoding="utf-8"))
    return content
