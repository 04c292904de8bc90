"""The policies that ship with routing, parsed and compiled once."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from stepwell_routing.rules.policies import Policy, parse_policy
from stepwell_routing.rules.tiers import TierCatalogue, parse_tiers

SHIPPED = ("stepped-care",)


@cache
def active_policies() -> dict[str, Policy]:
    """The active version of each pathway's policy, by pathway."""
    found = [parse_policy(policy_document(name), tiers()) for name in SHIPPED]
    return {policy.pathway: policy for policy in found}


@cache
def tiers() -> TierCatalogue:
    """The tiers, what each offers and in which words."""
    return parse_tiers(_read("tiers.json"))


def policy_document(name: str) -> dict[str, Any]:
    """The PlanDefinition of a shipped policy, fresh on every call."""
    return _read("policies", f"{name}.json")


def _read(*path: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files("stepwell_routing") / "data").joinpath(*path).read_bytes())
    return content
