"""Routing's operations on policies: try one on many people, and ask whether it treats equally ill people alike."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.fhir.registry import Interaction, Operation
from stepwell_shared.runtime import Runtime

from stepwell_routing.use_cases.simulating import simulate, watch_equity

_SIMULATE = (
    "What a policy would do with many people: Parameters with policy (resource; without it the stored version), cohort"
    " = recorded (unless given) or synthetic, seed and people (valueInteger, at most 100000), start and end"
    " (valueDateTime), capacity (parts step, starts-per-week, waiting; many) and horizon in weeks. The answer is a"
    " summary MeasureReport: broken safety promises first, steps, moves, load, waits, by stratum. Small groups are"
    " merged. Nothing is stored. Takes the right to read every MeasureReport."
)
_EQUITY_WATCH = (
    "Whether equally ill people are offered the same, whoever they are: Parameters as for $simulate. The answer is a"
    " summary MeasureReport with shares and differences by stratum and severity, each with its 95 % interval; small"
    " groups are merged. Takes the right to read every MeasureReport."
)


def policy_operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on PlanDefinition, of a stored one and of one that comes along."""
    for instance in (False, True):
        yield Operation(
            "simulate",
            partial(simulate, runtime),
            Interaction.READ,
            _SIMULATE,
            instance=instance,
            affects_state=False,
            result="MeasureReport",
        )
        yield Operation(
            "equity-watch",
            partial(watch_equity, runtime),
            Interaction.READ,
            _EQUITY_WATCH,
            instance=instance,
            affects_state=False,
            result="MeasureReport",
        )
