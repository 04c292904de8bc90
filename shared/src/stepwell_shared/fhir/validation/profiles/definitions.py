"""The profiles that are known, read from the data files beside this module.

README.md says what the members mean and where they come from.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import msgspec

BASE = "http://hl7.org/fhir/StructureDefinition/"
R4 = "4.0.1"
_FILES = ("subscriptions_backport.json", "structured_data_capture.json", "us_core.json")


class Slice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values of a repeating element that have this pattern, and how many of them there may be."""

    name: str
    pattern: dict[str, Any]
    min: int = 0
    max: int | None = None


class ExtensionUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An extension on an element: the type of its value, the codes of a required binding, and how often it stands."""

    url: str
    value: str
    codes: tuple[str, ...] = ()
    min: int = 0
    max: int | None = None


class ElementRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the profile asks of one element, at a path below the resource."""

    path: str
    min: int = 0
    max: int | None = None
    targets: frozenset[str] = frozenset()
    codes: dict[str, tuple[str, ...]] = {}
    slices: tuple[Slice, ...] = ()
    extensions: tuple[ExtensionUse, ...] = ()


class Constraint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An invariant of the profile; a function of this key decides it."""

    key: str
    severity: str
    human: str
    expression: str
    path: str = ""


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One profile on one resource type; `base` is the canonical of another that must hold too."""

    url: str
    type: str
    title: str
    versions: tuple[str, ...]
    source: str
    base: str | None = None
    elements: tuple[ElementRule, ...] = ()
    rules: tuple[Constraint, ...] = ()


@cache
def known() -> Mapping[str, Profile]:
    """Every profile by its url, without the base definitions of R4."""
    decoder = msgspec.json.Decoder(list[Profile])
    texts = [(files(__package__) / name).read_bytes() for name in _FILES]
    return MappingProxyType({each.url: each for text in texts for each in decoder.decode(text)})


def find(canonical: str, resource_type: str) -> Profile | None:
    """The profile on this type that `url` or `url|version` names; None when it is not known.

    The base definition of a type asks for nothing that R4 does not.
    """
    url, _, version = canonical.partition("|")
    if url == f"{BASE}{resource_type}":
        return Profile(url, resource_type, resource_type, (R4,), url) if version in ("", R4) else None
    found = known().get(url)
    if found is None or found.type != resource_type or (version and version not in found.versions):
        return None
    return found
