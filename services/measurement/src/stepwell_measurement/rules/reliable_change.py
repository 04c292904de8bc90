"""Whether a change between two scores is more than measurement error (Jacobson and Truax 1991).

N. S. Jacobson, P. Truax, Clinical significance, J Consult Clin Psychol 59:12-19, 1991. The index is strict (a change
must exceed it); thresholds that are the whole number above an index are inclusive. Parameters say which they are.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

# Two-sided 95 % point of the normal distribution, as the paper rounds it.
NORMAL_95 = Decimal("1.96")
_HUNDREDTH = Decimal("0.01")


class Change(StrEnum):
    """What can be said about a change; the codes of the reliable-change code system."""

    IMPROVEMENT = "improvement"
    DETERIORATION = "deterioration"
    NONE = "no-reliable-change"
    NOT_AVAILABLE = "not-available"


@dataclass(frozen=True, slots=True)
class Score:
    """One total: its value, when it was true, whether missing items were prorated, and the resource that holds it."""

    value: Decimal
    effective: datetime
    prorated: bool = False
    reference: str = ""


@dataclass(frozen=True, slots=True)
class ChangeParameters:
    """How much change is reliable for one instrument and population.

    `threshold` is None when no source gives one; `source` then says so.
    """

    instrument: str
    parameter_set: str
    threshold: Decimal | None
    inclusive: bool
    higher_is_worse: bool
    source: str


@dataclass(frozen=True, slots=True)
class ReliableChange:
    """`change` is current minus baseline in score points, None when the two cannot be compared."""

    outcome: Change
    change: Decimal | None
    threshold: Decimal | None
    inclusive: bool
    reason: str
    rule: str


def standard_error_of_measurement(standard_deviation: Decimal, reliability: Decimal) -> Decimal:
    """SEM = SD x sqrt(1 - r). Raises ValueError outside SD > 0 and 0 <= r < 1."""
    if standard_deviation <= 0 or not 0 <= reliability < 1:
        raise ValueError("the standard deviation must be positive and the reliability from 0 to below 1")
    return standard_deviation * (1 - reliability).sqrt()


def standard_error_of_difference(standard_error: Decimal) -> Decimal:
    """Sdiff = sqrt(2 x SEM^2)."""
    return (2 * standard_error**2).sqrt()


def reliable_change_index(baseline: Decimal, current: Decimal, difference_error: Decimal) -> Decimal:
    """RC = (post - pre) / Sdiff; reliable when its size exceeds 1.96."""
    return (current - baseline) / difference_error


def threshold_from_error(standard_error: Decimal, normal_point: Decimal = NORMAL_95) -> Decimal:
    """The change in score points that must be exceeded: 1.96 x Sdiff; some publications do not round the 1.96."""
    return normal_point * standard_error_of_difference(standard_error)


def threshold_from_reliability(
    standard_deviation: Decimal, reliability: Decimal, normal_point: Decimal = NORMAL_95
) -> Decimal:
    """1.96 x sqrt(2) x SD x sqrt(1 - r)."""
    return threshold_from_error(standard_error_of_measurement(standard_deviation, reliability), normal_point)


def cut_off_a(clinical_mean: Decimal, clinical_deviation: Decimal, *, higher_is_worse: bool) -> Decimal:
    """Two standard deviations from the clinical mean, towards the better (criterion a)."""
    return clinical_mean - (2 if higher_is_worse else -2) * clinical_deviation


def cut_off_b(functional_mean: Decimal, functional_deviation: Decimal, *, higher_is_worse: bool) -> Decimal:
    """Two standard deviations from the functional mean, towards the worse (criterion b)."""
    return functional_mean + (2 if higher_is_worse else -2) * functional_deviation


def cut_off_c(
    clinical_mean: Decimal, clinical_deviation: Decimal, functional_mean: Decimal, functional_deviation: Decimal
) -> Decimal:
    """The point halfway between the clinical and the functional population, weighted by their spread (criterion c)."""
    weighted = functional_deviation * clinical_mean + clinical_deviation * functional_mean
    return weighted / (functional_deviation + clinical_deviation)


def classify(
    parameters: ChangeParameters, baseline: Score, current: Score, *, allow_prorated: bool = False
) -> ReliableChange:
    """What happened between two scores of one instrument.

    Prorated scores carry more error than the threshold knows of, so they are left out unless `allow_prorated`.
    """
    change = current.value - baseline.value
    if parameters.threshold is None:
        return _not_available(parameters, change, parameters.source, "RC-NO-PARAMETERS")
    if not allow_prorated and (baseline.prorated or current.prorated):
        reason = "A score with filled-in missing answers is not precise enough for reliable change."
        return _not_available(parameters, None, reason, "RC-PRORATED")
    if not is_reliable(parameters.threshold, change, inclusive=parameters.inclusive):
        return _decided(parameters, Change.NONE, change, "RC-NONE")
    if (change > 0) == parameters.higher_is_worse:
        return _decided(parameters, Change.DETERIORATION, change, "RC-DETERIORATION")
    return _decided(parameters, Change.IMPROVEMENT, change, "RC-IMPROVEMENT")


def is_reliable(threshold: Decimal, change: Decimal, *, inclusive: bool) -> bool:
    """Whether a change is large enough, whichever way it goes."""
    return abs(change) >= threshold if inclusive else abs(change) > threshold


def shown(threshold: Decimal) -> Decimal:
    """A threshold as it is written down: to hundredths where it was computed. Decisions use it unrounded."""
    return min(threshold, threshold.quantize(_HUNDREDTH), key=lambda each: len(each.as_tuple().digits))


def _decided(parameters: ChangeParameters, outcome: Change, change: Decimal, rule: str) -> ReliableChange:
    assert parameters.threshold is not None, "what is decided has a threshold"
    needed = f"{'at least' if parameters.inclusive else 'more than'} {shown(parameters.threshold)}"
    reason = f"The score changed by {change:+f}; reliable is {needed} ({parameters.parameter_set})."
    return ReliableChange(outcome, change, parameters.threshold, parameters.inclusive, reason, rule)


def _not_available(parameters: ChangeParameters, change: Decimal | None, reason: str, rule: str) -> ReliableChange:
    return ReliableChange(Change.NOT_AVAILABLE, change, parameters.threshold, parameters.inclusive, reason, rule)
