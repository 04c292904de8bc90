"""The instruments, compiled and found by canonical: those that ship and those that a tenant publishes."""

from stepwell_screening.instruments.compiled import Instrument, compile_instrument, safety_policy
from stepwell_screening.instruments.published import find_imported, find_instrument, publications
from stepwell_screening.instruments.shipped import instruments

__all__ = [
    "Instrument",
    "compile_instrument",
    "find_imported",
    "find_instrument",
    "instruments",
    "publications",
    "safety_policy",
]
