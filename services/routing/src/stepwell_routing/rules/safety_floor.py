"""What safety asks for at least, whatever anybody prefers."""

from collections.abc import Collection

from stepwell_routing.rules.policies import Policy

SAFETY_STAGE = "safety"


def safety_floor(policy: Policy, fired: Collection[str]) -> int:
    """The highest rank that the safety rules among these codes ask for; 0 when none of them does."""
    return max(
        (
            floor.rank
            for rule in policy.rules
            if rule.stage == SAFETY_STAGE and rule.code in fired
            for floor in rule.floors
            if floor.name is None
        ),
        default=0,
    )
