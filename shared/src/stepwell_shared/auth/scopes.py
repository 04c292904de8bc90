"""SMART scopes: what a token grants, parsed once and asked on every request.

SMART App Launch 2.2, "Scopes for requesting FHIR Resources"; version 1 scopes are read as their version 2 meaning.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlencode

LETTERS: Final = "cruds"
VERSION_1: Final[Mapping[str, str]] = {"read": "rs", "write": "cud", "*": "cruds"}

# Which letters of a scope an interaction needs (SMART App Launch 2.2, table of the letters).
INTERACTION_LETTERS: Final[Mapping[str, str]] = {
    "create": "c",
    "read": "r",
    "vread": "r",
    "history-instance": "r",
    "update": "u",
    "patch": "u",
    "delete": "d",
    "search-type": "s",
    "search-system": "s",
    "history-type": "s",
    "history-system": "s",
}

# SMART names no letters for operations: this is our table. An operation that is not in it is granted to nobody.
OPERATION_LETTERS: Final[Mapping[str, str]] = {
    "$apply": "r",
    "$book": "cu",
    "$capacity": "r",
    "$evaluate-measure": "rs",
    "$events": "r",
    "$expand": "r",
    "$explain": "r",
    "$export": "rs",
    "$extract": "r",
    "$find": "s",
    "$form-link": "r",
    "$hold": "cu",
    "$lastn": "s",
    "$lookup": "r",
    "$next-question": "r",
    "$populate": "r",
    "$simulate": "r",
    "$status": "r",
    "$trajectory": "rs",
    "$validate": "r",
    "$validate-code": "r",
}

_SCOPE = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]{1,63})\.([a-z]+|\*)(?:\?(.+))?")
_PARAMETER = re.compile(r"_?[a-z][a-z-]*")
SCOPE_CHARACTERS_MAX: Final = 8192


class ScopeError(ValueError):
    """A scope that is not of the SMART form, or uses what we do not grant; the message quotes it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope: who it is for, the type or `*`, its letters in order, and the search that narrows it."""

    context: str
    resource_type: str
    letters: str
    filters: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """Raises ScopeError. Letters must stand in the order `cruds`; filters are plain search parameters."""
        match = _SCOPE.fullmatch(text)
        if match is None:
            raise ScopeError(f"'{text}' is not a SMART scope such as system/Observation.rs")
        context, resource_type, permission, query = match.groups()
        return cls(context, resource_type, _letters(permission, text), _filters(query, text))

    @property
    def query(self) -> str:
        """The granular part as a search query, empty when the scope is not narrowed."""
        return urlencode(self.filters, safe=":/|,*")

    def __str__(self) -> str:
        narrowed = f"?{self.query}" if self.filters else ""
        return f"{self.context}/{self.resource_type}.{self.letters}{narrowed}"

    def __and__(self, other: "Scope") -> "Scope | None":
        """What both grant, or None."""
        types = {self.resource_type, other.resource_type} - {"*"}
        letters = "".join(letter for letter in self.letters if letter in other.letters)
        if self.context != other.context or len(types) > 1 or not letters:
            return None
        filters = tuple(sorted({*self.filters, *other.filters}))
        return Scope(self.context, types.pop() if types else "*", letters, filters)


def _letters(permission: str, text: str) -> str:
    letters = VERSION_1.get(permission, permission)
    if letters != "".join(letter for letter in LETTERS if letter in letters):
        raise ScopeError(f"'{text}': the letters after the dot are some of c, r, u, d, s, once each and in this order")
    return letters


def _filters(query: str | None, text: str) -> tuple[tuple[str, str], ...]:
    if query is None:
        return ()
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=8)
    except ValueError as error:
        raise ScopeError(f"'{text}': what follows the question mark is not a search such as category=survey") from error
    for name, value in pairs:
        if not _PARAMETER.fullmatch(name) or name == "_filter" or not value:
            raise ScopeError(f"'{text}': '{name}' must be a plain search parameter: no modifier, chain or _filter")
    return tuple(sorted(pairs))


@dataclass(frozen=True, slots=True)
class Scopes:
    """All scopes of one token or client; every question is a look-up."""

    scopes: tuple[Scope, ...] = ()
    _grants: dict[tuple[str, str], tuple[Scope, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        grants: dict[tuple[str, str], tuple[Scope, ...]] = {}
        for scope in self.scopes:
            for letter in scope.letters:
                key = (scope.resource_type, letter)
                grants[key] = (*grants.get(key, ()), scope)
        object.__setattr__(self, "_grants", grants)

    @classmethod
    def parse(cls, text: str) -> "Scopes":
        """Scopes separated by blanks; raises ScopeError at the first that cannot be read."""
        if len(text) > SCOPE_CHARACTERS_MAX:
            raise ScopeError(f"more than {SCOPE_CHARACTERS_MAX} characters of scopes")
        return cls(tuple(dict.fromkeys(Scope.parse(word) for word in text.split())))

    @classmethod
    def understood(cls, text: str) -> "Scopes":
        """The readable SMART scopes of a token; others, such as `openid` of an external issuer, grant nothing."""
        scopes: dict[Scope, None] = {}
        for word in text[:SCOPE_CHARACTERS_MAX].split():
            try:
                scopes[Scope.parse(word)] = None
            except ScopeError:
                continue
        return cls(tuple(scopes))

    def __iter__(self) -> Iterator[Scope]:
        return iter(self.scopes)

    def __str__(self) -> str:
        return " ".join(str(scope) for scope in self.scopes)

    def permits(self, resource_type: str, interaction: str) -> bool:
        """Whether the interaction on this type is granted at all; `*` asks for a grant on every type.

        Interactions are those of the FHIR CapabilityStatement and our operations (`$extract`).
        Granted may still mean narrowed: see `filters`.
        """
        letters = letters_of(interaction)
        return letters != "" and all(self.grants(resource_type, letter) for letter in letters)

    def grants(self, resource_type: str, letter: str) -> tuple[Scope, ...]:
        """The scopes that grant the letter on the type."""
        named = self._grants.get((resource_type, letter), ())
        return named if resource_type == "*" else (*named, *self._grants.get(("*", letter), ()))

    def filters(self, resource_type: str, letter: str) -> list[str]:
        """Search queries of which a resource must match at least one; empty when some scope is not narrowed.

        Raises LookupError when nothing is granted, so that "no scope" never reads as "no restriction".
        """
        grants = self.grants(resource_type, letter)
        if not grants:
            raise LookupError(f"no scope grants '{letter}' on {resource_type}")
        return [] if any(not scope.filters for scope in grants) else [scope.query for scope in grants]

    def intersection(self, requested: "Scopes") -> "Scopes":
        """What is granted here and asked for there."""
        common = (ours & theirs for theirs in requested for ours in self)
        return Scopes(tuple(dict.fromkeys(scope for scope in common if scope is not None)))

    def missing(self, requested: "Scopes") -> list[Scope]:
        """The requested scopes that ask for more than is granted here."""
        return [scope for scope in requested if not self._covers(scope)]

    def _covers(self, scope: Scope) -> bool:
        common = self.intersection(Scopes((scope,)))
        whole = {c for part in common if _as_wide(part, scope) for c in part.letters}
        return whole == set(scope.letters)


def _as_wide(part: Scope, scope: Scope) -> bool:
    return part.resource_type == scope.resource_type and part.filters == scope.filters


def letters_of(interaction: str) -> str:
    """The letters an interaction or operation needs; empty for one that nobody is granted."""
    return INTERACTION_LETTERS.get(interaction) or OPERATION_LETTERS.get(interaction, "")
