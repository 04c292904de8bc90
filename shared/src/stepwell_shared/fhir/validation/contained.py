"""Contained resources and the references into them: dom-2 to dom-5 and ref-1.

R4's own text of dom-3 is followed in its intent (4.3.0 reworded it): a contained resource must be referred to from the
resource, or refer to the resource itself (`#`). https://hl7.org/fhir/R4/references.html#contained
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stepwell_shared.fhir.outcome import Issue

Node = Mapping[str, Any]


def issues(resource: Node, local_references: list[tuple[str, str]], at: str) -> list[Issue]:
    """What is wrong with the contained resources of a root resource and with its local references.

    `local_references` are the (expression, reference) of every `#id` in it, contained resources included.
    """
    inner = resource.get("contained")
    inner = [each for each in inner if isinstance(each, dict)] if isinstance(inner, list) else []
    ids = {each.get("id") for each in inner}
    found = [
        Issue(f"{place} ref-1: must be the id of a contained resource", "invariant", place)
        for place, target in local_references
        if target != "#" and target[1:] not in ids
    ]
    for index, each in enumerate(inner):
        found += _of_contained(resource, each, f"{at}.contained[{index}]")
    return found


def _of_contained(resource: Node, inner: Node, at: str) -> list[Issue]:
    meta = inner.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    rules = (
        ("dom-2", "must not contain resources itself", "contained" not in inner),
        ("dom-3", "must be referred to from elsewhere in the resource", _is_referred_to(resource, inner)),
        ("dom-4", "must not have a version or time of update", not {"versionId", "lastUpdated"} & meta.keys()),
        ("dom-5", "must not have a security label", "security" not in meta),
    )
    return [Issue(f"{at} {key}: {advice}", "invariant", at) for key, advice, holds in rules if not holds]


def _is_referred_to(resource: Node, inner: Node) -> bool:
    own = f"#{inner.get('id')}"
    return any(target == own for target in _local_targets(resource)) or "#" in _local_targets(inner)


def _local_targets(node: Node) -> set[str]:
    return {value for name, value in _texts(node) if value.startswith("#") and name != "id"}


def _texts(node: object, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _texts(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value, name)
    elif isinstance(node, str):
        yield name, node
