"""How searches are worded: most differ from one that was read before in nothing but the references that they are about.

So what was read of one serves the others: conditions, plan and statement are the same, and only the places of the
references among the values are filled anew.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from stepwell_shared.fhir.registry import ServedType
from stepwell_shared.fhir.search.terms import Values
from stepwell_shared.fhir.search.tokens import CODED

CHARACTERS_MAX = 512
"""A wording that is longer is not remembered: who makes many up must not fill the memory."""
# Of these a search makes the same at any time, whoever asks.
_RESULT_PARAMETERS = frozenset(
    {"_count", "_elements", "_format", "_include", "_pretty", "_revinclude", "_sort", "_summary", "_total"}
)
_REFERENCE = re.compile(r"(?:([A-Z][A-Za-z]{0,63})/)?([A-Za-z0-9\-.]{1,64})")

Wording: TypeAlias = tuple[tuple[str, ...], ...]


class Named(NamedTuple):
    """A reference that a search names: at which place among its parameters, and as a value of the statement."""

    place: int
    address: str


def wording_of(served_type: ServedType, parameters: Sequence[tuple[str, str]]) -> tuple[Wording, list[Named]]:
    """The words of a search without the ids of its references, and these."""
    words: list[tuple[str, ...]] = []
    named: list[Named] = []
    referring = served_type.referring
    for place, pair in enumerate(parameters):
        name, value = pair
        found = _REFERENCE.fullmatch(value) if name in referring else None
        if found is not None and (resource_type := found[1] or referring[name]):
            words.append((name, resource_type, "/"))
            named.append(Named(place, f"{resource_type}/{found[2]}"))
        else:
            words.append(pair)
    return tuple(words), named


def is_lasting(served_type: ServedType, words: Wording) -> bool:
    """Whether what was read of these words stays true: nothing in them depends on the time, on who asks or on what is
    stored."""
    if sum(len(each) for word in words for each in word) > CHARACTERS_MAX:
        return False
    return all(len(word) == 3 or _is_lasting(served_type, word[0]) for word in words)


def _is_lasting(served_type: ServedType, name: str) -> bool:
    plain, _, modifier = name.partition(":")
    if plain in _RESULT_PARAMETERS:
        return True
    parameter = served_type.parameters.get(plain)
    if parameter is None or parameter.type != "token" or not parameter.element_types:
        return False
    return parameter.element_types <= CODED and modifier in {"", "not"}


def places_of(named: Sequence[Named], values: Values) -> list[int] | None:
    """Where the references stand among the values; None unless each is there exactly once."""
    addresses = [each.address for each in named]
    if any(values.entries.count(each) != 1 for each in addresses):
        return None
    return [values.entries.index(each) for each in addresses]
