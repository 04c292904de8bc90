"""Waits are those of the published examples, and nobody who waits still is forgotten."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_measurement.rules.measures.waits import WaitsOfDay, percentile, summarise, survival, waiting_bands, within
from stepwell_shared.proportions import Group, wilson

SMALL = st.integers(0, 3)
BEGUN = st.tuples(st.integers(0, 40), SMALL).map(lambda each: WaitsOfDay(*each))
WAITS = st.lists(st.tuples(st.integers(0, 40), SMALL, SMALL, SMALL).map(lambda each: WaitsOfDay(*each)), max_size=12)

# Kaplan and Meier 1958, J Am Stat Assoc 53:457: deaths at 0.8, 3.1, 5.4, 9.2 months, losses at
# 1.0, 2.7, 7.0, 12.1; here in tenths.
KAPLAN_AND_MEIER = [
    *(WaitsOfDay(each, begun=1) for each in (8, 31, 54, 92)),
    *(WaitsOfDay(each, waiting=1) for each in (10, 27, 70, 121)),
]
# Freireich et al. 1963, Blood 21:699: weeks of remission with 6-mercaptopurine, + still in remission:
# 6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+
FREIREICH = [
    WaitsOfDay(6, 3, 1), WaitsOfDay(7, 1), WaitsOfDay(10, 1, 1), WaitsOfDay(13, 1), WaitsOfDay(16, 1),
    WaitsOfDay(22, 1), WaitsOfDay(23, 1), WaitsOfDay(32, 0, 2),
    *(WaitsOfDay(weeks, 0, 1) for weeks in (9, 11, 17, 19, 20, 25, 34, 35)),
]  # fmt: skip


@pytest.mark.parametrize("wait", [WaitsOfDay(-1, begun=1), WaitsOfDay(3, begun=-1), WaitsOfDay(3, left=-2)])
def test_a_negative_wait_or_count_is_refused(wait: WaitsOfDay) -> None:
    with pytest.raises(ValueError, match="negative"):
        summarise([wait])


def test_where_nobody_was_referred_nothing_is_said() -> None:
    found = summarise([])
    assert (found.people, found.share_waiting, set(found.percentiles_days.values())) == (0, None, {None})
    assert [each.within for each in found.targets] == [None, None]


def test_the_estimate_is_that_of_kaplan_and_meiers_own_example() -> None:
    assert [(step.days, round(step.share_waiting, 4)) for step in survival(KAPLAN_AND_MEIER)] == [
        (8, 0.875), (31, 0.7), (54, 0.525), (92, 0.2625),
    ]  # fmt: skip


def test_the_estimate_and_its_error_are_those_of_the_textbook_remissions() -> None:
    # Kleinbaum and Klein, Survival Analysis, chapter 2; errors as summary(survfit(...)) of R has them.
    steps = survival(FREIREICH)
    assert [(s.days, s.at_risk, round(s.share_waiting, 3), round(s.standard_error, 4)) for s in steps] == [
        (6, 21, 0.857, 0.0764), (7, 17, 0.807, 0.0869), (10, 15, 0.753, 0.0963), (13, 12, 0.690, 0.1068),
        (16, 11, 0.627, 0.1141), (22, 7, 0.538, 0.1282), (23, 6, 0.448, 0.1346),
    ]  # fmt: skip
    assert percentile(steps, 0.5) == 23
    assert percentile(steps, 0.75) is None


def test_leaving_open_waits_out_would_flatter_the_service() -> None:
    waits = [WaitsOfDay(10, begun=5), WaitsOfDay(60, begun=1), WaitsOfDay(200, begun=1, waiting=20)]
    closed = [WaitsOfDay(10, begun=5), WaitsOfDay(60, begun=1), WaitsOfDay(200, begun=1)]
    assert (summarise(closed).percentiles_days[0.5], summarise(waits).percentiles_days[0.5]) == (10, None)


def test_the_figures_of_a_small_service_are_those_computed_by_hand() -> None:
    waits = [
        WaitsOfDay(7, begun=4), WaitsOfDay(42, begun=2), WaitsOfDay(43, begun=1), WaitsOfDay(20, left=1),
        WaitsOfDay(130, begun=1, waiting=1),
    ]  # fmt: skip
    found = summarise(waits)
    assert (found.people, found.begun, found.waiting, found.left) == (10, 8, 1, 1)
    assert found.share_waiting == wilson(Group(1, 10))
    # waiting after day 7: 6/10; day 42: 6/10 * 3/5 = .36; day 43: .36 * 2/3 = .24; day 130: .12
    assert found.percentiles_days == {0.5: 42, 0.75: 43, 0.9: None}
    six_weeks, eighteen_weeks = (each.within for each in found.targets)
    assert six_weeks is not None
    assert eighteen_weeks is not None
    assert (six_weeks.estimate, eighteen_weeks.estimate) == pytest.approx((0.64, 0.76))
    assert [each.waiting_longer for each in found.targets] == [1, 1]


def test_what_cannot_be_known_yet_is_not_said() -> None:
    assert within([WaitsOfDay(30, begun=3, waiting=1)], 42) is None
    assert within([WaitsOfDay(30, waiting=1)], 42) is None
    assert within([WaitsOfDay(30, begun=3)], 42) == wilson(Group(3, 3))
    assert within([WaitsOfDay(42, waiting=3)], 42) == wilson(Group(0, 3))


def test_the_waiting_list_counts_up_to_each_band_and_all() -> None:
    waits = [WaitsOfDay(14, 9, 1), WaitsOfDay(15, 0, 2), WaitsOfDay(126, 0, 3), WaitsOfDay(127, 0, 4, 7)]
    assert waiting_bands(waits) == (1, 3, 3, 3, 6, 10)


@settings(max_examples=40)
@given(st.lists(BEGUN, min_size=1, max_size=12), st.integers(0, 40))
def test_without_open_waits_the_share_within_is_the_plain_one_with_wilsons_interval(
    waits: list[WaitsOfDay], limit: int
) -> None:
    group = Group(sum(each.begun for each in waits if each.days <= limit), sum(each.begun for each in waits))
    if group.total:
        assert within(waits, limit) == pytest.approx(wilson(group), abs=1e-9)


@settings(max_examples=40)
@given(WAITS.flatmap(lambda waits: st.tuples(st.just(waits), st.permutations(waits))))
def test_order_does_not_matter_and_percentiles_rise(orders: tuple[list[WaitsOfDay], list[WaitsOfDay]]) -> None:
    found, shuffled = map(summarise, orders)
    assert shuffled == found
    known = [day for day in found.percentiles_days.values() if day is not None]
    assert known == sorted(known)
    assert list(found.percentiles_days.values())[: len(known)] == known


@settings(max_examples=40)
@given(WAITS, st.integers(0, 40), st.integers(0, 30))
def test_waiting_on_never_makes_a_service_look_faster(waits: list[WaitsOfDay], limit: int, longer: int) -> None:
    later = [WaitsOfDay(wait.days + (0 if wait.begun else longer), *wait[1:]) for wait in waits]
    now, then = within(waits, limit), within(later, limit)
    if now is not None and then is not None:
        assert then.estimate <= now.estimate + 1e-12
