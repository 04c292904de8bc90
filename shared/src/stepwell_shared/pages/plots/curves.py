"""Shares that grow with time, such as for how many people treatment has begun after so many days."""

from collections.abc import Sequence
from typing import NamedTuple

from stepwell_shared.markup import Markup
from stepwell_shared.pages.plots.drawing import (
    ACCENT,
    FAINT,
    SMALL,
    Scale,
    Shown,
    count_axis,
    line,
    path,
    picture,
    shortened,
    text,
    value_axis,
    width_of,
)

WIDTH, HEIGHT, TOP, BOTTOM, LEFT, LABEL_MAX = 480, 250, 30, 44, 52, 130
# Lines that differ without colour; more than four curves in one plot nobody can read.
DASHES = ("", "9 4", "3 3", "12 3 3 3")


class Curve(NamedTuple):
    """One group: its label, and from which day on which share of it (in rising order)."""

    label: str
    steps: Sequence[tuple[int, float]]


class Mark(NamedTuple):
    """A day that counts, such as a standard, and what it is called."""

    day: int
    said: str


def growth_plot(
    name: str, title: str, curves: Sequence[Curve], marks: Sequence[Mark], days: str, shown: Shown, *,
    last_day: int, width: float = WIDTH,
) -> Markup:  # fmt: skip
    """Curves in steps from zero, each named at its end; `days` is what the axis below counts."""
    right = min(LABEL_MAX, max((width_of(each.label, SMALL) for each in curves), default=0)) + 12
    x, y = Scale(0, last_day, LEFT, width - right), Scale(0, 1, HEIGHT - BOTTOM, TOP)
    drawn = [*value_axis(y, LEFT, width - right, shown), *count_axis(x, HEIGHT - BOTTOM, days, many=5)]
    for mark in marks:
        if mark.day <= last_day:
            drawn.append(line(x(mark.day), TOP - 4, x(mark.day), HEIGHT - BOTTOM, stroke=FAINT, stroke_dasharray="2 3"))
            drawn.append(text(x(mark.day), TOP - 10, mark.said, text_anchor="middle", font_size=SMALL))
    for (curve, dashes), place in zip(zip(curves, DASHES, strict=False), _ends(curves, y, last_day), strict=False):
        drawn.append(path(_way(curve, x, y, last_day), stroke=ACCENT, stroke_width=2.2,
                          stroke_dasharray=dashes or None))  # fmt: skip
        drawn.append(text(width - right + 6, place + 4, shortened(curve.label, LABEL_MAX, SMALL), font_size=SMALL))
    return picture(name, title, _described(curves, marks, shown), width, HEIGHT, *drawn)


def share_at(curve: Curve, day: int) -> float:
    """The share on a day."""
    return next((share for from_day, share in reversed(curve.steps) if from_day <= day), 0.0)


def _way(curve: Curve, x: Scale, y: Scale, last_day: int) -> str:
    way = f"M{x(0):.1f} {y(0):.1f}"
    for day, share in curve.steps:
        if day <= last_day:
            way += f"H{x(day):.1f}V{y(share):.1f}"
    return f"{way}H{x(last_day):.1f}"


def _ends(curves: Sequence[Curve], y: Scale, last_day: int) -> list[float]:
    """Where the names stand: at the end of their curve, moved apart where two would cover each other."""
    places = {index: y(share_at(curve, last_day)) for index, curve in enumerate(curves)}
    taken: float | None = None
    for index in sorted(places, key=lambda each: places[each]):
        if taken is not None and places[index] < taken + 15:
            places[index] = taken + 15
        taken = places[index]
    return [places[index] for index in range(len(curves))]


def _described(curves: Sequence[Curve], marks: Sequence[Mark], shown: Shown) -> str:
    said = [
        f"{curve.label}: " + ", ".join(f"{mark.said} {shown(share_at(curve, mark.day))}" for mark in marks)
        for curve in curves
    ]
    return "; ".join(said)
