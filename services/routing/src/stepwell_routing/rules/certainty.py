"""What is certainly known when a condition has a value, is true, or is false: whether a text can name it without a gap.

In FHIRPath an operator is empty as soon as one side is, but `and` and `or` may be decided by one side alone.
"""

from typing import NamedTuple


class Certain(NamedTuple):
    """Names that are certainly known of a part of a condition, by what it comes to."""

    at_all: frozenset[str] = frozenset()
    if_true: frozenset[str] = frozenset()
    if_false: frozenset[str] = frozenset()

    def negated(self) -> "Certain":
        """Of its negation."""
        return Certain(self.at_all, self.if_false, self.if_true)


UNKNOWN = Certain()


def certain(*names: str | None) -> Certain:
    """Of a name alone, with what is known whenever it is."""
    found = frozenset(name for name in names if name is not None)
    return Certain(found, found, found)


def both(left: Certain, right: Certain) -> Certain:
    """Of an operator that has a value only where both sides have one."""
    found = left.at_all | right.at_all
    return Certain(found, found, found)


def joined(word: str, left: Certain, right: Certain) -> Certain:
    """Of `and`, `or` and `implies`."""
    left = left.negated() if word == "implies" else left
    if word == "and":
        if_true, if_false = left.if_true | right.if_true, left.if_false & right.if_false
    else:
        if_true, if_false = left.if_true & right.if_true, left.if_false | right.if_false
    return Certain(if_true & if_false, if_true, if_false)


def asked(word: str, known: Certain) -> Certain:
    """Of `exists()`, `empty()` and `not()`."""
    if word == "not":
        return known.negated()
    found = Certain(if_true=known.at_all)
    return found if word == "exists" else found.negated()
