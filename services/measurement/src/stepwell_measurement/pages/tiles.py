"""Pieces of the dashboards: one figure with its interval and what it rests on, and plots of groups with tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from stepwell_shared.markup import Markup, element, joined
from stepwell_shared.pages.plots.bars import Whole, shares_plot
from stepwell_shared.pages.plots.comparisons import (
    Estimate,
    Member,
    Reference,
    funnel_plot,
    intervals_plot,
)
from stepwell_shared.pages.plots.courses import Chart, Period, control_chart
from stepwell_shared.pages.plots.curves import Curve, Mark, growth_plot
from stepwell_shared.pages.plots.figure import figure
from stepwell_shared.proportions import Interval

from stepwell_measurement.data.dashboard_words import Words
from stepwell_measurement.rules.board import BASELINE_MIN, Group, Mix, Sheet, charted
from stepwell_measurement.rules.measures.figures import Figure, Kind, Measure
from stepwell_measurement.rules.measures.waits import EIGHTEEN_WEEKS_DAYS, SIX_WEEKS_DAYS

STYLE = Markup(
    "body{max-width:76rem}.strip{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:1rem;"
    "margin:1rem 0}.tile{border:1px solid var(--line);border-top:4px solid var(--accent);border-radius:.25rem;"
    "padding:.75rem 1rem}.tile h3{margin:0 0 .25rem;font-size:1rem}.tile p{margin:.25rem 0;font-size:.9375rem}"
    ".tile .big{font-size:2.25rem;font-weight:650;line-height:1.15;margin:.25rem 0}"
    ".plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,27rem),1fr));gap:1.5rem 2rem;"
    "margin:1rem 0}.plots h3{margin:0 0 .25rem;font-size:1rem}figure{margin:0}.plots svg{width:100%}"
    "summary{cursor:pointer;font-size:.9375rem;color:var(--accent)}details table{font-size:.9375rem}"
    "h2{border-top:2px solid var(--ink);padding-top:1rem;margin-top:2.5rem}.question{font-size:1.0625rem;margin:0}"
    "nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;margin:0;padding:0}"
    ".said{white-space:pre-line}.stack textarea{width:100%}.entry dd{white-space:pre-line}"
    "dl dt{font-weight:600}dl dd{margin:0 0 .75rem}form.since{display:flex;flex-wrap:wrap;gap:.5rem;align-items:end}"
    "@media print{.strip{grid-template-columns:repeat(3,1fr)}.plots{grid-template-columns:1fr 1fr;gap:1rem}"
    ".tile{break-inside:avoid}.links,summary{display:none}::details-content{content-visibility:visible;display:block}}"
)
# What a plot has room for; the table beside it has all.
GROUPS_MAX, DAYS_SHOWN = 24, 200

Table = tuple[Sequence[str], Sequence[tuple[str, ...]]]
"""The heads and the rows of a table."""


@dataclass(frozen=True)
class Voice:
    """How a page says things: its words, the address below which it stands, and what leads to one measure from it."""

    words: Words
    base: str
    query: str = ""
    # whether the definitions stand on the page itself
    has_definitions: bool = False

    def title(self, measure: Measure) -> str:
        return self.words.measure(measure.id, measure.title)

    def address(self, measure: Measure) -> str:
        """The page of one measure: its definition, and all of its figures."""
        own = f"#figure-{measure.id}"
        return own if self.has_definitions else f"{self.base}/measures/{measure.id}{self.query}"


def big(measure: Measure, found: Figure, words: Words) -> str:
    """The figure itself, short."""
    if found.is_withheld and found.score is None and found.cost is None:
        return words.phrase("kept-back")
    match measure.kind:
        case Kind.SHARE:
            return words.phrase("nobody") if found.score is None else words.percent(found.score.estimate)
        case Kind.WAITS:
            is_known = found.score is not None
            return words.phrase("days", days=round(found.score.estimate)) if is_known and found.score else _open(words)
        case Kind.MEAN:
            return words.phrase("nobody") if found.score is None else words.number(found.score.estimate, 1)
        case Kind.COST:
            return words.phrase("unknown") if found.cost is None else words.number(float(found.cost))
        case Kind.USE:
            is_known = found.score is not None
            return words.phrase("ratio", value=words.number(found.score.estimate, 2)) if is_known and found.score else (
                _open(words)
            )  # fmt: skip


def _open(words: Words) -> str:
    return words.phrase("unknown")


def said(measure: Measure, found: Figure, words: Words) -> str:
    """The figure with its interval, in one line."""
    score = found.score
    if score is None or measure.kind in {Kind.WAITS, Kind.COST}:
        return big(measure, found, words)

    value, low, high = (_plain(measure, each, words) for each in score)
    return words.phrase("interval", value=value, low=low, high=high)


def _plain(measure: Measure, value: float, words: Words) -> str:
    if measure.kind is Kind.SHARE:
        return words.percent(value)
    return words.number(value, 1 if measure.kind is Kind.MEAN else 2)


def tile(measure: Measure, group: Group, voice: Voice) -> Markup:
    """One figure: what it is, how sure it is, what it rests on, and where it is defined."""
    words, title = voice.words, voice.title(measure)
    return element(
        "section",
        element("h3", title),
        element("p", big(measure, group.figure, words), class_="big"),
        [element("p", each) for each in details(measure, group.figure, words)],
        element(
            "p", element("a", words.phrase("definition", title=title), href=voice.address(measure)), class_="links"
        ),
        class_="tile",
    )


def _links(*links: Markup) -> Markup:
    return element("p", *links, class_="links")


def details(measure: Measure, found: Figure, words: Words) -> list[str]:
    """What stands below a figure: its interval, its people, and how many of them are known."""
    lines = []
    if measure.kind in {Kind.SHARE, Kind.MEAN, Kind.USE} and found.score is not None:
        lines.append(words.phrase("interval-alone", low=_plain(measure, found.score.low, words),
                                  high=_plain(measure, found.score.high, words)))  # fmt: skip
    if found.use is not None:
        before, after = (words.number(each.estimate, 2) for each in (found.use.before, found.use.after))
        lines.append(words.phrase("use", before=before, after=after))
    if found.waits is not None:
        lines += _waits_said(found, words)
    if found.having is not None and found.followed is not None and measure.kind is Kind.SHARE:
        having, total = words.number(found.having), words.number(found.followed)
        lines.append(words.phrase("of", having=having, total=total))
    elif found.followed is not None:
        lines.append(words.phrase("rests-on", total=words.number(found.followed)))
    if found.completeness is not None and found.followed != found.eligible:
        lines.append(words.phrase("completeness", share=words.percent(found.completeness.estimate)))
        if found.lowest is not None and found.highest is not None:
            low, high = words.percent(found.lowest), words.percent(found.highest)
            lines.append(words.phrase("bounds", low=low, high=high))
    return lines


def _waits_said(found: Figure, words: Words) -> list[str]:
    waits = found.waits
    if waits is None:
        return []
    lines = []
    for share, phrase in ((0.5, "half"), (0.75, "three-quarters"), (0.9, "nine-tenths")):
        days = waits.percentiles_days.get(share)
        told = words.phrase("unknown") if days is None else words.phrase("days-short", days=days)
        lines.append(f"{words.phrase(phrase)} {told}")
    for target in waits.targets:
        if target.within is not None:
            limit = limit_said(target.days, words)
            lines.append(words.phrase("within", share=words.percent(target.within.estimate), limit=limit))
    lines += [
        words.phrase("longer", count=words.number(target.waiting_longer), days=target.days)
        for target in waits.targets[-1:]
        if target.waiting_longer
    ]
    return lines


def limit_said(days: int, words: Words) -> str:
    """A limit as people know it."""
    known = {SIX_WEEKS_DAYS: "six-weeks", EIGHTEEN_WEEKS_DAYS: "eighteen-weeks"}
    return words.phrase(known[days]) if days in known else words.phrase("days-short", days=days)


def comparable(measure: Measure, found: Figure) -> Interval | None:
    """What groups are compared by, with its interval: the share, the mean, or the share within the first limit."""
    if measure.kind is not Kind.WAITS:
        return found.score
    return found.waits.targets[0].within if found.waits is not None and found.waits.targets else None


def groups_plot(
    name: str, measure: Measure, dimension: str, groups: Sequence[Group], whole: Group, voice: Voice
) -> Markup:  # fmt: skip
    """The groups of a dimension beside each other, held against everybody."""
    words = voice.words
    rows = [estimate(measure, each, words) for each in groups[:GROUPS_MAX]]
    everybody = comparable(measure, whole.figure)
    against = None
    if everybody is not None:
        value = words.phrase("everybody", value=shown_value(measure, everybody.estimate, words))
        against = Reference(everybody.estimate, value)
    title = words.phrase("by", title=compared(measure, voice), dimension=words.dimension(dimension))
    shown = partial(shown_value, measure, words=words)
    plot = intervals_plot(name, title, rows, against, shown, lowest=0.0, highest=highest_of(measure))
    return _framed(title, plot, groups_table(measure, dimension, groups, words), words)


def highest_of(measure: Measure) -> float | None:
    """The end of the axis that groups are compared on; None where there is none."""
    return 1.0 if measure.kind in {Kind.SHARE, Kind.WAITS} else None


def groups_table(measure: Measure, dimension: str, groups: Sequence[Group], words: Words) -> Table:
    """All groups with their figures in words."""
    heads = [words.dimension(dimension), words.phrase("value"), words.phrase("people"), words.phrase("known")]
    rows = [
        (
            words.value(each.value),
            said(measure, each.figure, words),
            _people(each.figure.eligible, words),
            words.percent(each.figure.completeness.estimate) if each.figure.completeness else _kept(words),
        )
        for each in groups
    ]
    return heads, rows


def compared(measure: Measure, voice: Voice) -> str:
    """What groups are compared by, in words: of waits, the share within the first limit."""
    if measure.kind is not Kind.WAITS or not measure.within_days:
        return voice.title(measure)
    return f"{voice.title(measure)}, {limit_said(measure.within_days[0], voice.words)}"


def estimate(measure: Measure, group: Group, words: Words) -> Estimate:
    """One group as it stands beside others."""
    found = comparable(measure, group.figure)
    label = words.value(group.value)
    if found is None:
        is_kept_back = group.figure.is_withheld
        return Estimate(label, None, None, None, words.phrase("kept-back" if is_kept_back else "unknown"))
    shown = [shown_value(measure, each, words) for each in found]
    return Estimate(label, *found, words.phrase("interval", value=shown[0], low=shown[1], high=shown[2]))


def shown_value(measure: Measure, value: float, words: Words) -> str:
    """A value on the axis that groups are compared on."""
    return words.percent(value) if measure.kind in {Kind.SHARE, Kind.WAITS} else words.number(value, 1)


def practices_plot(name: str, measure: Measure, sheet: Sheet, voice: Voice) -> Markup | None:
    """The practices in a funnel; None while there are fewer than three that may be shown."""
    words, whole = voice.words, sheet.all.figure
    groups = sheet.by.get("practice", ())
    members = [
        Member(words.value(each.value), each.figure.followed, each.figure.score.estimate)
        for each in groups
        if each.figure.followed and each.figure.score is not None
    ]
    if measure.kind is not Kind.SHARE or whole.score is None or len(members) < 3:
        return None
    centre = Reference(whole.score.estimate, words.phrase("everybody", value=words.percent(whole.score.estimate)))
    title = words.phrase("by", title=voice.title(measure), dimension=words.dimension("practice"))
    plot = funnel_plot(name, title, members, centre, words.phrase("people-axis"), words.percent)
    return _framed(title, plot, groups_table(measure, "practice", groups, words), words)


def months_chart(name: str, measure: Measure, sheet: Sheet, voice: Voice, since: str = "") -> Markup | None:
    """A control chart of the months; None for what is no share. With `since`, limits come from the months before."""
    words, title = voice.words, voice.title(measure)
    if measure.kind is not Kind.SHARE or not sheet.months:
        return None
    points = charted(sheet.months, since)
    heading = words.phrase("by-month", title=title)
    if points is None:
        text = words.phrase("few-months", count=BASELINE_MIN)
        return element("section", element("h3", heading), element("p", text))
    periods = [
        Period(words.month(each.value), point.value, point.low, point.high, bool(point.signals))
        if point is not None
        else Period(words.month(each.value), None, None, None)
        for each, point in zip(sheet.months, points, strict=True)
    ]
    centre = next(point.centre for point in points if point is not None)
    chart = Chart(words.phrase("mean", value=words.percent(centre)), words.phrase("limits"), words.phrase("signal"),
                  words.phrase("kept-back"))  # fmt: skip
    if since:
        heading = f"{heading}, {words.phrase('changed', month=words.month(since))}"
    plot = control_chart(name, heading, periods, centre, chart, words.percent, lowest=0.0, highest=1.0)
    heads = [words.phrase("month"), words.phrase("value"), words.phrase("people"), words.phrase("note")]
    rows = [
        (
            words.month(each.value),
            said(measure, each.figure, words),
            _people(each.figure.eligible, words),
            words.phrase("signal") if point and point.signals else "",
        )
        for each, point in zip(sheet.months, points, strict=True)
    ]
    return _framed(heading, plot, (heads, rows), words)


def curves_plot(name: str, measure: Measure, groups: Sequence[Group], voice: Voice) -> Markup | None:
    """For how many of each group a wait is over by day; None where none may be shown."""
    words, title = voice.words, voice.title(measure)
    curves = [Curve(words.value(each.value), each.curve) for each in groups if each.curve][:4]
    if not curves:
        return None
    last = max(day for each in groups[:4] for day, _ in each.curve or ((0, 0.0),))
    marks = [Mark(days, limit_said(days, words)) for days in measure.within_days]
    axis = words.phrase("days-axis" if measure.id == "waits" else "days-axis-plain")
    shown_days = round(1.5 * marks[-1].day) if marks else min(last, DAYS_SHOWN)
    plot = growth_plot(name, title, curves, marks, axis, words.percent, last_day=shown_days)
    heads = [words.phrase("group"), words.phrase("half"), words.phrase("three-quarters"), words.phrase("nine-tenths")]
    rows = [(words.value(each.value), *_percentiles(each.figure, words)) for each in groups]
    return _framed(title, plot, (heads, rows), words)


def _percentiles(found: Figure, words: Words) -> list[str]:
    if found.waits is None:
        return [_kept(words)] * 3
    days = [found.waits.percentiles_days.get(share) for share in (0.5, 0.75, 0.9)]
    return [words.phrase("unknown") if each is None else words.phrase("days", days=each) for each in days]


def mix_plot(name: str, mix: Mix, voice: Voice) -> Markup:
    """Who is cared for at which tier, month by month."""
    words = voice.words
    title = words.phrase("tier-mix")
    parts = [words.value(part) for part in mix.parts]
    wholes = [
        Whole(words.month(row.value), row.shares, [_kept(words) if s is None else words.percent(s) for s in row.shares])
        for row in mix.rows
    ]
    rows = [(words.month(row.value), *(_people(part, words) for part in row.parts)) for row in mix.rows]
    return _framed(title, shares_plot(name, title, parts, wholes), ([words.phrase("month"), *parts], rows), words)


def outcomes_plot(name: str, shares: Sequence[tuple[Measure, Sheet]], voice: Voice) -> Markup:
    """Several shares of the same people under each other."""
    words, title = voice.words, voice.words.phrase("all-outcomes")
    rows = [
        estimate(measure, sheet.all, words)._replace(label=voice.title(measure)) for measure, sheet in shares
    ]  # fmt: skip
    plot = intervals_plot(name, title, rows, None, words.percent, lowest=0.0, highest=1.0)
    heads = [words.phrase("measure"), words.phrase("value"), words.phrase("people"), words.phrase("known")]
    told = [
        (voice.title(measure), *groups_table(measure, "", [sheet.all], words)[1][0][1:]) for measure, sheet in shares
    ]
    return _framed(title, plot, (heads, told), words)


def _framed(title: str, plot: Markup, told: Table, words: Words) -> Markup:
    heads, rows = told
    opened = words.phrase("figures", title=title)
    return element("section", joined(element("h3", title), figure(plot, title, heads, rows, opened=opened)))


def _people(count: int | None, words: Words) -> str:
    return _kept(words) if count is None else words.number(count)


def _kept(words: Words) -> str:
    return words.phrase("kept-back")
