"""Regular expressions in time that is bounded whatever the pattern: every part maps the set of places where it may
begin to the set of places where it may end, so that nothing is tried twice.

Literals, `.`, classes, `\\d \\w \\s` and their opposites, groups, `|`, `^ $`, `* + ? {m,n}`, lazy or not; what needs
backtracking (back references, looking around) is refused.
"""

import re
from collections.abc import Callable, Set
from functools import lru_cache

from stepwell_screening.rules.fhirpath.budget import Budget, ExpressionError

LENGTH_MAX = 500
REPEATS_MAX = 1000
DEPTH_MAX = 20
Places = Set[int]
Part = Callable[[str, Places, Budget], Places]
_REPEATS = re.compile(r"([0-9]{1,4})(,?)([0-9]{0,4})\}")
_SHORTHAND = "dDwWsS"


def search(pattern: str, text: str, budget: Budget) -> bool:
    """Whether the pattern is found anywhere in the text. Raises ExpressionError for a pattern that cannot be used."""
    budget.spend(1 + len(text))
    return bool(_compiled(pattern)(text, frozenset(range(len(text) + 1)), budget))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Part:
    if len(pattern) > LENGTH_MAX:
        raise ExpressionError(f"a pattern has at most {LENGTH_MAX} characters")
    reader = _Reader(pattern)
    part = reader.alternatives()
    if reader.rest():
        raise reader.refusal()
    return part


def _one(fits: Callable[[str], object]) -> Part:
    """A part that takes one character."""

    def run(text: str, places: Places, budget: Budget) -> Places:
        budget.spend(1 + len(places) // 4)
        return {place + 1 for place in places if place < len(text) and fits(text[place])}

    return run


def _sequence(parts: list[Part]) -> Part:
    def run(text: str, places: Places, budget: Budget) -> Places:
        for part in parts:
            if not places:
                break
            places = part(text, places, budget)
        return places

    return run


def _choice(parts: list[Part]) -> Part:
    return lambda text, places, budget: frozenset().union(*(part(text, places, budget) for part in parts))


def _repeated(part: Part, least: int, most: int | None) -> Part:
    def run(text: str, places: Places, budget: Budget) -> Places:
        for _ in range(least):
            budget.spend()
            places = part(text, places, budget)
        found, fresh, count = set(places), places, least
        while fresh and (most is None or count < most):
            budget.spend()
            fresh = part(text, fresh, budget) - found
            found |= fresh
            count += 1
        return found

    return run


def _start(text: str, places: Places, budget: Budget) -> Places:
    return places & {0}


def _end(text: str, places: Places, budget: Budget) -> Places:
    return places & {len(text)}


class _Reader:
    """Reads one pattern from the left."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.place = 0
        self.depth = 0

    def rest(self) -> str:
        return self.pattern[self.place :]

    def refusal(self) -> ExpressionError:
        return ExpressionError(f"a pattern cannot be used from its character {self.place + 1} on")

    def next(self) -> str:
        if self.place >= len(self.pattern):
            raise self.refusal()
        self.place += 1
        return self.pattern[self.place - 1]

    def taken(self, text: str) -> bool:
        found = self.pattern.startswith(text, self.place)
        self.place += len(text) if found else 0
        return found

    def alternatives(self) -> Part:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise self.refusal()
        parts = [self.sequence()]
        while self.taken("|"):
            parts.append(self.sequence())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else _choice(parts)

    def sequence(self) -> Part:
        parts = []
        while self.rest() and self.rest()[0] not in "|)":
            parts.append(self.quantified(self.atom()))
        return _sequence(parts)

    def atom(self) -> Part:
        character = self.next()
        if character == "(":
            if self.rest().startswith("?") and not self.taken("?:"):
                raise self.refusal()
            part = self.alternatives()
            if not self.taken(")"):
                raise self.refusal()
            return part
        if character == "[":
            return _one(self.character_class())
        if character in "^$":
            return _start if character == "^" else _end
        if character in "*+?{":
            raise self.refusal()
        if character == ".":
            return _one(lambda each: each != "\n")
        return _one(self.escaped() if character == "\\" else _is(character))

    def escaped(self) -> Callable[[str], object]:
        character = self.next()
        if character in _SHORTHAND:
            return re.compile(f"\\{character}").match
        if character.isalnum() and character not in "nrtf":
            raise self.refusal()
        return _is({"n": "\n", "r": "\r", "t": "\t", "f": "\f"}.get(character, character))

    def character_class(self) -> Callable[[str], object]:
        start = self.place
        self.taken("^")
        self.taken("]")
        while self.next() != "]":
            if self.pattern[self.place - 1] == "\\":
                self.next()
        text = self.pattern[start : self.place]
        if re.search(r"\[|--|&&|~~|\|\|", text):  # means something else elsewhere, or will
            raise self.refusal()
        try:
            return re.compile(f"[{text}").fullmatch
        except re.error:
            raise self.refusal() from None

    def quantified(self, part: Part) -> Part:
        while self.rest()[:1] and self.rest()[0] in "*+?{":
            mark = self.next()
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(mark, (0, 0))
            if mark == "{":
                match = _REPEATS.match(self.pattern, self.place)
                if match is None:
                    raise self.refusal()
                self.place = match.end()
                least = int(match[1])
                most = int(match[3]) if match[3] else (None if match[2] else least)
                if max(least, most or 0) > REPEATS_MAX:
                    raise self.refusal()
            part = _repeated(part, least, most)
            self.taken("?")
        return part


def _is(character: str) -> Callable[[str], object]:
    return lambda each: each == character
