"""Validation of one parsed resource: the gate first, the exact walk for everything the gate does not vouch for."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from stepwell_shared.fhir.definitions import served_types
from stepwell_shared.fhir.outcome import Issue
from stepwell_shared.fhir.validation.exact import walk
from stepwell_shared.fhir.validation.gate import gate
from stepwell_shared.fhir.validation.invariants import INVARIANTS
from stepwell_shared.fhir.validation.invariants.nodes import Rule
from stepwell_shared.fhir.validation.json_text import read, refusal, refuse_emptiness
from stepwell_shared.fhir.validation.shape import shape

Node = Mapping[str, Any]
_WITH_NESTED = ("Bundle", "Parameters")


def check(body: bytes, resource_type: str, *, conditional_references: bool = False) -> dict[str, Any]:
    """The parsed resource, if the body is valid FHIR JSON of this resource type.

    Raises FhirError(Category.INVALID) with every issue at once.
    """
    resource, _ = read(body)
    if resource.get("resourceType") == resource_type and is_certainly_valid(resource, resource_type):
        return resource
    refuse_emptiness(resource)
    issues = validate(resource, resource_type, conditional_references=conditional_references)
    if issues:
        raise refusal(issues)
    return resource


def validate(resource: Node, resource_type: str, *, conditional_references: bool = False) -> list[Issue]:
    """Everything that is wrong with a parsed resource by the rules of R4; empty if it is valid.

    `conditional_references` allows references such as `Patient?identifier=...`, which only transactions may hold.
    Raises KeyError if the type is not served.
    """
    found = resource.get("resourceType")
    if found != resource_type:
        advice = "is required" if found is None else "does not fit here"
        expression = f"{resource_type}.resourceType"
        return [Issue(f"{expression} {advice}: this place takes {resource_type}", "structure", expression)]
    if is_certainly_valid(resource, resource_type):
        return []
    return walk(resource, conditional_references=conditional_references)


def is_certainly_valid(resource: Node, resource_type: str) -> bool:
    """Whether the gate, the root invariants and all nested resources say yes; False decides nothing."""
    if not gate(resource_type)(resource):
        return False
    if resource_type in _WITH_NESTED and not all(_is_nested_valid(nested) for nested in _nested(resource)):
        return False
    return all(holds(resource) for holds in _root_rules(resource_type))


def _is_nested_valid(resource: Node) -> bool:
    kind = resource["resourceType"]
    return kind in served_types() and is_certainly_valid(resource, kind)


@cache
def _root_rules(resource_type: str) -> tuple[Rule, ...]:
    return tuple(INVARIANTS[key] for key in shape(resource_type).invariants if key in INVARIANTS)


def _nested(resource: Node) -> Iterator[Node]:
    """The resources of Bundle entries and, at any depth, of parameters."""
    parts = [*resource.get("entry", ()), *resource.get("parameter", ())]
    while parts:
        part = parts.pop()
        parts += part.get("part", ())
        if "resource" in part:
            yield part["resource"]
        response = part.get("response", {})
        if "outcome" in response:
            yield response["outcome"]
