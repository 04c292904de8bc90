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
    documents = map(policy_document, shipped_names())
    found = [parse_policy(each, tiers()) for each in documents if life_of(each) is Life.ACTIVE]
    return {policy.pathway: policy for policy in found}


@cache
def shipped_names() -> tuple[str, ...]:
    """The names of the policies that ship: one file each in `data/policies`."""
    folder = files("stepwell_routing") / "data" / "policies"
    return tuple(sorted(path.name.removesuffix(".json") for path in folder.iterdir() if path.name.endswith(".json")))


@cache
def shipped_ids() -> dict[str, str]:
    """The names of these policies by the id of the resource that one becomes, which names its version."""
    found = ((name, policy_document(name)) for name in shipped_names())
    return {f"{document['id']}-{document['version']}": name for name, document in found}


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
