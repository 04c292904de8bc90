"""Paths of views: read once and compiled to functions, so that a resource costs microseconds.

https://hl7.org/fhirpath/N1/#grammar, as much of it as shareable views have.
"""

import operator
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any, NoReturn

from stepwell_shared.views import operators
from stepwell_shared.views.functions import function, of_type, reference_key
from stepwell_shared.views.values import Path, ViewError

LENGTH_MAX = 4096
DEPTH_MAX = 60
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<moment>@(?:T?\d[\d\-:.TZ+]*))|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<constant>%(?:[A-Za-z_]\w*|'[^']+'|`[^`]+`))|(?P<this>\$this)|(?P<name>[A-Za-z_]\w*|`[^`]+`)"
    r"|(?P<mark><=|>=|!=|[<>=+\-*/&().,\[\]{}]))"
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
# Elements whose type is part of their name in JSON: value is valueQuantity or valueString, and so on.
_CHOICES = frozenset(
    {
        *("value", "effective", "onset", "abatement", "deceased", "multipleBirth", "occurrence", "performed"),
        *("medication", "asNeeded", "serviced", "identified", "defaultValue"),
    }
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _named(name: str) -> Path:
    return operators.row_index if name == "rowIndex" else operators.constant(name)


# Terms of one token.
_TERMS: dict[str, Callable[[str], Path]] = {
    "text": lambda text: operators.literal(_unescaped(text[1:-1])),
    "number": lambda text: operators.literal(Decimal(text) if "." in text else int(text)),
    "moment": lambda text: operators.literal(text[1:].removeprefix("T")),
    "name": lambda text: operators.literal(text == "true"),
    "constant": _named,
    "this": lambda text: operators.this,
}


@cache
def compiled(text: str) -> Path:
    """The function that finds what a path names. Raises ViewError for what is no path of a view."""
    if not isinstance(text, str) or not text.strip() or len(text) > LENGTH_MAX:
        raise ViewError("a path is a text that is not empty, and not too long")
    return _Parser(text).path()


@cache
def constants_in(text: str) -> frozenset[str]:
    """The names of the constants that a path uses."""
    return frozenset(value for kind, value in _tokens(text) if kind == "constant") - {"rowIndex"}


def _tokens(text: str) -> list[tuple[str, str]]:
    found, place = [], 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise ViewError(f"the path {text!r} cannot be read at character {place + 1}")
        kind, value = match.lastgroup, match[match.lastgroup]
        if kind in {"name", "constant"}:
            value = value.removeprefix("%").strip("`'")
        found.append((kind, value))
        place = match.end()
    return found


class _Parser:
    """One path on its way; each method reads what binds tighter than the one before."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [*_tokens(text), ("end", "")]
        self._place = 0
        self._depth = 0

    def path(self) -> Path:
        found = self._any()
        if self._tokens[self._place][0] != "end":
            self._fail()
        return found

    def _any(self) -> Path:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise ViewError("a path is nested too deep")
        found = self._left_to_right(self._all, {"or": operators.either, "xor": operators.xor})
        self._depth -= 1
        return found

    def _all(self) -> Path:
        return self._left_to_right(self._equality, {"and": operators.both})

    def _equality(self) -> Path:
        return self._left_to_right(self._inequality, {"=": operators.same, "!=": operators.different})

    def _inequality(self) -> Path:
        return self._left_to_right(self._sum, {mark: operators.ordered(test) for mark, test in _COMPARISONS.items()})

    def _sum(self) -> Path:
        return self._left_to_right(
            self._product, {"+": operators.added, "-": operators.arithmetic(operator.sub), "&": operators.concatenated}
        )

    def _product(self) -> Path:
        return self._left_to_right(self._signed, {"*": operators.arithmetic(operator.mul), "/": operators.divided})

    def _left_to_right(self, inner: Callable[[], Path], known: dict[str, Callable[[Path, Path], Path]]) -> Path:
        found = inner()
        while (mark := self._tokens[self._place][1]) in known and self._tokens[self._place][0] in {"mark", "name"}:
            self._place += 1
            found = known[mark](found, inner())
        return found

    def _signed(self) -> Path:
        if self._take("-"):
            return operators.arithmetic(operator.sub)(operators.literal(0), self._signed())
        return self._steps()

    def _steps(self) -> Path:
        """A term, and what follows it after points and in brackets."""
        found, kind = self._term()
        while True:
            if self._take("["):
                found = operators.then(found, operators.at(self._any()))
                self._need("]")
            elif self._take("."):
                step, kind = self._step(kind)
                found = operators.then(found, step)
            else:
                return found

    def _term(self) -> tuple[Path, str]:
        kind, value = self._tokens[self._place]
        if kind == "name" and value not in {"true", "false"}:
            return self._first_step(value)
        if kind in _TERMS:
            self._place += 1
            return _TERMS[kind](value), ""
        if self._take("("):
            inner = self._any()
            self._need(")")
            return inner, ""
        self._need("{")
        self._need("}")
        return operators.nothing, ""

    def _first_step(self, name: str) -> tuple[Path, str]:
        """A path may begin with the type of the resource that it is about."""
        if name[0].isupper() and self._tokens[self._place + 1] != ("mark", "("):
            self._place += 1
            return of_type(name), name
        return self._step("")

    def _step(self, kind: str) -> tuple[Path, str]:
        """One member or function. A choice with its type is the one member that JSON has for both."""
        name = self._name()
        if self._tokens[self._place] == ("mark", "("):
            return self._called(name, kind), ""
        after = self._tokens[self._place : self._place + 5]
        if after[:3] == [("mark", "."), ("name", "ofType"), ("mark", "(")] and after[4:] == [("mark", ")")]:
            self._place += 5
            return operators.chosen(name, after[3][1]), after[3][1]
        kind = "date" if name == "birthDate" else ""
        return (operators.choice(name) if name in _CHOICES else operators.member(name)), kind

    def _called(self, name: str, kind: str) -> Path:
        self._need("(")
        if name in {"ofType", "getReferenceKey"} and self._tokens[self._place][0] == "name":
            given = self._name()
            self._need(")")
            return of_type(given) if name == "ofType" else reference_key(given)
        arguments: list[Path] = []
        while not self._take(")"):
            if arguments:
                self._need(",")
            arguments.append(self._any())
        return function(name, arguments, kind)

    def _name(self) -> str:
        kind, value = self._tokens[self._place]
        if kind != "name":
            self._fail()
        self._place += 1
        return value

    def _take(self, mark: str) -> bool:
        if self._tokens[self._place] == ("mark", mark):
            self._place += 1
            return True
        return False

    def _need(self, mark: str) -> None:
        if not self._take(mark):
            self._fail()

    def _fail(self) -> NoReturn:
        at = self._tokens[self._place][1] or "its end"
        raise ViewError(f"the path {self._text!r} cannot be read at {at}")


def _unescaped(text: str) -> str:
    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", lambda found: _escape(found[1]), text)


def _escape(mark: str) -> str:
    return chr(int(mark[1:], 16)) if len(mark) == 5 else _ESCAPES.get(mark, mark)
