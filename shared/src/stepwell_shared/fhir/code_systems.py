"""Code systems whose codes and hierarchy are known: our own, and those of the value sets that R4 binds elements to.

https://hl7.org/fhir/R4/codesystem.html#hierarchy
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import orjson

from stepwell_shared.fhir.values import index_key

_OWN = files("stepwell_shared") / "terminology"
_UPWARD = frozenset({"parent", "subsumedBy"})


@dataclass(frozen=True, slots=True)
class CodeSystem:
    """All codes of a system with the codes right above each; `is_case_sensitive` only where the system says so."""

    url: str
    version: str
    is_case_sensitive: bool
    parents: Mapping[str, tuple[str, ...]]

    def above(self, code: str) -> frozenset[str]:
        """The code and every code that subsumes it."""
        return _reached(code, self.parents)

    def below(self, code: str) -> frozenset[str]:
        """The code and every code that it subsumes."""
        children: dict[str, list[str]] = {}
        for each, parents in self.parents.items():
            for parent in parents:
                children.setdefault(parent, []).append(each)
        return _reached(code, children)


def _reached(code: str, onward: Mapping[str, tuple[str, ...] | list[str]]) -> frozenset[str]:
    found = {code}
    todo = [code]
    while todo:
        further = [each for each in onward.get(todo.pop(), ()) if each not in found]
        found.update(further)
        todo += further
    return frozenset(found)


def code_system_of(resource: Mapping[str, Any]) -> CodeSystem | None:
    """A CodeSystem resource as a code system; None when it does not hold all codes of the system."""
    if resource.get("content") != "complete" or "url" not in resource:
        return None
    parents: dict[str, list[str]] = {}
    for code, above in _edges(resource.get("concept", ()), None):
        known = parents.setdefault(code, [])
        if above is not None and above not in known:
            known.append(above)
    return CodeSystem(
        resource["url"],
        resource.get("version", ""),
        resource.get("caseSensitive", False),
        {code: tuple(above) for code, above in parents.items()},
    )


def _edges(concepts: Any, above: str | None) -> Iterator[tuple[str, str | None]]:
    """(code, a code right above it or None), by nesting and by the properties that state a hierarchy."""
    for concept in concepts:
        yield concept["code"], above
        for stated in concept.get("property", ()):
            if stated["code"] in _UPWARD and "valueCode" in stated:
                yield concept["code"], stated["valueCode"]
            elif stated["code"] == "child" and "valueCode" in stated:
                yield stated["valueCode"], concept["code"]
        yield from _edges(concept.get("concept", ()), concept["code"])


@cache
def known_code_systems() -> Mapping[str, CodeSystem]:
    """By URL: those of R4 and our own."""
    found = {
        url: CodeSystem(
            url, body["version"], body["caseSensitive"], {code: tuple(above) for code, above in body["codes"].items()}
        )
        for url, body in _table()["codeSystems"].items()
    }
    for resource in own_resources("CodeSystem"):
        system = code_system_of(resource)
        if system is not None:
            found[system.url] = system
    return found


@cache
def known_value_sets() -> Mapping[str, Mapping[str, Any]]:
    """By URL: what R4 and we define, as resources with `version` and `compose` or `expansion`."""
    found: dict[str, Mapping[str, Any]] = {
        url: {"url": url, "version": body["version"], "compose": body} for url, body in _table()["valueSets"].items()
    }
    own = {resource["url"]: resource for resource in own_resources("ValueSet")}
    return found | {each["url"]: each for each in map(all_codes_of, own_resources("CodeSystem"))} | own


def all_codes_of(code_system: Mapping[str, Any]) -> dict[str, Any]:
    """The value set of all codes of one of our systems: `.../CodeSystem/tier` has `.../ValueSet/tier`.

    Where a site may bring codes of its own (content is a fragment), the value set lists those that come with us.
    """
    kept = ("id", "language", "version", "name", "title", "status", "experimental", "date", "publisher", "description")
    include = {"system": code_system["url"]}
    if code_system["content"] != "complete":
        include["concept"] = [{"code": code} for code, _ in _edges(code_system["concept"], None)]
    return {
        "resourceType": "ValueSet",
        **{name: code_system[name] for name in kept if name in code_system},
        "url": code_system["url"].replace("/CodeSystem/", "/ValueSet/"),
        "compose": {"include": [include]},
    }


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = orjson.loads(_table_bytes())
    return table


def _table_bytes() -> bytes:
    return (files(__package__) / "data" / "terminology.json").read_bytes()


@cache
def own_resources(resource_type: str) -> tuple[dict[str, Any], ...]:
    """The CodeSystem or ValueSet resources that come with this product."""
    found = map(orjson.loads, _own_bytes())
    return tuple(resource for resource in found if resource["resourceType"] == resource_type)


def _own_bytes() -> Iterator[bytes]:
    return (path.read_bytes() for path in _OWN.iterdir() if path.name.endswith(".json"))


class _Stated(msgspec.Struct, rename="camel"):
    """What a code system says of itself; whatever else the JSON has is passed over."""

    resource_type: str = "CodeSystem"
    url: str = ""
    case_sensitive: bool = False


class _StatedOfR4(msgspec.Struct, rename="camel"):
    code_systems: dict[str, _Stated]


@cache
def case_sensitive_systems() -> frozenset[str]:
    """The systems that say that the case of their codes matters.

    Every create asks this, and needs no codes for it: with all of them a process would hold 5 MiB more.
    """
    of_r4 = msgspec.json.decode(_table_bytes(), type=_StatedOfR4).code_systems
    own = [msgspec.json.decode(text, type=_Stated) for text in _own_bytes()]
    found = {url for url, each in of_r4.items() if each.case_sensitive}
    return frozenset(found | {each.url for each in own if each.resource_type == "CodeSystem" and each.case_sensitive})


def token_key(system: str, code: str) -> str:
    """A code as it stands in indexes: in lower case unless its system says that case matters.

    "When in doubt, servers SHOULD treat tokens in a case-insensitive manner" (section 3.1.1.4.10). Only A to Z are
    folded, which PostgreSQL does in the same way.
    """
    if system in case_sensitive_systems():
        return index_key(code)
    return index_key(code.encode().lower().decode())
