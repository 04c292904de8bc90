"""The instruments, compiled and found by canonical: those that ship and those that a tenant publishes."""

from stepwell_screening.instruments.compiled import (
    Instrument,
    asks_for_safety,
    compile_instrument,
    safety_of,
    safety_policy,
)
from stepwell_screening.instruments.published import find_imported, find_instrument, publications, scoring_of, seen_as
from stepwell_screening.instruments.shipped import instruments
from stepwell_screening.instruments.skeletons import skeletons

__all__ = [
    "Instrument",
    "asks_for_safety",
    "compile_instrument",
    "find_imported",
    "find_instrument",
    "instruments",
    "publications",
    "safety_of",
    "safety_policy",
    "scoring_of",
    "seen_as",
    "skeletons",
]
