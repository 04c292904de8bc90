"""What extraction has to know of FHIR's types; whoever asks for one looks it up in the official definitions."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Element:
    """One element as JSON has it: its property, its type, where its children are defined, whether it is a list."""

    name: str
    kind: str
    content: str | None
    repeats: bool


Structure = Callable[[str, str], tuple[Element, ...]]
"""The element of this name in a type (`Patient`, `HumanName`, `Patient.contact`); a choice without its type is every
property that it may be; nothing for what R4 does not have there."""
