"""The policies that routing decides by: those that ship, and those that a tenant publishes."""

from stepwell_routing.policies.published import find_policy, shadow_policies
from stepwell_routing.policies.shipped import active_policies, policy_document, shipped_names, tiers

__all__ = ["active_policies", "find_policy", "policy_document", "shadow_policies", "shipped_names", "tiers"]
