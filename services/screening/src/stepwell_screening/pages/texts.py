"""The words of the pages, in each language that ships. Which one a reader gets is theirs to choose."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files

from stepwell_shared.fhir.languages import best

LANGUAGES = ("en", "de", "es", "fr")


@dataclass(frozen=True)
class Texts:
    """One language: `said("page.title")` is what the page is called in it."""

    language: str
    name: str
    direction: str
    words: Mapping[str, Mapping[str, str]]

    def said(self, key: str, **values: object) -> str:
        """The words under `section.name` with the values put in. Raises KeyError for words that there are none of."""
        section, _, name = key.partition(".")
        return self.words[section][name].format(**values)

    def date(self, moment: datetime) -> str:
        """A day as everybody reads it alike."""
        return moment.date().isoformat()


@cache
def texts_in(language: str) -> Texts:
    """The words of a language that ships."""
    content = json.loads((files("stepwell_screening.data") / "texts" / f"{language}.json").read_bytes())
    words = {name: section for name, section in content.items() if isinstance(section, dict)}
    return Texts(content["language"], content["name"], content["direction"], words)


def texts_for(accept_language: str, chosen: str = "") -> Texts:
    """The words in the language that was chosen on the page, else in the one that the browser asks for."""
    return texts_in(chosen if chosen in LANGUAGES else best(accept_language, LANGUAGES) or LANGUAGES[0])
