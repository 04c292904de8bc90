"""The equity watch as a page: who of equally ill people is offered more or less, with intervals, readable on paper.

Figures about merged groups alone, no person; what differs stands first, in words. No script, nothing from elsewhere.
"""

from stepwell_shared.markup import Markup, element, joined
from stepwell_shared.pages.layout import table, whole_page
from stepwell_shared.pages.plots.comparisons import Estimate, Reference, intervals_plot
from stepwell_shared.proportions import Interval

from stepwell_routing.pages.parts import WIDTH, said
from stepwell_routing.rules.equity import Comparison, Dimension, Watch
from stepwell_routing.use_cases.reporting import About

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
        _plot(dimension) if overall else None,
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


def _plot(dimension: Dimension) -> Markup:
    """Each group's difference with its limits, held against no difference."""
    rows = [
        Estimate(f"{said(each.values)}, step {each.from_rank}+", *each.difference, _signed(each.difference))
        for each in dimension.pooled
    ]
    title = f"Differences by {dimension.name}, with their intervals"
    none = Reference(0.0, "no difference")
    return intervals_plot(f"by-{dimension.name.replace(' ', '-')}", title, rows, none, _points, width=WIDTH)


def _points(share: float) -> str:
    return f"{_percent(share):+d}"
