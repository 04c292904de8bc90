"""Promises of the plots: what is kept back is not drawn, all is said in words, and nothing rests on colour."""

from datetime import UTC, datetime
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stepwell_shared.markup import Markup
from stepwell_shared.pages.plots.bars import Bar, Whole, bars_plot, shares_plot
from stepwell_shared.pages.plots.comparisons import (
    Estimate,
    Member,
    Reference,
    funnel_plot,
    intervals_plot,
    is_beyond,
)
from stepwell_shared.pages.plots.courses import NOTHING, Chart, Period, control_chart, course_plot
from stepwell_shared.pages.plots.curves import Curve, Mark, growth_plot, share_at
from stepwell_shared.pages.plots.drawing import Scale, rounded_range, width_of
from stepwell_shared.pages.plots.figure import figure

WORDS = Chart("Mean 50 %", "Limits", "stands out", "kept back")


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def chart(values: list[float | None]) -> Markup:
    periods = [Period(f"M{index}", value, 0.4, 0.6) for index, value in enumerate(values)]
    return control_chart("c", "Chart", periods, 0.5, WORDS, percent)


def every_plot(label: str = "North", value: float = 0.5) -> list[Markup]:
    row = Estimate(label, value, value / 2, min(1.0, value * 1.5), percent(value))
    everybody = Reference(value, "everybody")
    return [
        chart([value, None, value]),
        course_plot("o", label, [(datetime(2026, 1, day, tzinfo=UTC), value * day) for day in (1, 9)]),
        bars_plot("b", label, [Bar(label, value, percent(value)), Bar(label, None, "kept back", "dots")]),
        shares_plot("s", label, [label, "Other"], [Whole(label, [value, 1 - value], ["a", "b"])]),
        intervals_plot("i", label, [row], everybody, percent),
        funnel_plot("f", label, [Member(label, 40, value)], everybody, "people", percent),
        growth_plot("g", label, [Curve(label, [(3, value)])], [Mark(42, "6 weeks")], "days", percent, last_day=90),
    ]


def drawn(plot: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(plot)


def words_in(plot: Markup) -> list[str]:
    return [each.text or "" for each in drawn(plot).iter("text")]


@pytest.mark.parametrize("plot", every_plot("<script>alert(1)</script> & co"))
def test_no_label_becomes_markup_and_each_plot_names_itself(plot: Markup) -> None:
    picture = drawn(plot)
    assert "script" not in {each.tag for each in picture.iter()}
    named = {each.get("id"): each.text for each in picture if each.get("id")}
    assert picture.get("role") == "img"
    assert picture.get("aria-labelledby", "").split() == list(named)
    assert all(named.values())


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=60), st.floats(0.01, 1))
def test_every_text_stands_inside_of_its_picture(label: str, value: float) -> None:
    for plot in every_plot(label, value):
        picture = drawn(plot)
        width = float(picture.get("width", "0"))
        for text in picture.iter("text"):
            room = width_of(text.text or "", float(text.get("font-size", "14")))
            x, anchor = float(text.get("x", "0")), text.get("text-anchor", "start")
            start = {"start": x, "middle": x - room / 2, "end": x - room}[anchor]
            assert -2 <= start < start + room <= width + 2, (text.text, anchor, x)


def test_what_is_kept_back_is_no_point_and_no_line_leads_through_it() -> None:
    picture = drawn(chart([0.5, 0.5, None, 0.5, 0.5]))
    assert len(list(picture.iter("circle"))) == 4
    assert [len(each.get("points", "").split()) for each in picture.iter("polyline")] == [2, 2]
    assert NOTHING in words_in(chart([0.5, None]))
    assert "M2: kept back" in (picture.findtext("desc") or "")


def test_a_signal_has_another_shape_and_is_said() -> None:
    periods = [Period("May", 0.5, 0.4, 0.6), Period("June", 0.7, 0.4, 0.6, is_signal=True)]
    picture = drawn(control_chart("c", "Chart", periods, 0.5, WORDS, percent))
    assert len(list(picture.iter("circle"))) == 1
    assert "June: 70 % (stands out)" in (picture.findtext("desc") or "")


def test_a_whole_with_a_part_that_is_kept_back_has_no_bar_to_measure() -> None:
    wholes = [Whole("North", [0.5, None], ["50 %", "kept back"])]
    plot = drawn(shares_plot("s", "Mix", ["A", "B"], wholes))
    key = 2
    assert len(list(plot.findall("rect"))) == key
    assert "North: A 50 %, B kept back" in (plot.findtext("desc") or "")


def test_parts_differ_by_their_filling_and_groups_by_their_line() -> None:
    parts = [f"P{index}" for index in range(6)]
    picture = drawn(shares_plot("s", "Mix", parts, [Whole("North", [1 / 6] * 6, ["1"] * 6)]))
    fills = [each.get("fill") for each in picture.findall("rect")][:6]
    assert len(set(fills)) == 6
    declared = {f"url(#{each.get('id')})" for each in picture.iter("pattern")}
    assert {each for each in fills if each and each.startswith("url")} == declared
    curves = [Curve(f"G{index}", [(index, 0.5)]) for index in range(4)]
    lines = drawn(growth_plot("g", "Waits", curves, [], "days", percent, last_day=9)).iter("path")
    dashes = [each.get("stroke-dasharray") for each in lines if each.get("stroke-width") == "2.2"]
    assert len(set(dashes)) == 4


def test_who_is_beyond_the_funnel_is_named_and_nobody_else() -> None:
    # sqrt(0.5 x 0.5 / 100) = 0.05, and 3.0902 of them are 0.1545.
    outside, inside = Member("Far", 100, 0.655), Member("Near", 100, 0.654)
    assert (is_beyond(outside, 0.5), is_beyond(inside, 0.5)) == (True, False)
    said = words_in(funnel_plot("f", "Practices", [outside, inside], Reference(0.5, "all"), "people", percent))
    assert "Far" in said
    assert "Near" not in said


def test_the_share_on_a_day_is_that_of_the_last_step_before_it() -> None:
    curve = Curve("All", [(3, 0.2), (10, 0.5)])
    assert [share_at(curve, day) for day in (2, 3, 9, 10, 99)] == [0.0, 0.2, 0.2, 0.5, 0.5]


def test_names_at_the_ends_of_curves_do_not_cover_each_other() -> None:
    curves = [Curve(name, [(1, share)]) for name, share in (("A", 0.5), ("B", 0.51), ("C", 0.5))]
    picture = drawn(growth_plot("g", "Waits", curves, [], "days", percent, last_day=9))
    places = sorted(float(each.get("y", "0")) for each in picture.iter("text") if each.text in {"A", "B", "C"})
    assert all(later - earlier >= 14 for earlier, later in pairwise(places))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9))
@example([200_001.0, -6e-05])  # far less than a hair's breadth below 0 is no reason for another step
def test_the_ends_of_an_axis_are_round_and_hold_every_value(values: list[float]) -> None:
    low, high = rounded_range(values)
    assert low < high
    unseen = 1e-6 + 1e-9 * (high - low)
    assert all(low - unseen <= each <= high + unseen for each in values)
    ticks = Scale(low, high, 0, 100).ticks()
    assert 2 <= len(ticks) <= 11


def test_a_table_of_the_same_numbers_stands_beside_each_plot() -> None:
    found = figure(every_plot()[0], "Months", ("Month", "Share"), [("May", "50 %")], opened="The figures")
    assert (
        '<summary>The figures</summary><div class="scroll" tabindex="0" role="region" aria-label="Months"><table>'
        in found
    )
