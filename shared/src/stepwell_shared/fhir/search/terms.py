"""The pieces of a search value, and the places that values take in a statement.

https://hl7.org/fhir/R4/search.html section 3.1.1.4.19
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from stepwell_shared.fhir.outcome import Category, FhirError, Issue

VALUES_MAX = 1000  # values of one search: each costs the database time and stack
_UNIT_SEPARATOR = "\x1f"
_ALTERNATIVE = re.compile(r"(?:[^\\,]|\\.|\\$)+", re.DOTALL)
_PIECE = {mark: re.compile(rf"((?:[^\\{mark}]|\\.)*)\{mark}", re.DOTALL) for mark in "|$"}


@dataclass(frozen=True)
class Check:
    """A question over the same values, of which a yes refuses the search: its parameter has a bare id that is not
    unique."""

    name: str
    statement: str


@dataclass
class Values:
    """The values of a statement; each gets its place in the array `$2`. `checks` come before the statement."""

    entries: list[str | None] = field(default_factory=list)
    entries_max: int = VALUES_MAX
    checks: list[Check] = field(default_factory=list)

    def add(self, value: str) -> str:
        """The place of a value that a request or a scope names; raises FhirError INVALID for one too many or a NUL."""
        if len(self.entries) >= self.entries_max:
            text = f"a search takes at most {VALUES_MAX} values"
            raise FhirError(Category.INVALID, [Issue(text, "too-costly")])
        if "\x00" in value:
            raise FhirError(Category.INVALID, [Issue("a search value must not have NUL characters", "value")])
        return self.place(value)

    def place(self, value: str | None) -> str:
        self.entries.append(value)
        return f"$2[{len(self.entries)}]"

    def add_all(self, found: list[str]) -> str:
        return f"ARRAY[{', '.join(self.add(value) for value in found)}]"

    def among(self, column: str, keys: Iterable[str], *, is_all_but: bool = False) -> str:
        """Whether a column is one of these keys, or none of them. However many take one place: a text that is split
        once, not for each row, and an index on the column still serves. Codes and addresses have no control characters.
        """
        listed = f"string_to_array({self.add(_UNIT_SEPARATOR.join(keys))}, chr(31))"
        return f"({column} IS NOT NULL AND {column} <> ALL({listed}))" if is_all_but else f"{column} = ANY({listed})"


def refused(name: str, text: str) -> FhirError:
    """A 400 that names the parameter, never its value."""
    return FhirError(Category.INVALID, [Issue(f"{name}: {text}", "value", f"http.{name}")])


def too_costly(text: str) -> FhirError:
    """A 400 for a search that would cost more than one request may."""
    return FhirError(Category.INVALID, [Issue(text, "too-costly")])


def alternatives(text: str) -> list[str]:
    """The OR parts of one value; `\\` escapes `,`, `$`, `|` and itself."""
    return _ALTERNATIVE.findall(text) if "," in text or "\\" in text or not text else [text]


def unescape(text: str) -> str:
    return re.sub(r"\\([\\,$|])", r"\1", text) if "\\" in text else text


def escape(text: str) -> str:
    """A text as one value of a search."""
    return re.sub(r"([\\,$|])", r"\\\1", text)


def pieces(text: str, mark: str) -> list[str]:
    """The parts between unescaped marks (`|` or `$`), still escaped."""
    if "\\" not in text:
        return text.split(mark)
    found = []
    while before := _PIECE[mark].match(text):
        found.append(before.group(1))
        text = text[before.end() :]
    return [*found, text]
