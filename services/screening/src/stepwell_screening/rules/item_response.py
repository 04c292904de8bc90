"""Computerised adaptive testing with the graded response model: where a person stands, how sure that is, what to ask.

Samejima 1969, Psychometrika Monograph 17; expected a posteriori: Bock and Mislevy 1982, Applied Psychological
Measurement 6:431; item selection by maximum information: Lord 1980. Every number is the bank's, none is chosen here.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

ITEMS_MAX = 300
CATEGORIES_MAX = 11
GRID_POINTS_MAX = 201
ASKED_MAX = 30
EXPECTED, MODE = "eap", "map"
METHODS = frozenset({EXPECTED, MODE})
PRECISE, LONG, EXHAUSTED = "standard-error", "items-max", "bank-exhausted"
_GOLDEN = (math.sqrt(5) - 1) / 2
_SEARCH_STEPS = 64  # shrinks any span that fits a double to its last digits


@dataclass(frozen=True, slots=True)
class GradedItem:
    """One item: its discrimination a, and the rising thresholds b between its categories, lowest first."""

    link_id: str
    discrimination: float
    thresholds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ItemBank:
    """Calibrated items with all that estimating and stopping needs; theta is in standard deviations of the prior's
    population. `scaling` is D of the model, 1 or 1.702. Theta is looked for from `lower` to `upper`.
    """

    items: Mapping[str, GradedItem]
    scaling: float
    method: str
    prior_mean: float
    prior_standard_deviation: float
    lower: float
    upper: float
    grid_points: int
    standard_error_max: float
    items_min: int
    items_max: int

    def __post_init__(self) -> None:
        for holds, text in _requirements(self):
            if not holds:
                raise ValueError(f"an item bank {text}")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Theta, and the standard deviation of what is not known about it."""

    theta: float
    standard_error: float

    @property
    def t_score(self) -> Decimal:
        """50 + 10 theta, to one decimal place."""
        return _tenths(50 + 10 * self.theta)

    @property
    def t_score_standard_error(self) -> Decimal:
        """The standard error on the scale of the T score, to one decimal place."""
        return _tenths(10 * self.standard_error)


def category_probabilities(item: GradedItem, theta: float, scaling: float) -> list[float]:
    """The probability of each category, lowest first, for somebody at theta."""
    above = [1.0, *(_logistic(scaling * item.discrimination * (theta - each)) for each in item.thresholds), 0.0]
    return [higher - lower for higher, lower in pairwise(above)]


def information(item: GradedItem, theta: float, scaling: float) -> float:
    """Fisher information of the item at theta: sum over categories of P'(theta)^2 / P(theta)."""
    slope = scaling * item.discrimination
    above = [_logistic(slope * (theta - each)) for each in item.thresholds]
    edges = [(1.0, 0.0), *((each, slope * each * (1 - each)) for each in above), (0.0, 0.0)]
    total = 0.0
    for (higher, higher_rise), (lower, lower_rise) in pairwise(edges):
        probability = higher - lower
        if probability > 0:
            total += (higher_rise - lower_rise) ** 2 / probability
    return total


def estimate(bank: ItemBank, answers: Mapping[str, int]) -> Estimate:
    """Where a person stands who answered these items with these categories (0 is the lowest).

    Without answers this is the prior. Raises KeyError for an item that the bank does not have and IndexError for a
    category that the item does not have.
    """
    return (_expected if bank.method == EXPECTED else _mode)(bank, answers)


def most_informative(bank: ItemBank, theta: float, asked: Collection[str]) -> str | None:
    """The item that tells most about somebody at theta, the first of the bank among equals; None when all are asked."""
    best: tuple[float, str] | None = None
    for link_id, item in bank.items.items():
        if link_id not in asked:
            found = information(item, theta, bank.scaling)
            if best is None or found > best[0]:
                best = found, link_id
    return best[1] if best is not None else None


def reason_to_stop(bank: ItemBank, asked_count: int, answered_count: int, standard_error: float) -> str | None:
    """Why no more is asked, or None: precise enough, long enough, or nothing left.

    Precision counts once `items_min` were answered; an item that was left blank was asked.
    """
    if asked_count >= len(bank.items):
        return EXHAUSTED
    if asked_count >= bank.items_max:
        return LONG
    if answered_count >= bank.items_min and standard_error <= bank.standard_error_max:
        return PRECISE
    return None


