"""Promises of adaptive testing: estimates that an independent integration confirms, and theta recovered within error.

The bank is artificial: no item of it is of any instrument.
"""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_screening.rules.item_response import (
    EXHAUSTED,
    EXPECTED,
    LONG,
    MODE,
    PRECISE,
    Estimate,
    GradedItem,
    ItemBank,
    category_probabilities,
    estimate,
    information,
    most_informative,
    reason_to_stop,
)

SEED = 20261122


def artificial_bank(**changes: Any) -> ItemBank:
    """Forty items of five categories over the range of theta, drawn once."""
    draw = random.Random(SEED)
    items = {}
    for index in range(40):
        middle = -2.4 + 4.8 * index / 39
        thresholds = sorted(middle + offset + draw.uniform(-0.2, 0.2) for offset in (-1.2, -0.4, 0.4, 1.2))
        items[f"/x-{index}"] = GradedItem(f"/x-{index}", draw.uniform(1.2, 3.2), tuple(thresholds))
    bank = ItemBank(
        items=items,
        scaling=1.0,
        method=EXPECTED,
        prior_mean=0.0,
        prior_standard_deviation=1.0,
        lower=-5.0,
        upper=5.0,
        grid_points=101,
        standard_error_max=0.3,
        items_min=4,
        items_max=12,
    )
    return replace(bank, **changes)


BANK = artificial_bank()
FIRST = BANK.items["/x-0"]


@pytest.mark.parametrize(
    "changes",
    [
        {"items": {}},
        {"items": {"/a": GradedItem("/a", 0.0, (0.0,))}},
        {"items": {"/a": GradedItem("/a", math.nan, (0.0,))}},
        {"items": {"/a": GradedItem("/a", 11.0, (0.0,))}},
        {"items": {"/a": GradedItem("/a", 1.0, ())}},
        {"items": {"/a": GradedItem("/a", 1.0, (1.0, 0.0))}},
        {"items": {"/a": GradedItem("/a", 1.0, (1.0, 1.0))}},
        {"items": {"/a": GradedItem("/a", 1.0, (math.inf,))}},
        {"items": {"/a": GradedItem("/a", 1.0, tuple(map(float, range(11))))}},
        {"items": {f"/{n}": GradedItem(f"/{n}", 1.0, (0.0,)) for n in range(301)}},
        {"method": "guess"},
        {"scaling": 0.0},
        {"prior_standard_deviation": 0.0},
        {"lower": 0.5},
        {"upper": math.inf},
        {"grid_points": 10},
        {"grid_points": 1000},
        {"standard_error_max": 0.0},
        {"standard_error_max": 1.0},
        {"items_min": 0},
        {"items_min": 13},
        {"items_max": 31},
    ],
)
def test_a_bank_that_cannot_measure_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="an item bank"):
        artificial_bank(**changes)


@pytest.mark.parametrize("method", [EXPECTED, MODE])
def test_an_answer_that_the_bank_does_not_have_is_an_error(method: str) -> None:
    bank = artificial_bank(method=method)
    with pytest.raises(KeyError):
        estimate(bank, {"/y": 0})
    for category in (-1, 5):
        with pytest.raises(IndexError):
            estimate(bank, {"/x-0": category})


@given(theta=st.floats(-30, 30), scaling=st.sampled_from([1.0, 1.702]))
def test_somebody_is_always_in_exactly_one_category(theta: float, scaling: float) -> None:
    for item in BANK.items.values():
        probabilities = category_probabilities(item, theta, scaling)
        assert len(probabilities) == 5
        assert min(probabilities) >= 0
        assert math.isclose(sum(probabilities), 1)


def test_two_categories_are_the_two_parameter_model() -> None:
    item = GradedItem("/a", 1.5, (0.5,))
    for theta in (-2.0, 0.0, 0.5, 3.0):
        expected = 1 / (1 + math.exp(-1.5 * (theta - 0.5)))
        assert math.isclose(category_probabilities(item, theta, 1.0)[1], expected)
        assert math.isclose(information(item, theta, 1.0), 1.5**2 * expected * (1 - expected))


