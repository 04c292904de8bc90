"""JSON that is compared as it was written: members in their order, numbers by their digits, nothing rounded."""

import json
from collections.abc import Iterator
from typing import Any


class Number(str):
    """A number as its text."""

    __slots__ = ()


class Members(list[tuple[str, Any]]):
    """An object as its members in order."""

    def get(self, name: str) -> Any:
        """The member's value, or None."""
        return next((value for key, value in self if key == name), None)

    def without(self, *names: str) -> "Members":
        """The object without these members."""
        return Members(member for member in self if member[0] not in names)


def parse(text: str | bytes) -> Any:
    """Objects as Members, numbers as Number. Raises ValueError."""
    return json.loads(text, object_pairs_hook=Members, parse_float=Number, parse_int=Number)


def written(value: Any) -> str:
    """The same content without white space between tokens."""
    return "".join(_tokens(value))


def _tokens(value: Any) -> Iterator[str]:
    if isinstance(value, Members):
        yield "{"
        for number, (name, member) in enumerate(value):
            yield "," if number else ""
            yield f"{json.dumps(name, ensure_ascii=False)}:"
            yield from _tokens(member)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, member in enumerate(value):
            yield "," if number else ""
            yield from _tokens(member)
        yield "]"
    elif isinstance(value, Number):
        yield str(value)
    else:
        yield json.dumps(value, ensure_ascii=False)
