"""Layers are pooled as the papers have it; a queue makes people wait as it says."""

import pytest
from stepwell_routing.rules.statistics import Capacity, pooled_difference, queue
from stepwell_shared.proportions import Group


def test_one_layer_is_pooled_to_its_own_difference() -> None:
    pooled = pooled_difference([(Group(56, 70), Group(48, 80))])
    assert pooled is not None
    assert pooled.estimate == pytest.approx(0.2)
    assert pooled.low < 0.2 < pooled.high


def test_swapping_the_groups_mirrors_the_pooled_difference() -> None:
    layers = [(Group(30, 40), Group(10, 90)), (Group(5, 50), Group(2, 20))]
    pooled, mirrored = pooled_difference(layers), pooled_difference([(other, one) for one, other in layers])
    assert pooled is not None
    assert mirrored is not None
    assert mirrored.estimate == pytest.approx(-pooled.estimate)
    assert (mirrored.low, mirrored.high) == pytest.approx((-pooled.high, -pooled.low))


def test_severity_that_differs_between_groups_makes_no_difference_by_itself() -> None:
    # Everybody of equal severity is treated alike; one group is more severely ill, so that its crude share is higher.
    pooled = pooled_difference([(Group(9, 90), Group(1, 10)), (Group(8, 10), Group(72, 90))])
    assert pooled is not None
    assert pooled.estimate == pytest.approx(0.0)
    assert pooled.low < 0 < pooled.high


def test_layers_with_one_group_only_cannot_be_compared() -> None:
    assert pooled_difference([(Group(3, 5), Group(0, 0))]) is None


def test_a_step_without_places_has_no_wait_that_ends() -> None:
    fared = queue(4, Capacity(0), 2)
    assert fared.use is None
    assert fared.waiting == (4, 8)
    assert fared.wait_weeks == (None, None)


def test_more_arrivals_than_places_make_the_line_longer_every_week() -> None:
    fared = queue(6, Capacity(5, waiting=10), 3)
    assert fared.waiting == (11, 12, 13)
    assert fared.wait_weeks == (2.2, 2.4, 2.6)


def test_room_empties_a_line_and_leaves_the_wait_that_chance_makes() -> None:
    fared = queue(4, Capacity(5, waiting=2), 3)
    assert fared.waiting == (1, 0, 0)
    # M/D/1: 0.8 / (2 * 5 * 0.2)
    assert fared.wait_weeks == pytest.approx((0.4, 0.4, 0.4))
