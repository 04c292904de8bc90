"""By what people are told apart in figures (strata.json): bands of age, and where a Patient says what."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any


@cache
def age_starts() -> tuple[int, ...]:
    """The years at which the bands of age begin, the lowest first."""
    return tuple(_read()["ageBands"]["starts"])


@cache
def age_bands() -> tuple[str, ...]:
    """The bands of age by name, such as 18-24 and 80+, in the order of `age_starts`."""
    starts = age_starts()
    closed = [f"{start}-{following - 1}" for start, following in pairwise(starts)]
    return (*closed, f"{starts[-1]}+")


@cache
def ethnicity_extensions() -> tuple[frozenset[str], str]:
    """The extensions of a Patient that say an ethnicity, and the part of them that has the broad category."""
    found = _read()["ethnicity"]
    return frozenset(found["extensions"]), str(found["part"])


@cache
def area_extensions() -> Mapping[str, frozenset[str]]:
    """The extensions of a Patient, or of an address, that say what an area is like, by dimension."""
    return {dimension: frozenset(each["extensions"]) for dimension, each in _read()["areas"].items()}


@cache
def _read() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((files(__package__) / "strata.json").read_text(encoding="utf-8"))
    return found
