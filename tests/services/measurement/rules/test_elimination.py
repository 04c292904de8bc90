"""Promises of the elimination: it finds just the unknowns that have one value alone, and what gives them."""

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_measurement.rules.elimination import PRIME, System, terms

Equation = dict[int, int]


def system(seed: int, short: int, long: int) -> list[Equation]:
    """Equations between unknowns of which most are about few, and some about many."""
    random = Random(seed)
    lengths = [random.randint(1, 4) for _ in range(short)] + [random.randint(13, 20) for _ in range(long)]
    return [{key: random.choice((-1, 1)) for key in random.sample(range(24), length)} for length in lengths]


def told(*equations: Equation) -> System:
    return System([terms(each) for each in equations])


def rank(equations: list[Equation]) -> int:
    """How many of them say something: another way, over fractions and column by column."""
    rows = [[Fraction(each.get(key, 0)) for key in range(24)] for each in equations]
    found = 0
    for column in range(24):
        at = next((at for at in range(found, len(rows)) if rows[at][column]), None)
        if at is None:
            continue
        rows[found], rows[at] = rows[at], rows[found]
        for below in range(found + 1, len(rows)):
            times = rows[below][column] / rows[found][column]
            rows[below] = [value - times * own for value, own in zip(rows[below], rows[found], strict=True)]
        found += 1
    return found


def test_what_no_equation_is_about_follows_from_nothing() -> None:
    assert System([]).determined() == set()
    assert told({1: 1, 2: -1}).determined() == set()
    assert told({1: 1, 2: -1}).follows_from(3) is None


def test_an_unknown_follows_from_the_equations_near_it_rather_than_from_all_others() -> None:
    everything = dict.fromkeys(range(20), 1)
    pairs = [{key: 1, key + 1: 1} for key in range(0, 20, 2)]
    found = told(everything, *pairs, {1: 1, 0: -1})
    assert found.determined() == {0, 1}
    assert set(found.follows_from(0) or {}) == {1, 11}  # not {0, 2..10, 11}, which give it as well


@pytest.mark.parametrize(("short", "long"), [(14, 0), (10, 6), (18, 4)])
@settings(deadline=None, max_examples=5)
@given(st.integers(0, 10**6))
def test_an_unknown_is_determined_when_saying_it_says_nothing_more(short: int, long: int, seed: int) -> None:
    equations = system(seed, short, long)
    found = told(*equations)
    determined = found.determined()
    said = rank(equations)
    assert determined == {key for key in range(24) if rank([*equations, {key: 1}]) == said}
    for key in range(24):
        taken = found.follows_from(key)
        assert (taken is not None) == (key in determined)
        if taken is not None:
            total: Equation = {}
            for number, times in taken.items():
                for unknown, value in equations[number].items():
                    total[unknown] = (total.get(unknown, 0) + value * times) % PRIME
            assert {unknown: value for unknown, value in total.items() if value} == {key: 1}