@pytest.mark.parametrize("theta", [-2.0, -0.3, 0.0, 1.7])
def test_information_is_what_the_likelihood_bends(theta: float) -> None:
    """Minus the expected second derivative of the log-likelihood, by differences."""
    step = 1e-3
    for item in list(BANK.items.values())[::7]:
        bent = 0.0
        around = [category_probabilities(item, theta + shift * step, 1.0) for shift in (-1, 0, 1)]
        for below, here, above in zip(*around, strict=True):
            bent -= here * (math.log(above) - 2 * math.log(here) + math.log(below)) / step**2
        assert math.isclose(information(item, theta, 1.0), bent, rel_tol=1e-3)


def simpson(function: Callable[[float], float], lower: float, upper: float, intervals: int = 4000) -> float:
    step = (upper - lower) / intervals
    inner = sum((4 if index % 2 else 2) * function(lower + index * step) for index in range(1, intervals))
    return step / 3 * (function(lower) + inner + function(upper))


def posterior(answers: dict[str, int], mean: float, deviation: float) -> Callable[[float], float]:
    """The posterior density up to a constant, from the definition of the model and nothing of the code under test."""

    def density(theta: float) -> float:
        found = math.exp(-((theta - mean) ** 2) / (2 * deviation**2))
        for link_id, category in answers.items():
            item = BANK.items[link_id]
            above = [1.0]
            above += [1 / (1 + math.exp(-item.discrimination * (theta - each))) for each in item.thresholds]
            above.append(0.0)
            found *= above[category] - above[category + 1]
        return found

    return density


PATTERNS: list[dict[str, int]] = [
    {},
    {"/x-20": 2},
    {"/x-0": 0, "/x-20": 0, "/x-39": 0},
    {"/x-0": 4, "/x-20": 4, "/x-39": 4},
    {"/x-5": 3, "/x-15": 3, "/x-20": 2, "/x-25": 1, "/x-35": 0},
    {"/x-39": 4, "/x-0": 0},
]


@pytest.mark.parametrize("answers", PATTERNS)
@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (0.5, 1.3)])
def test_the_expected_theta_is_that_of_an_independent_integration(
    answers: dict[str, int], mean: float, deviation: float
) -> None:
    bank = artificial_bank(prior_mean=mean, prior_standard_deviation=deviation, lower=-8.0, upper=8.0, grid_points=201)
    density = posterior(answers, mean, deviation)
    total = simpson(density, -8, 8)
    expected = simpson(lambda theta: theta * density(theta), -8, 8) / total
    spread = simpson(lambda theta: (theta - expected) ** 2 * density(theta), -8, 8) / total
    found = estimate(bank, answers)
    assert math.isclose(found.theta, expected, abs_tol=1e-5)
    assert math.isclose(found.standard_error, math.sqrt(spread), rel_tol=1e-4)


@pytest.mark.parametrize("answers", PATTERNS)
def test_the_mode_is_the_peak_of_the_posterior(answers: dict[str, int]) -> None:
    density = posterior(answers, 0.0, 1.0)
    peak = max((index / 2000 for index in range(-10000, 10001)), key=density)
    found = estimate(artificial_bank(method=MODE), answers)
    assert math.isclose(found.theta, peak, abs_tol=1e-3)
    known = sum(information(BANK.items[link_id], found.theta, 1.0) for link_id in answers)
    assert math.isclose(found.standard_error, 1 / math.sqrt(known + 1))


@pytest.mark.parametrize("method", [EXPECTED, MODE])
def test_answers_that_nobody_gives_still_have_an_estimate(method: str) -> None:
    steep = {f"/{n}": GradedItem(f"/{n}", 10.0, (-20.0, 20.0)) for n in range(50)}
    bank = artificial_bank(method=method, items=steep, scaling=2.0)
    contradicting = {link_id: 2 if index % 2 else 0 for index, link_id in enumerate(steep)}
    found = estimate(bank, contradicting)
    assert math.isfinite(found.theta)
    assert found.standard_error >= 0


