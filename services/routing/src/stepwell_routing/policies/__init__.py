"""The policies that routing decides by: those that ship, and those that a tenant publishes."""

from stepwell_routing.policies.published import (
    default_pathway,
    find_policy,
    policies_in_shadow,
    policy_in_force,
    publishing,
    shadow_policies,
)
from stepwell_routing.policies.shipped import (
    active_policies,
    policy_document,
    shipped_ids,
    shipped_names,
    tier_of,
    tiers,
)

__all__ = [
    "active_policies",
    "default_pathway",
    "find_policy",
    "policies_in_shadow",
    "policy_document",
    "policy_in_force",
    "publishing",
    "shadow_policies",
    "shipped_ids",
    "shipped_names",
    "tier_of",
    "tiers",
]
