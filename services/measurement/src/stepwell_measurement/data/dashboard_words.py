"""What the dashboards say, in four languages, and how each language writes numbers: dashboard_words.json.

What the quarterly report, minutes and suggestions say beside them is in improvement_words.json.
"""

import json
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple


class Words(NamedTuple):
    """The words of one language."""

    language: str

    def phrase(self, name: str, **given: object) -> str:
        """A short text; `given` fills its gaps."""
        return str(_read()["phrases"][name][self.language]).format(**given)

    def section(self, name: str) -> tuple[str, str]:
        """The title of a section, and the question that it answers."""
        found = _read()["sections"][name]
        return found["title"][self.language], found["question"][self.language]

    def dimension(self, name: str) -> str:
        """What people are told apart by."""
        return self._known("dimensions", name)

    def value(self, name: str) -> str:
        """One group of a dimension; what no list names stands as it is."""
        return self._known("values", name)

    def measure(self, name: str, title: str) -> str:
        """A measure in a few plain words; one that we have no words for has its title."""
        known = _read()["measures"].get(name)
        return title if known is None else str(known[self.language])

    def percent(self, share: float, places: int = 0) -> str:
        """A share as per cent."""
        return str(_read()["numbers"][self.language]["percent"]).format(value=self.number(100 * share, places))

    def number(self, value: float, places: int = 0) -> str:
        """A number as it is written in the language."""
        numbers = _read()["numbers"][self.language]
        whole, _, rest = f"{value:,.{places}f}".partition(".")
        return whole.replace(",", numbers["group"]) + (numbers["decimal"] + rest if rest else "")

    def month(self, month: str) -> str:
        """A month such as 2026-05, short."""
        year, _, number = month.partition("-")
        return f"{_read()['months'][self.language][int(number) - 1]} {year[2:]}"

    def quarter(self, quarter: str) -> str:
        """A quarter such as 2026-Q2."""
        year, _, number = quarter.partition("-Q")
        return self.phrase("quarter-name", number=number, year=year)

    def day(self, day: date) -> str:
        """A day with the name of its month."""
        name = _read()["months"][self.language][day.month - 1]
        return f"{day.day} {name} {day.year}"

    def _known(self, kind: str, name: str) -> str:
        found = _read()[kind].get(name)
        return name if found is None else str(found[self.language])


def languages() -> tuple[str, ...]:
    """The languages that there are, the default first."""
    return tuple(_read()["languages"])


def name_of(language: str) -> str:
    """What a language calls itself."""
    return str(_read()["names"][language])


@cache
def _read() -> dict[str, Any]:
    content, more = (_content(name) for name in ("dashboard_words.json", "improvement_words.json"))
    content["phrases"] |= more["phrases"]
    return content


def _content(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files(__package__) / name).read_text(encoding="utf-8"))
    return content
