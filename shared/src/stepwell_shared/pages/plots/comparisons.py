"""Groups beside each other: estimates with their intervals, and a funnel that says which differ by more than chance."""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

from stepwell_shared.markup import Markup
from stepwell_shared.pages.plots.drawing import (
    ACCENT,
    FAINT,
    GRID,
    INK,
    SMALL,
    Scale,
    Shown,
    count_axis,
    diamond,
    dot,
    label,
    line,
    picture,
    polyline,
    rounded_range,
    shortened,
    text,
    value_axis,
    width_of,
)

WIDTH, ROW, LABEL_MAX = 480, 30, 170
HEIGHT, TOP, BOTTOM, LEFT = 260, 16, 44, 52
# Spiegelhalter 2005, Stat Med 24:1185: limits of 95 % and 99.8 % around the value of all.
FUNNEL_LIMITS = ((1.959963984540054, "6 4"), (3.090232306167813, ""))


class Estimate(NamedTuple):
    """One group: its label, its estimate with limits (None where it is not published), and the same in words."""

    label: str
    estimate: float | None
    low: float | None
    high: float | None
    said: str


class Reference(NamedTuple):
    """What groups are held against: a value and what it is called."""

    value: float
    said: str


class Member(NamedTuple):
    """One of those in a funnel: its label, its people and its share."""

    label: str
    people: int
    share: float


def intervals_plot(
    name: str, title: str, rows: Sequence[Estimate], reference: Reference | None, shown: Shown, *,
    lowest: float | None = None, highest: float | None = None, width: float = WIDTH,
) -> Markup:  # fmt: skip
    """One line for each group from its lower to its upper limit, the reference as a dashed line through all."""
    known = [each for row in rows for each in row[1:4] if each is not None]
    values = [*known, *([reference.value] if reference else [])] or [0.0, 1.0]
    low, high = rounded_range(values, lowest=lowest, highest=highest)
    longest = max(width_of(row.label) for row in rows)
    is_above = longest > LABEL_MAX  # names that are too long stand above their line, whole
    left, height = (24.0, ROW + 18) if is_above else (longest + 16, float(ROW))
    right = max(width_of(row.said, SMALL) for row in rows) + 14
    x = Scale(low, high, left, width - right)
    top = 30 if reference else 10
    bottom = top + height * len(rows)
    drawn = _scale(x, top, bottom, shown)
    if reference:
        drawn.append(line(x(reference.value), top - 6, x(reference.value), bottom, stroke_dasharray="5 4"))
        drawn.append(text(_within(x(reference.value), reference.said, width), 16, reference.said, font_size=SMALL,
                          text_anchor="middle"))  # fmt: skip
    for index, row in enumerate(rows):
        y = top + height * (index + 1) - ROW / 2
        if is_above:
            drawn.append(text(8, y - 14, shortened(row.label, width - 16)))
        else:
            drawn.append(text(left - 10, y + 5, row.label, text_anchor="end"))
        drawn.append(text(width - right + 8, y + 4, row.said, font_size=SMALL))
        drawn += _interval(row, x, y)
    described = "; ".join(f"{row.label}: {row.said}" for row in rows)
    described = f"{reference.said}. {described}" if reference else described
    return picture(name, title, described, width, bottom + 26, *drawn)


def _interval(row: Estimate, x: Scale, y: float) -> list[Markup]:
    if row.estimate is None or row.low is None or row.high is None:
        return []
    ends = [line(x(each), y - 5, x(each), y + 5, stroke=ACCENT, stroke_width=2) for each in (row.low, row.high)]
    return [line(x(row.low), y, x(row.high), y, stroke=ACCENT, stroke_width=2.5), *ends, dot(x(row.estimate), y)]


def _scale(x: Scale, top: float, bottom: float, shown: Shown) -> list[Markup]:
    """The value axis below: a light line up from each round value."""
    lines = [line(x(tick), top, x(tick), bottom, stroke=GRID) for tick in x.ticks()]
    return lines + [label(x(tick), bottom + 18, shown(tick)) for tick in x.ticks()]


def funnel_plot(
    name: str, title: str, members: Sequence[Member], centre: Reference, people: str, shown: Shown, *,
    width: float = WIDTH,
) -> Markup:  # fmt: skip
    """Shares by how many people they rest on; whoever is beyond the outer limit is a diamond with its name.

    `people` is what the axis below counts. The limits are those within which chance keeps 95 % and 99.8 % of groups of
    this size that are all like the whole (Spiegelhalter 2005, Stat Med 24:1185).
    """
    right = width - width_of(centre.said, SMALL) - 12
    most = max(member.people for member in members)
    _, widest = rounded_range([0, most])
    low, high = rounded_range([centre.value, *(each.share for each in members), *_reach(centre.value, members)],
                              lowest=0.0, highest=1.0)  # fmt: skip
    x, y = Scale(0, widest, LEFT, right), Scale(low, high, HEIGHT - BOTTOM, TOP)
    drawn = [*value_axis(y, LEFT, right, shown), *count_axis(x, HEIGHT - BOTTOM, people)]
    drawn.append(line(LEFT, y(centre.value), right, y(centre.value), stroke=INK))
    drawn.append(text(right + 6, y(centre.value) + 4, centre.said, font_size=SMALL))
    drawn += _funnel(centre.value, x, y, widest)
    for member in members:
        drawn += _member(member, centre.value, x, y)
    described = "; ".join(f"{each.label}: {shown(each.share)} ({people}: {each.people})" for each in members)
    return picture(name, title, f"{centre.said}. {described}", width, HEIGHT, *drawn)


def is_beyond(member: Member, centre: float) -> bool:
    """Whether a share lies outside of the outer limits."""
    return abs(member.share - centre) > FUNNEL_LIMITS[1][0] * _error(centre, member.people)


def _member(member: Member, centre: float, x: Scale, y: Scale) -> list[Markup]:
    place = x(member.people), y(member.share)
    if not is_beyond(member, centre):
        return [dot(*place, filled=False)]
    is_right = place[0] > (x.start + x.end) / 2
    aside, anchor = (-11, "end") if is_right else (11, "start")
    name = shortened(member.label, (x.end - x.start) / 2, SMALL)
    return [diamond(*place), text(place[0] + aside, place[1] + 4, name, font_size=SMALL, text_anchor=anchor)]


def _funnel(centre: float, x: Scale, y: Scale, most: float) -> list[Markup]:
    sizes = [most * each / 60 for each in range(1, 61)]
    return [
        polyline(
            [
                (x(size), y(limit))
                for size in sizes
                if y.low <= (limit := centre + sign * reach * _error(centre, size)) <= y.high
            ],
            stroke=FAINT,
            stroke_width=1.5,
            stroke_dasharray=dashes or None,
        )
        for reach, dashes in FUNNEL_LIMITS
        for sign in (-1, 1)
    ]


def _reach(centre: float, members: Sequence[Member]) -> tuple[float, float]:
    """The outer limits at the smallest group, so that the funnel's mouth is seen."""
    reach = FUNNEL_LIMITS[1][0] * _error(centre, min(each.people for each in members))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def _error(centre: float, people: float) -> float:
    return sqrt(centre * (1 - centre) / people)


def _within(x: float, said: str, width: float) -> float:
    """The middle of a text that stays inside of the picture."""
    half = width_of(said, SMALL) / 2
    return min(max(x, half + 4), width - half - 4)
