"""The equity watch as a page: who of equally ill people is offered more or less, with intervals, readable on paper.

Figures about merged groups alone, no person; what differs stands first, in words. No script, nothing from elsewhere.
"""

from collections.abc import Sequence

from stepwell_shared.markup import Markup, element, joined
from stepwell_shared.pages.layout import table, whole_page
from stepwell_shared.proportions import Interval

from stepwell_routing.pages.parts import WIDTH, said
from stepwell_routing.rules.equity import Comparison, Dimension, Pooled, Watch
from stepwell_routing.use_cases.reporting import About

ROW, LEFT, RIGHT = 30, 230, 20
READING = (
    "People of equal severity are compared with everybody else of the same severity. A difference is in percentage"
    " points, with its 95 % interval. An interval that leaves out zero is a question to look into and no proof; with"
    " many groups one in twenty leaves it out by chance."
)


def equity_page(watch: Watch, about: About) -> bytes:
    """The whole page."""
    return whole_page(
        "Equity watch",
        _findings(watch),
        element("p", READING),
        element("ul", [element("li", note) for note in about.notes]),
        element("p", f"{watch.people} people from {about.start.date().isoformat()} to {about.end.date().isoformat()}."),
        [_dimension(each) for each in watch.dimensions],
    )


def _findings(watch: Watch) -> Markup:
    """What to look into, in words."""
    found = [
        f"{dimension.name} {said(each.values)}: offered step {each.from_rank} or more "
        f"{'more' if each.difference.estimate > 0 else 'less'} often, {_signed(each.difference)}"
        for dimension in watch.dimensions
        for each in dimension.pooled
        if each.differs
    ]
    if not found:
        return element("p", element("strong", "No difference at equal severity leaves out zero."))
    return element(
        "section",
        element("h2", "To look into"),
        element("ul", [element("li", each) for each in found]),
        class_="unsafe",
    )


def _dimension(dimension: Dimension) -> Markup:
    title = element("h2", f"By {dimension.name}")
    if not dimension.comparisons:
        return joined(title, element("p", "There are too few people to compare."))
    overall = [
        (said(each.values), f"step {each.from_rank} or more", _signed(each.difference), "yes" if each.differs else "no")
        for each in dimension.pooled
    ]
    heads = (dimension.name, "Offered", "Difference over all severities", "Leaves out zero")
    return joined(
        title,
        _plot(f"Differences by {dimension.name}, with their intervals", dimension.pooled) if overall else None,
        table(f"Over all severities, by {dimension.name}", heads, overall) if overall else None,
        _by_severity(dimension),
    )


def _by_severity(dimension: Dimension) -> Markup:
    rows = [
        (
            said(each.values),
            said(each.severities),
            f"step {each.from_rank} or more",
            str(each.people),
            _share(each),
            "" if each.difference is None else _signed(each.difference),
        )
        for each in dimension.comparisons
    ]
    heads = (dimension.name, "Severity", "Offered", "People", "Share", "Difference")
    return table(f"At equal severity, by {dimension.name}", heads, rows)


def _share(comparison: Comparison) -> str:
    share = comparison.share
    return f"{_percent(share.estimate)} % ({_percent(share.low)} to {_percent(share.high)})"


def _signed(interval: Interval) -> str:
    estimate, low, high = (f"{_percent(each):+d}" for each in interval)
    return f"{estimate} ({low} to {high})"


def _percent(share: float) -> int:
    return round(100 * share)


def _plot(title: str, pooled: Sequence[Pooled]) -> Markup:
    """One line for each group from the lower to the upper limit; the dashed line is zero, and each has its numbers."""
    height = ROW * (len(pooled) + 1)
    middle = (LEFT + WIDTH - RIGHT) // 2
    scale = (WIDTH - RIGHT - LEFT) / 2

    def at(share: float) -> int:
        return round(middle + scale * max(-1.0, min(1.0, share)))

    drawn: list[Markup] = [
        element("line", x1=middle, y1=0, x2=middle, y2=height - 8, stroke="#1f2a33", stroke_dasharray="4 3")
    ]
    for index, each in enumerate(pooled):
        y = ROW * index + 20
        label = f"{said(each.values)}, step {each.from_rank}+"
        drawn += [
            element("text", label, x=LEFT - 8, y=y + 5, text_anchor="end", font_size=13),
            element("line", x1=at(each.difference.low), y1=y, x2=at(each.difference.high), y2=y, stroke="#14586b",
                    stroke_width=3),
            element("circle", cx=at(each.difference.estimate), cy=y, r=5, fill="#14586b"),
            element("text", _signed(each.difference), x=at(each.difference.estimate), y=y - 8, text_anchor="middle",
                    font_size=12),
        ]  # fmt: skip
    return element(
        "svg", element("title", title), drawn, viewBox=f"0 0 {WIDTH} {height}", width=WIDTH, height=height, role="img",
        aria_label=title,
    )  # fmt: skip
