"""Plots that read without colour: every bar and every point carries its number."""

from collections.abc import Sequence
from datetime import datetime

from stepwell_shared.markup import Markup, element

WIDTH, LABEL, BAR, GAP, COURSE = 640, 150, 22, 8, 110

Bar = tuple[str, float, str]


def said(labels: Sequence[str]) -> str:
    """Labels that are published together."""
    return " or ".join(labels)


def plot(title: str, bars: Sequence[Bar]) -> Markup:
    """Horizontal bars, each with its words and its number; the striped ones have lines across."""
    most = max((value for _, value, _ in bars), default=0) or 1
    height = len(bars) * (BAR + GAP) + GAP
    stripes = element(
        "pattern",
        element("rect", width=8, height=8, fill="#fff"),
        element("path", d="M0 8 8 0", stroke="#1f2a33", stroke_width=2),
        id="stripes",
        width=8,
        height=8,
        patternUnits="userSpaceOnUse",
    )
    drawn = []
    for index, (label, value, kind) in enumerate(bars):
        top = GAP + index * (BAR + GAP)
        length = round((WIDTH - LABEL - 80) * value / most)
        fill = "url(#stripes)" if kind == "striped" else "#14586b"
        drawn += [
            element("text", label, x=LABEL - 8, y=top + BAR - 6, text_anchor="end", font_size=14),
            element("rect", x=LABEL, y=top, width=length, height=BAR, fill=fill, stroke="#1f2a33"),
            element("text", str(value), x=LABEL + length + 6, y=top + BAR - 6, font_size=14),
        ]
    return element(
        "svg",
        element("title", title),
        element("defs", stripes),
        drawn,
        viewBox=f"0 0 {WIDTH} {height}",
        width=WIDTH,
        height=height,
        role="img",
        aria_label=title,
    )


def course_plot(title: str, values: Sequence[tuple[datetime, float]]) -> Markup:
    """One measure over time as a line with its points, each with its number."""
    (first, _), (last, _) = values[0], values[-1]
    span = (last - first).total_seconds() or 1.0
    low, high = min(value for _, value in values), max(value for _, value in values)
    points = [
        (
            20 + round((WIDTH - 60) * (moment - first).total_seconds() / span),
            COURSE - 15 - round((COURSE - 45) * (value - low) / ((high - low) or 1.0)),
            value,
        )
        for moment, value in values
    ]
    line = element(
        "polyline", points=" ".join(f"{x},{y}" for x, y, _ in points), fill="none", stroke="#14586b", stroke_width=2
    )
    marks = [
        [
            element("circle", cx=x, cy=y, r=4, fill="#14586b"),
            element("text", f"{value:g}", x=x, y=y - 8, text_anchor="middle", font_size=14),
        ]
        for x, y, value in points
    ]
    return element(
        "svg", element("title", title), line, marks,
        viewBox=f"0 0 {WIDTH} {COURSE}", width=WIDTH, height=COURSE, role="img", aria_label=title,
    )  # fmt: skip
