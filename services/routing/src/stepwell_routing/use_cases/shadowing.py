"""Versions in shadow decide beside each live decision: nothing follows but a row that says how they compare.

The row is committed with the decision, or not at all; what goes wrong in a shadow is logged and touches nothing.
"""

from collections.abc import Awaitable, Callable

import structlog
from stepwell_shared.canonical import derived_id
from stepwell_shared.database.functions import Effect
from stepwell_shared.runtime import Runtime

from stepwell_routing.data.simulating import promises
from stepwell_routing.rules.evidence import Evidence
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.shadowing import Shadow, shadow_of
from stepwell_routing.shadow_decisions import shadow_effect
from stepwell_routing.use_cases.outcomes import Making

COUNTER = "stepwell_shadow_decisions_total"
FAILED = "failed"

log = structlog.get_logger("stepwell.shadow")

Besides = list[tuple[Policy, Shadow | None]]


async def beside(making: Making, evidence_for: Callable[[Policy], Awaitable[Evidence]]) -> Besides:
    """What each version in shadow would have decided on what is known at this moment; None for one that failed."""
    return [(policy, await _shadow(making, policy, evidence_for)) for policy in making.governed.shadows]


def shadow_effects(making: Making, marker_id: str, besides: Besides) -> list[Effect]:
    """The rows that say so. `marker_id` is that of the decision that was made."""
    governed, decision = making.governed, making.decision
    base_url = making.runtime.engine.base_url
    return [
        shadow_effect(
            derived_id(base_url, making.tenant, "shadow", policy.canonical, marker_id),
            policy.canonical,
            decision.policy,
            governed.site,
            decision.decided_at,
            decision.step.code,
            shadow,
        )
        for policy, shadow in besides
        if shadow is not None
    ]


def count_shadows(runtime: Runtime, besides: Besides) -> None:
    """Counts what was committed."""
    what = "Decisions of policies in shadow, by where their step lies from the one that was decided"
    counter = runtime.metrics.tally(COUNTER, what, ("pathway", "move", "safety"))
    for policy, shadow in besides:
        move, safe = (FAILED, "") if shadow is None else (shadow.move, "broken" if shadow.broken else "kept")
        counter.add(policy.pathway, move, safe)


async def _shadow(
    making: Making, policy: Policy, evidence_for: Callable[[Policy], Awaitable[Evidence]]
) -> Shadow | None:
    try:
        evidence = await evidence_for(policy)
        return shadow_of(policy, promises(), evidence, making.decision.decided_at, making.decision)
    except Exception:
        log.exception("a policy in shadow could not decide", policy=policy.canonical)
        return None
