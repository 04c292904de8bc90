"""Routing's operations on policies: what one says of a person, what it would do with many, and whom it treats alike."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.fhir.registry import Interaction, Operation
from stepwell_shared.runtime import Runtime

from stepwell_routing.use_cases.applying import apply_policy
from stepwell_routing.use_cases.explaining import explain
from stepwell_routing.use_cases.override_rates import report_overrides
from stepwell_routing.use_cases.simulating import simulate, watch_equity

_APPLY = (
    "What a policy proposes for one person: Parameters with subject (valueReference, or valueString), perhaps evidence"
    " (parts name and value; many) in place of what is kept, policy (resource, where none is stored; without any the"
    " one in force for the person) and language. The answer is a draft CarePlan whose one activity is a RequestGroup"
    " with the options. Nothing is stored."
)
_EXPLAIN = (
    "Why somebody is at a step: Parameters as for $apply. The answer says the decision in words for clinicians and for"
    " the person, every rule that fired with the values it saw and every other with why not, what is missing, which"
    " single value would change the step, and the menu. Nothing is stored."
)
_SIMULATE = (
    "What a policy would do with many people: Parameters with policy (resource; without it the stored version), cohort"
    " = recorded (unless given), synthetic, or live: what a version in shadow decided beside each live decision; seed"
    " and people (valueInteger, at most 100000), start and end (valueDateTime), capacity (parts step, starts-per-week,"
    " waiting; many) and horizon in weeks. The answer is a summary MeasureReport: broken safety promises first, steps,"
    " moves, load, waits, by stratum. Small groups are merged. Nothing is stored. Takes the right to read every"
    " MeasureReport."
)
_EQUITY_WATCH = (
    "Whether equally ill people are offered the same, whoever they are: Parameters as for $simulate. The answer is a"
    " summary MeasureReport with shares and differences by stratum and severity, each with its 95 % interval; small"
    " groups are merged. Takes the right to read every MeasureReport."
)
_OVERRIDE_RATES = (
    "How often clinicians decided otherwise than proposed: Parameters with start and end (valueDateTime; the last 26"
    " weeks). The answer is a summary MeasureReport: shares with their limits by rule and site, counts by reason and"
    " direction; small groups are merged. Of one version only where it is named. Takes the right to read every"
    " MeasureReport."
)


def policy_operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on PlanDefinition, of a stored one and of one that comes along."""
    for instance in (False, True):
        yield Operation(
            "apply",
            partial(apply_policy, runtime),
            Interaction.READ,
            _APPLY,
            instance=instance,
            affects_state=False,
            result="CarePlan",
            definition="http://hl7.org/fhir/OperationDefinition/PlanDefinition-apply",
        )
        yield Operation(
            "explain",
            partial(explain, runtime),
            Interaction.READ,
            _EXPLAIN,
            instance=instance,
            affects_state=False,
            result="Parameters",
        )
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
        yield Operation(
            "override-rates",
            partial(report_overrides, runtime),
            Interaction.READ,
            _OVERRIDE_RATES,
            instance=instance,
            affects_state=False,
            result="MeasureReport",
        )
