"""Contained resources and the references into them: dom-2 to dom-5 and ref-1.

R4's own text of dom-3 is followed in its intent (4.3.0 reworded it): a contained resource must be referred to from the
resource, or refer to the resource itself (`#`). https://hl7.org/fhir/R4/references.html#contained
"""

from collections.abc import Mapping, Set
from typing import Any

from stepwell_shared.fhir.outcome import Issue

Node = Mapping[str, Any]


def issues(resource: Node, local_references: list[tuple[str, str]], at: str) -> list[Issue]:
    """What is wrong with the contained resources of a root resource and with its local references.

    `local_references` are the (expression, reference) of every `#id` in it, contained resources included.
    """
    inner = resource.get("contained")
    inner = [each for each in inner if isinstance(each, dict)] if isinstance(inner, list) else []
    ids = [each.get("id") for each in inner]
    found = [
        Issue(f"{place} ref-1: must be the id of a contained resource", "invariant", place)
        for place, target in local_references
        if target != "#" and target[1:] not in ids
    ]
    targets = _local_targets(resource) if inner else frozenset()
    for index, each in enumerate(inner):
        found += _of_contained(each, targets, f"{at}.contained[{index}]")
    return found


def _of_contained(inner: Node, targets: Set[str], at: str) -> list[Issue]:
    meta = inner.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    rules = (
        ("dom-2", "must not contain resources itself", "contained" not in inner),
        ("dom-3", "must be referred to from elsewhere in the resource", _is_referred_to(inner, targets)),
        ("dom-4", "must not have a version or time of update", not {"versionId", "lastUpdated"} & meta.keys()),
        ("dom-5", "must not have a security label", "security" not in meta),
    )
    return [Issue(f"{at} {key}: {advice}", "invariant", at) for key, advice, holds in rules if not holds]


def _is_referred_to(inner: Node, targets: Set[str]) -> bool:
    return f"#{inner.get('id')}" in targets or "#" in _local_targets(inner)


def _local_targets(node: object) -> Set[str]:
    """Every `#id` in a node, be it in a reference, a canonical or a uri."""
    if isinstance(node, dict):
        return {target for name, value in node.items() if name != "id" for target in _local_targets(value)}
    if isinstance(node, list):
        return {target for value in node for target in _local_targets(value)}
    return {node} if isinstance(node, str) and node.startswith("#") else frozenset()
