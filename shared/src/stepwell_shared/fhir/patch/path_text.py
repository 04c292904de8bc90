"""The part of FHIRPath that patches address elements with, read from text into steps.

Members, indexes, first(), last(), where(member = literal and ...) and ofType(Type); everything else is refused.
https://hl7.org/fhir/R4/fhirpatch.html, http://hl7.org/fhirpath/N1/
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from stepwell_shared.fhir.outcome import Category, FhirError, Issue

PATH_CHARACTERS_MAX = 2000

_TOKEN = re.compile(
    r"\s*(?:(?P<name>\$this|[A-Za-z_][A-Za-z0-9_]*)|`(?P<quoted>[A-Za-z_][A-Za-z0-9_]*)`"
    r"|'(?P<text>(?:[^'\\]|\\(?:u[0-9A-Fa-f]{4}|.))*)'"
    r"|@(?P<moment>T?[0-9][0-9T:.Z+-]*)|(?P<number>-?[0-9]{1,40}(?:\.[0-9]{1,40})?)|(?P<mark>[.\[\]()=]))"
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_THIS = "$this"

Literal = str | bool | Decimal


@dataclass(frozen=True)
class Member:
    """The children of this name."""

    name: str


@dataclass(frozen=True)
class Index:
    """The item at this place; -1 is the last one."""

    number: int


@dataclass(frozen=True)
class OfType:
    """Only items of this type."""

    kind: str


@dataclass(frozen=True)
class Where:
    """Only items of which each path (empty for the item itself) leads to the one value beside it."""

    tests: tuple[tuple[tuple[str, ...], Literal], ...]


Step = Member | Index | OfType | Where


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


def read_path(text: str) -> tuple[Step, ...]:
    """The steps of a path. Raises FhirError INVALID with the place of what is not understood."""
    if len(text) > PATH_CHARACTERS_MAX:
        raise FhirError(Category.INVALID, [Issue(f"a path has at most {PATH_CHARACTERS_MAX} characters", "too-long")])
    return _Reader(text).path()


def _tokens(text: str) -> Iterator[_Token]:
    position, end = 0, len(text.rstrip())
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            raise _unsupported(position)
        yield _Token(found.lastgroup, found.group(found.lastgroup), found.start(found.lastgroup))
        position = found.end()


def _unsupported(position: int) -> FhirError:
    text = (
        f"the path is not understood at character {position + 1}: it takes members, indexes, first(), last(),"
        " where(member = literal and ...) and ofType(Type)"
    )
    return FhirError(Category.INVALID, [Issue(text, "not-supported")])


class _Reader:
    """Recursive descent over the tokens of one path."""

    def __init__(self, text: str) -> None:
        self._tokens = [*_tokens(text), _Token("end", "", len(text))]
        self._next = 0

    def path(self) -> tuple[Step, ...]:
        steps = [self._first_step()]
        while self._peek().kind != "end":
            if self._takes("["):
                steps.append(Index(self._index("]")))
            else:
                self._expect(".")
                steps.append(self._step())
        return tuple(steps)

    def _first_step(self) -> Step:
        step = self._step()
        if not isinstance(step, Member):
            raise _unsupported(0)
        return step

    def _step(self) -> Step:
        name = self._member()
        if not self._takes("("):
            return Member(name)
        if name == "where":
            return self._where()
        if name == "ofType":
            kind = self._member()
            while self._takes("."):
                kind = self._member()  # FHIR.Quantity names the same type as Quantity
            self._expect(")")
            return OfType(kind)
        if name in {"first", "last"}:
            self._expect(")")
            return Index(0 if name == "first" else -1)
        raise _unsupported(self._tokens[self._next - 2].start)

    def _where(self) -> Where:
        tests = [self._test()]
        while self._peek()[:2] == ("name", "and"):
            self._next += 1
            tests.append(self._test())
        self._expect(")")
        return Where(tuple(tests))

    def _test(self) -> tuple[tuple[str, ...], Literal]:
        names: list[str] = []
        if self._peek()[:2] == ("name", _THIS):
            self._next += 1
        else:
            names.append(self._member())
        while self._takes("."):
            names.append(self._member())
        self._expect("=")
        return tuple(names), self._literal()

    def _literal(self) -> Literal:
        token = self._take()
        if token.kind == "text":
            return _ESCAPE.sub(_unescaped, token.text)
        if token.kind == "number":
            return Decimal(token.text)
        if token.kind == "moment":
            return token.text.removeprefix("T").removesuffix("T")
        if token.kind == "name" and token.text in {"true", "false"}:
            return token.text == "true"
        raise _unsupported(token.start)

    def _member(self) -> str:
        token = self._take()
        if token.kind not in {"name", "quoted"} or token.text == _THIS:
            raise _unsupported(token.start)
        return token.text

    def _index(self, closing: str) -> int:
        token = self._take()
        if token.kind != "number" or not token.text.isdecimal() or len(token.text) > 9:
            raise _unsupported(token.start)
        self._expect(closing)
        return int(token.text)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        self._next += token.kind != "end"
        return token

    def _takes(self, mark: str) -> bool:
        found = self._peek()[:2] == ("mark", mark)
        self._next += found
        return found

    def _expect(self, mark: str) -> None:
        if not self._takes(mark):
            raise _unsupported(self._peek().start)


def _unescaped(found: re.Match[str]) -> str:
    escaped = found.group(1)
    return chr(int(escaped[1:], 16)) if len(escaped) == 5 else _ESCAPES.get(escaped, escaped)