def test_a_higher_answer_never_means_less() -> None:
    for method in (EXPECTED, MODE):
        bank = artificial_bank(method=method)
        thetas = [estimate(bank, {"/x-10": 2, "/x-20": category}).theta for category in range(5)]
        assert thetas == sorted(thetas)


def test_the_t_score_has_a_mean_of_50_and_a_deviation_of_10_and_is_rounded_half_up() -> None:
    assert (Estimate(0.0, 1.0).t_score, Estimate(0.0, 1.0).t_score_standard_error) == (Decimal("50.0"), Decimal("10.0"))
    assert Estimate(-1.125, 0.3).t_score == Decimal("38.8")
    assert Estimate(1.234, 0.3149).t_score_standard_error == Decimal("3.1")


def test_the_most_informative_item_is_found_by_looking_at_all() -> None:
    for theta in (-2.0, 0.1, 1.9):
        left = [link_id for link_id in BANK.items if link_id not in {"/x-3", "/x-20"}]
        best = max(left, key=lambda link_id: information(BANK.items[link_id], theta, 1.0))
        assert most_informative(BANK, theta, {"/x-3", "/x-20"}) == best
    assert most_informative(BANK, 0.0, BANK.items) is None
    twins = artificial_bank(items={name: replace(FIRST, link_id=name) for name in ("/b", "/a")})
    assert most_informative(twins, 0.0, ()) == "/b"


@pytest.mark.parametrize(
    ("asked", "answered", "error", "reason"),
    [
        (0, 0, 0.9, None), (3, 3, 0.1, None), (4, 3, 0.1, None), (4, 4, 0.31, None),
        (4, 4, 0.3, PRECISE), (12, 2, 0.9, LONG), (40, 4, 0.1, EXHAUSTED),
    ],
)  # fmt: skip
def test_asking_ends_when_it_is_precise_or_long_enough(
    asked: int, answered: int, error: float, reason: str | None
) -> None:
    assert reason_to_stop(BANK, asked, answered, error) == reason


def simulated(bank: ItemBank, theta: float, draw: random.Random) -> tuple[Estimate, int]:
    """Somebody at theta takes the test."""
    answers: dict[str, int] = {}
    found = estimate(bank, answers)
    while reason_to_stop(bank, len(answers), len(answers), found.standard_error) is None:
        link_id = most_informative(bank, found.theta, answers)
        assert link_id is not None
        probabilities = category_probabilities(bank.items[link_id], theta, bank.scaling)
        answers[link_id] = draw.choices(range(len(probabilities)), probabilities)[0]
        found = estimate(bank, answers)
    return found, len(answers)


@pytest.mark.parametrize("method", [EXPECTED, MODE])
def test_theta_is_recovered_within_its_error_by_few_items(method: str) -> None:
    """150 simulated people of the prior: no bias, errors as large as stated, and a third of the bank is enough."""
    bank, draw = artificial_bank(method=method, grid_points=61), random.Random(SEED)
    people = [draw.gauss(0, 1) for _ in range(150)]
    results = [simulated(bank, theta, draw) for theta in people]
    errors = [found.theta - theta for theta, (found, _) in zip(people, results, strict=True)]
    stated = math.sqrt(sum(found.standard_error**2 for found, _ in results) / len(results))
    actual = math.sqrt(sum(error**2 for error in errors) / len(errors))
    within = sum(
        abs(error) <= 1.96 * found.standard_error for error, (found, _) in zip(errors, results, strict=True)
    ) / len(errors)
    assert abs(sum(errors) / len(errors)) < 3 * stated / math.sqrt(len(errors))
    assert 0.8 < actual / stated < 1.25
    assert within > 0.9
    assert max(count for _, count in results) <= 12
    assert sum(found.standard_error <= 0.3 for found, _ in results) / len(results) > 0.9