def _expected(bank: ItemBank, answers: Mapping[str, int]) -> Estimate:
    """Mean and standard deviation of the posterior on an even grid."""
    step = (bank.upper - bank.lower) / (bank.grid_points - 1)
    grid = [bank.lower + step * index for index in range(bank.grid_points)]
    logs = [_log_posterior(bank, answers, theta) for theta in grid]
    greatest = max(logs)
    weights = [math.exp(each - greatest) for each in logs]
    total = math.fsum(weights)
    mean = math.fsum(weight * theta for weight, theta in zip(weights, grid, strict=True)) / total
    spread = math.fsum(weight * (theta - mean) ** 2 for weight, theta in zip(weights, grid, strict=True)) / total
    return Estimate(mean, math.sqrt(spread))


def _mode(bank: ItemBank, answers: Mapping[str, int]) -> Estimate:
    """The peak of the posterior, which has one: the model's likelihood and the normal prior are log-concave."""
    lower, upper = bank.lower, bank.upper
    left, right = upper - _GOLDEN * (upper - lower), lower + _GOLDEN * (upper - lower)
    at_left, at_right = _log_posterior(bank, answers, left), _log_posterior(bank, answers, right)
    for _ in range(_SEARCH_STEPS):
        if at_left < at_right:
            lower, left, at_left = left, right, at_right
            right = lower + _GOLDEN * (upper - lower)
            at_right = _log_posterior(bank, answers, right)
        else:
            upper, right, at_right = right, left, at_left
            left = upper - _GOLDEN * (upper - lower)
            at_left = _log_posterior(bank, answers, left)
    theta = (lower + upper) / 2
    known = math.fsum(information(bank.items[link_id], theta, bank.scaling) for link_id in answers)
    return Estimate(theta, 1 / math.sqrt(known + bank.prior_standard_deviation**-2))


def _log_posterior(bank: ItemBank, answers: Mapping[str, int], theta: float) -> float:
    """Up to a constant; a probability too small for a double counts as the smallest one."""
    distance = (theta - bank.prior_mean) / bank.prior_standard_deviation
    total = -distance * distance / 2
    for link_id, category in answers.items():
        item = bank.items[link_id]
        if not 0 <= category <= len(item.thresholds):
            raise IndexError(f"item {link_id} has no category {category}")
        total += math.log(max(_probability(item, category, theta, bank.scaling), 5e-324))
    return total


def _probability(item: GradedItem, category: int, theta: float, scaling: float) -> float:
    slope = scaling * item.discrimination
    higher = 1.0 if category == 0 else _logistic(slope * (theta - item.thresholds[category - 1]))
    if category == len(item.thresholds):
        return higher
    return higher - _logistic(slope * (theta - item.thresholds[category]))


def _logistic(x: float) -> float:
    if x >= 0:
        return 1 / (1 + math.exp(-x)) if x < 700 else 1.0
    return math.exp(x) / (1 + math.exp(x)) if x > -700 else 0.0


def _tenths(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(Decimal("0.1"), ROUND_HALF_UP)


def _requirements(bank: ItemBank) -> Sequence[tuple[bool, str]]:
    numbers = [bank.scaling, bank.prior_mean, bank.prior_standard_deviation, bank.lower, bank.upper]
    items = bank.items.values()
    values = [number for item in items for number in (item.discrimination, *item.thresholds)]
    return (
        (all(map(math.isfinite, [*numbers, bank.standard_error_max, *values])), "has numbers only"),
        (0 < len(items) <= ITEMS_MAX, f"has 1 to {ITEMS_MAX} items"),
        (all(0 < item.discrimination <= 10 for item in items), "has discriminations above 0, up to 10"),
        (all(0 < len(item.thresholds) < CATEGORIES_MAX for item in items), f"has 2 to {CATEGORIES_MAX} categories"),
        (all(_rises(item.thresholds) for item in items), "has thresholds that rise"),
        (bank.method in METHODS, f"estimates by one of {', '.join(sorted(METHODS))}"),
        (0 < bank.scaling <= 2, "scales its model by D above 0, up to 2"),
        (0 < bank.prior_standard_deviation <= 10, "has a prior with a standard deviation above 0, up to 10"),
        (-20 <= bank.lower < bank.prior_mean < bank.upper <= 20, "looks for theta on both sides of its prior's mean"),
        (11 <= bank.grid_points <= GRID_POINTS_MAX, f"has a grid of 11 to {GRID_POINTS_MAX} points"),
        (0 < bank.standard_error_max < bank.prior_standard_deviation, "stops at a precision that answers can give"),
        (1 <= bank.items_min <= bank.items_max <= ASKED_MAX, f"asks 1 to {ASKED_MAX} items, no fewer than its least"),
    )


def _rises(thresholds: Sequence[float]) -> bool:
    return all(first < second for first, second in pairwise(thresholds))
