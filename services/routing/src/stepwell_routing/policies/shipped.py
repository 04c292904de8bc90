"""The policies that ship with routing, parsed and compiled once."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from stepwell_routing.rules.lifecycle import Life, life_of
from stepwell_routing.rules.policies import Policy, parse_policy
from stepwell_routing.rules.steps import Step
from stepwell_routing.rules.tiers import Tier, TierCatalogue, parse_tiers


@cache
def active_policies() -> dict[str, Policy]:
    """The active version of each pathway's policy that ships, by pathway."""
    documents = {name: policy_document(name) for name in shipped_names()}
    active = [name for name, document in documents.items() if life_of(document) is Life.ACTIVE]
    found = [parse_policy(documents[name], tiers()) for name in active]
    return {policy.pathway: policy for policy in found}


@cache
def shipped_names() -> tuple[str, ...]:
    """The names of the policies that ship: one file each in `data/policies`."""
    folder = files("stepwell_routing") / "data" / "policies"
    return tuple(sorted(path.name.removesuffix(".json") for path in folder.iterdir() if path.name.endswith(".json")))


@cache
def tiers() -> TierCatalogue:
    """The tiers, what each offers and in which words."""
    return parse_tiers(_read("tiers.json"))


def tier_of(step: Step) -> Tier:
    """The tier by whose places a step is given."""
    found = tiers().by_code(step.tier_code)
    assert found is not None, "a policy with a step without a tier is not published"
    return found


def policy_document(name: str) -> dict[str, Any]:
    """The PlanDefinition of a shipped policy, fresh on every call."""
    return _read("policies", f"{name}.json")


def _read(*path: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files("stepwell_routing") / "data").joinpath(*path).read_bytes())
    return content
