"""Promises of figures: exact, the same in any order, and nothing where too few values are."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_measurement.rules.statistics import known_statistics, statistic

VALUES = [Decimal(each) for each in ("2", "4", "4", "4", "5", "5", "7", "9")]


def test_an_unknown_figure_is_refused() -> None:
    with pytest.raises(KeyError):
        statistic("kurtosis", VALUES)


def test_without_enough_values_there_is_no_figure_and_a_count_is_zero() -> None:
    assert {code: statistic(code, []) for code in known_statistics()} == {
        code: Decimal(0) if "count" in code else None for code in known_statistics()
    }
    assert statistic("std-dev", VALUES[:1]) is statistic("variance", VALUES[:1]) is None


# The textbook series 2 4 4 4 5 5 7 9: mean 5, sum of squares 32; quartiles by R's quantile(x), type 7.
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("average", "5"), ("sum", "40"), ("count", "8"), ("total-count", "8"), ("minimum", "2"), ("maximum", "9"),
        ("median", "4.5"), ("variance", "4.5714"), ("std-dev", "2.1381"), ("4-lower", "4"), ("4-upper", "5.5"),
        ("20-percent", "4"), ("80-percent", "6.2"),
    ],
)  # fmt: skip
def test_hand_computed_figures_are_reproduced(code: str, expected: str) -> None:
    assert statistic(code, VALUES) == statistic(code, VALUES[::-1]) == Decimal(expected)


@given(st.lists(st.integers(-50, 50).map(Decimal), min_size=1, max_size=12))
def test_percentiles_rise_and_stay_between_the_ends(values: list[Decimal]) -> None:
    codes = ("minimum", "20-percent", "4-lower", "median", "4-upper", "80-percent", "maximum")
    found = [each for code in codes if (each := statistic(code, values)) is not None]
    assert found == sorted(found)
    assert len(found) == len(codes)
