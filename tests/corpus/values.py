"""What an example says under a search parameter, read from its JSON by the parameter's plain path and nothing else."""

import re
from collections.abc import Iterator
from typing import Any

from stepwell_shared.fhir import definitions

from tests.corpus.exact import Members

# Parameters whose path goes through members alone; the others need FHIRPath, and have tests of their own.
PLAIN_PATH = re.compile(r"[A-Z]\w+((?:\.\w+)+)")
EXACT = frozenset({"token", "uri"})
WITHIN = frozenset({"string", "date"})
_ESCAPED = re.compile(r"[\\$,|]")


def plain_parameters(resource_type: str, names: Iterator[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Name, kind and path of each parameter that is as simple as that."""
    for name in names:
        definition = definitions.search_parameter(resource_type, name)
        matched = PLAIN_PATH.fullmatch(definition.expression)
        if matched and definition.type in EXACT | WITHIN:
            yield name, definition.type, matched.group(1).strip(".").split(".")


def values(content: Members, path: list[str], kind: str) -> set[str]:
    """What to search for, each in the form of a query's value."""
    found: set[str] = set()
    for leaf in _leaves(content, path):
        found |= set(_tokens(leaf) if kind == "token" else _texts(leaf))
    return found


def _leaves(value: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(value, list) and not isinstance(value, Members):
        for each in value:
            yield from _leaves(each, path)
    elif not path:
        yield value
    elif isinstance(value, Members):
        yield from _leaves(value.get(path[0]), path[1:])


def _tokens(leaf: Any) -> Iterator[str]:
    if isinstance(leaf, bool):
        yield str(leaf).lower()
    elif isinstance(leaf, str):
        yield _escaped(leaf)
    elif isinstance(leaf, Members):
        yield from _coded(leaf)


def _coded(leaf: Members) -> Iterator[str]:
    """The codings of a concept, a Coding, or an Identifier; ContactPoints know no system that is a URI."""
    codings = leaf.get("coding")
    for coding in codings if isinstance(codings, list) else [leaf]:
        code = coding.get("code") or coding.get("value")
        system = coding.get("system")
        if isinstance(code, str) and isinstance(system, str) and ":" in system:
            yield f"{_escaped(system)}|{_escaped(code)}"


def _texts(leaf: Any) -> Iterator[str]:
    if isinstance(leaf, str) and leaf.strip():
        yield _escaped(leaf)


def _escaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\\" + found.group(), text)
