"""The FHIRPath of official search parameters, compiled to plain functions that collect an element's values.

Only what search parameter definitions use: unions, member access, `as` and `where(resolve() is Type)`.
https://hl7.org/fhir/R4/searchparameter.html#SearchParameter-expression
"""

import re
from collections.abc import Callable
from typing import Any

Extractor = Callable[[dict[str, Any]], list[Any]]

_AS_PREFIX = re.compile(r"\(([\w.]+) as (\w+)\)")
_AS_FUNCTION = re.compile(r"\.(?:as|ofType)\((\w+)\)")
_WHERE_TYPE = re.compile(r"\.where\(resolve\(\) is (\w+)\)")
_PLAIN = re.compile(r"[A-Z]\w*(\.[a-z]\w*)+")


class UnsupportedPathError(ValueError):
    """A search parameter whose expression is not in the subset; it cannot be served."""


def compile_path(
    resource_type: str, expression: str, choice_types: Callable[[str], list[str]]
) -> tuple[Extractor, list[str]]:
    """An extractor for one resource type, and the element paths that it reads.

    `choice_types` gives the type names of a choice element by its path (`Observation.effective`), or
    nothing when the path is no choice. Raises UnsupportedPathError.
    """
    branches = [_branch(part.strip(), choice_types) for part in expression.split("|") if _is_of(part, resource_type)]
    if not branches:
        raise UnsupportedPathError(f"{resource_type} has no branch in {expression!r}")
    extractors = [extractor for extractor, _ in branches]
    paths = [path for _, found in branches for path in found]
    if len(extractors) == 1:
        return extractors[0], paths
    return lambda resource: [value for extract in extractors for value in extract(resource)], paths


def filtered_targets(resource_type: str, expression: str) -> tuple[str, ...]:
    """The only target type that `where(resolve() is Type)` lets through, or nothing when there is no such filter."""
    parts = [part for part in expression.split("|") if _is_of(part, resource_type)]
    found = [matched.group(1) for part in parts if (matched := _WHERE_TYPE.search(part))]
    return tuple(found) if len(found) == len(parts) else ()


def _is_of(part: str, resource_type: str) -> bool:
    return re.match(rf"\(*\s*({resource_type}|Resource|DomainResource)\.", part.strip()) is not None


def _branch(text: str, choice_types: Callable[[str], list[str]]) -> tuple[Extractor, list[str]]:
    only_type = None
    wanted_target = None
    if matched := _WHERE_TYPE.search(text):
        wanted_target = matched.group(1)
        text = text[: matched.start()] + text[matched.end() :]
    if matched := _AS_PREFIX.fullmatch(text):
        text, only_type = matched.group(1), matched.group(2)
    elif matched := _AS_FUNCTION.search(text):
        only_type = matched.group(1)
        text = text[: matched.start()] + text[matched.end() :]
    if not _PLAIN.fullmatch(text):
        raise UnsupportedPathError(f"unsupported expression {text!r}")
    root, *names = text.split(".")
    steps: list[tuple[str, ...]] = []
    path = root
    for name in names:
        path = f"{path}.{name}"
        types = choice_types(path)
        if types and only_type:
            types = [kind for kind in types if kind == only_type]
        steps.append(tuple(name + kind[0].upper() + kind[1:] for kind in types) if types else (name,))
    paths = [".".join([root, *names])]
    return _walker(steps, wanted_target), paths


def _walker(steps: list[tuple[str, ...]], wanted_target: str | None) -> Extractor:
    if len(steps) == 1 and len(steps[0]) == 1 and wanted_target is None:
        (name,) = steps[0]

        def member(resource: dict[str, Any]) -> list[Any]:
            value = resource.get(name)
            if value is None:
                return []
            return value if isinstance(value, list) else [value]

        return member

    def walk(resource: dict[str, Any]) -> list[Any]:
        nodes: list[Any] = [resource]
        for names in steps:
            found: list[Any] = []
            for node in nodes:
                if isinstance(node, dict):
                    for name in names:
                        value = node.get(name)
                        if isinstance(value, list):
                            found += value
                        elif value is not None:
                            found.append(value)
            nodes = found
        return nodes if wanted_target is None else [node for node in nodes if _targets(node, wanted_target)]

    return walk


def _targets(reference: Any, resource_type: str) -> bool:
    """Whether a Reference points at this type, by its address or its stated type."""
    if not isinstance(reference, dict):
        return False
    parts = str(reference.get("reference", "")).split("/_history/")[0].split("/")
    return (len(parts) > 1 and parts[-2] == resource_type) or reference.get("type") == resource_type
