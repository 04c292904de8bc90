"""Values over time: a course with its numbers, and a control chart that says which of its changes are no chance."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from stepwell_shared.markup import Markup
from stepwell_shared.pages.plots.drawing import (
    FAINT,
    INK,
    SMALL,
    Scale,
    Shown,
    diamond,
    dot,
    label,
    line,
    path,
    picture,
    polyline,
    rounded_range,
    text,
    value_axis,
    width_of,
)

WIDTH, HEIGHT, TOP, BOTTOM, LEFT = 480, 230, 18, 34, 52
COURSE_WIDTH, COURSE = 640, 110
# Stands at the foot of a period of which nothing is published.
NOTHING = "\N{MULTIPLICATION SIGN}"


class Period(NamedTuple):
    """One period of a control chart: what it is called, its value (None where nothing may be published), the limits
    that chance keeps it within, and whether it stands out."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    is_signal: bool = False


class Chart(NamedTuple):
    """The words of a control chart: what its centre and its limits are called at their ends."""

    centre: str
    limits: str
    signal: str
    kept_back: str


def control_chart(
    name: str, title: str, periods: Sequence[Period], centre: float, words: Chart, shown: Shown, *,
    lowest: float | None = 0.0, highest: float | None = None, width: float = WIDTH,
) -> Markup:  # fmt: skip
    """A Shewhart chart: points joined where they follow each other, the centre as a line, limits as dashed steps."""
    values = [centre, *(each for period in periods for each in period[1:4] if each is not None)]
    low, high = rounded_range(values, lowest=lowest, highest=highest)
    right = max(width_of(words.centre, SMALL), width_of(words.limits, SMALL)) + 12
    x = Scale(0, max(len(periods) - 1, 1), LEFT + 12, width - right - 8)
    y = Scale(low, high, HEIGHT - BOTTOM, TOP)
    drawn = [*value_axis(y, LEFT, width - right, shown), *_limits(periods, x, y)]
    drawn.append(line(LEFT, y(centre), width - right, y(centre), stroke=INK))
    drawn.append(text(width - right + 6, y(centre) + 4, words.centre, font_size=SMALL))
    last = next((each for each in reversed(periods) if each.high is not None), None)
    if last is not None and last.high is not None:
        drawn.append(text(width - right + 6, min(y(last.high) + 4, y(centre) - 12), words.limits, font_size=SMALL,
                          fill=FAINT))  # fmt: skip
    drawn += [*_points(periods, x, y), *_labels(periods, x)]
    return picture(name, title, _described(periods, words, shown), width, HEIGHT, *drawn)


def _limits(periods: Sequence[Period], x: Scale, y: Scale) -> list[Markup]:
    """The lower and the upper limit in steps, each period its own; open where a period has none."""
    half = (x(1) - x(0)) / 2
    ways = ["", ""]
    for index, period in enumerate(periods):
        before = periods[index - 1] if index else Period("", None, None, None)
        for side, (limit, begun) in enumerate(((period.low, before.low), (period.high, before.high))):
            if limit is not None:
                joined = "L" if begun is not None else "M"
                ways[side] += f"{joined}{x(index) - half:.1f} {y(limit):.1f}H{x(index) + half:.1f}"
    return [path(way, stroke=FAINT, stroke_dasharray="5 4") for way in ways if way]


def _points(periods: Sequence[Period], x: Scale, y: Scale) -> list[Markup]:
    drawn, run = [], []
    for index, period in enumerate((*periods, Period("", None, None, None))):
        if period.value is not None:
            run.append((x(index), y(period.value)))
        elif run:
            drawn.append(polyline(run))
            run = []
    for index, period in enumerate(periods):
        if period.value is None:
            drawn.append(label(x(index), HEIGHT - BOTTOM - 4, NOTHING))
        elif period.is_signal:
            drawn.append(diamond(x(index), y(period.value)))
        else:
            drawn.append(dot(x(index), y(period.value), radius=3.5))
    return drawn


def _labels(periods: Sequence[Period], x: Scale) -> list[Markup]:
    """As many names of periods as there is room for, the last one among them."""
    room = max(width_of(each.label, SMALL) for each in periods) + 12
    every = max(1, -int(-room // (x(1) - x(0))))
    last = len(periods) - 1
    return [
        label(x(index), HEIGHT - 12, period.label)
        for index, period in enumerate(periods)
        if (last - index) % every == 0
    ]


def _described(periods: Sequence[Period], words: Chart, shown: Shown) -> str:
    said = [
        f"{each.label}: {words.kept_back if each.value is None else shown(each.value)}"
        f"{f' ({words.signal})' if each.is_signal else ''}"
        for each in periods
    ]
    return f"{words.centre}. {'; '.join(said)}"


def course_plot(name: str, title: str, values: Sequence[tuple[datetime, float]]) -> Markup:
    """One measure over time as a line with its points, each with its number."""
    (first, _), (last, _) = values[0], values[-1]
    x = Scale(0, (last - first).total_seconds(), 36, COURSE_WIDTH - 36)
    y = Scale(min(value for _, value in values), max(value for _, value in values), COURSE - 15, 30)
    points = [(x((moment - first).total_seconds()), y(value)) for moment, value in values]
    marks = [
        [dot(*place), text(place[0], place[1] - 9, f"{value:g}", text_anchor="middle")]
        for place, (_, value) in zip(points, values, strict=True)
    ]
    described = "; ".join(f"{moment.date().isoformat()}: {value:g}" for moment, value in values)
    return picture(name, title, described, COURSE_WIDTH, COURSE, polyline(points), marks)
