"""The FHIRPath of official search parameters, compiled to plain functions that collect an element's values.

Only what search parameter definitions use: unions, member access, `as`, `where(resolve() is Type)`,
`where(member='text')`, `where(hasExtension('url'))` and "there and not false".
https://hl7.org/fhir/R4/searchparameter.html#SearchParameter-expression
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

Extractor = Callable[[dict[str, Any]], list[Any]]
ChoiceTypes = Callable[[str], list[str]]

_AS_PREFIX = re.compile(r"\(([\w.]+) as (\w+)\)((?:\.[a-z]\w*)*)")
_AS_FUNCTION = re.compile(r"\.(?:as|ofType)\((\w+)\)")
_WHERE_TYPE = re.compile(r"\.where\(resolve\(\) is (\w+)\)")
_EXTENSION = "extension"
_WHERE_EQUAL = re.compile(r"\.where\((\w+)='([\w-]+)'\)")
_WHERE_EXTENDED = re.compile(r"\.where\(hasExtension\('([^']+)'\)\)")
_NOT_FALSE = re.compile(r"([A-Z]\w*\.(\w+))\.exists\(\) and \1 != false")
_PLAIN = re.compile(r"[A-Z]\w*(\.[a-z]\w*)+")


class UnsupportedPathError(ValueError):
    """A search parameter whose expression is not in the subset; it cannot be served."""


class _Step(NamedTuple):
    """One member access: the JSON names of the element, and what one of its own members must say.

    For the member `extension` that is the URL of one of its extensions.
    """

    names: tuple[str, ...]
    member: str = ""
    text: str = ""

    def passes(self, node: Any) -> bool:
        """Whether the element says it."""
        if not self.member:
            return True
        said = node.get(self.member) if isinstance(node, dict) else None
        if self.member == _EXTENSION and isinstance(said, list):
            return any(isinstance(each, dict) and each.get("url") == self.text for each in said)
        return bool(said == self.text)


def compile_path(resource_type: str, expression: str, choice_types: ChoiceTypes) -> tuple[Extractor, list[str]]:
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


def compile_member(base: str, expression: str, choice_types: ChoiceTypes) -> Extractor:
    """An extractor that starts from the element at `base`, for the parts of a composite."""
    extractors = []
    for part in expression.split("|"):
        path, only_type = part.strip(), None
        if matched := _AS_FUNCTION.search(path):
            path, only_type = path[: matched.start()], matched.group(1)
        extractors.append(_walker(_steps(base, path.split("."), only_type, None, choice_types), None))
    return lambda node: [value for extract in extractors for value in extract(node)]


def filtered_targets(resource_type: str, expression: str) -> tuple[str, ...]:
    """The only target type that `where(resolve() is Type)` lets through, or nothing when there is no such filter."""
    parts = [part for part in expression.split("|") if _is_of(part, resource_type)]
    found = [matched.group(1) for part in parts if (matched := _WHERE_TYPE.search(part))]
    return tuple(found) if len(found) == len(parts) else ()


def reads_absence(resource_type: str, expression: str) -> bool:
    """Whether it finds something in a resource that has none of the elements it names."""
    return any(_NOT_FALSE.fullmatch(part.strip()) for part in expression.split("|") if _is_of(part, resource_type))


def _is_of(part: str, resource_type: str) -> bool:
    return re.match(rf"\(*\s*({resource_type}|Resource|DomainResource)\.", part.strip()) is not None


def _branch(text: str, choice_types: ChoiceTypes) -> tuple[Extractor, list[str]]:
    if matched := _NOT_FALSE.fullmatch(text):
        return _presence(matched.group(2), choice_types(matched.group(1))), [matched.group(1)]
    only_type = equal = None
    wanted_target = None
    if matched := _WHERE_TYPE.search(text):
        wanted_target = matched.group(1)
        text = text[: matched.start()] + text[matched.end() :]
    if matched := _WHERE_EQUAL.search(text):
        equal = (text[: matched.start()], matched.group(1), matched.group(2))
        text = text[: matched.start()] + text[matched.end() :]
    if matched := _WHERE_EXTENDED.search(text):
        equal = (text[: matched.start()], _EXTENSION, matched.group(1))
        text = text[: matched.start()] + text[matched.end() :]
    if matched := _AS_PREFIX.fullmatch(text):
        only_type = (matched.group(1), matched.group(2))
        text = matched.group(1) + matched.group(3)
    elif matched := _AS_FUNCTION.search(text):
        only_type = (text[: matched.start()], matched.group(1))
        text = text[: matched.start()] + text[matched.end() :]
    if not _PLAIN.fullmatch(text):
        raise UnsupportedPathError(f"unsupported expression {text!r}")
    root, *names = text.split(".")
    steps = _steps(root, names, only_type[1] if only_type else None, equal, choice_types)
    spelt = [step.names[0] if len(step.names) == 1 else name for step, name in zip(steps, names, strict=True)]
    return _walker(steps, wanted_target), [".".join([root, *spelt])]


def _steps(
    base: str,
    names: list[str],
    only_type: str | None,
    equal: tuple[str, str, str] | None,
    choice_types: ChoiceTypes,
) -> list[_Step]:
    steps = []
    path = base
    for name in names:
        path = f"{path}.{name}"
        types = choice_types(path)
        if types and only_type:
            types = [kind for kind in types if kind.lower() == only_type.lower()]  # R4 writes as(DateTime) once
        spelt = tuple(name + kind[0].upper() + kind[1:] for kind in types) if types else (name,)
        if types and only_type:
            path = f"{path.rpartition('.')[0]}.{spelt[0]}"
        steps.append(_Step(spelt, *equal[1:]) if equal and equal[0] == path else _Step(spelt))
    return steps


def _presence(name: str, types: list[str]) -> Extractor:
    """Whether the element is there and not false, as one boolean."""
    names = [name + kind[0].upper() + kind[1:] for kind in types] or [name]
    return lambda resource: [any(resource.get(each, False) is not False for each in names)]


def _walker(steps: list[_Step], wanted_target: str | None) -> Extractor:
    if wanted_target is not None:
        found = _walker(steps, None)
        return lambda resource: [node for node in found(resource) if _targets(node, wanted_target)]
    if len(steps) == 1 and not steps[0].member:
        return _member(*steps[0].names)

    def walk(resource: dict[str, Any]) -> list[Any]:
        nodes: list[Any] = [resource]
        for step in steps:
            nodes = _members(nodes, step)
        return nodes

    return walk


def _member(*names: str) -> Extractor:
    """An element of the resource itself, which most search parameters read; of a choice one of the names is there."""

    def member(resource: dict[str, Any]) -> list[Any]:
        for name in names:
            value = resource.get(name)
            if value is not None:
                return value if isinstance(value, list) else [value]
        return []

    return member


def _members(nodes: list[Any], step: _Step) -> list[Any]:
    found: list[Any] = []
    for node in nodes:
        if isinstance(node, dict):
            for name in step.names:
                value = node.get(name)
                if isinstance(value, list):
                    found += value
                elif value is not None:
                    found.append(value)
    return [node for node in found if step.passes(node)] if step.member else found


def _targets(reference: Any, resource_type: str) -> bool:
    """Whether a Reference points at this type, by its address or its stated type."""
    if not isinstance(reference, dict):
        return False
    parts = str(reference.get("reference", "")).split("/_history/", maxsplit=1)[0].split("/")
    return (len(parts) > 1 and parts[-2] == resource_type) or reference.get("type") == resource_type
