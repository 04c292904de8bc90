"""A simulation as a page: what is unsafe first, then plots with a table beside each, readable without colour.

Every bar carries its number; the two policies differ by pattern and by words. No script, nothing from elsewhere.
"""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256

from stepwell_shared.markup import Markup, element, joined

from stepwell_routing.rules.simulation import Load, Mix, Report
from stepwell_routing.use_cases.reporting import About

STYLE = Markup(
    "body{font:1.0625rem/1.5 system-ui,sans-serif;color:#1f2a33;max-width:60rem;margin:auto;padding:1rem}"
    "table{border-collapse:collapse;margin:1rem 0}th,td{border:1px solid #76828c;padding:.25rem .75rem}"
    "th{text-align:start}svg{max-width:100%;height:auto;display:block}.unsafe{border:4px solid #9b1c1c;padding:1rem}"
)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
WIDTH, LABEL, BAR, GAP = 640, 150, 22, 8

Bar = tuple[str, float, str]


def simulation_page(report: Report, about: About) -> bytes:
    """The whole page."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", "Simulation of a policy"),
        element("style", STYLE),
    )
    body = element(
        "body",
        element(
            "main",
            element("h1", "Simulation of a policy"),
            _safety(report),
            element("ul", [element("li", note) for note in about.notes]),
            element("p", f"{report.people} people in {report.weeks} weeks. In force now: {report.present_policy}."),
            _mixes(report),
            _moves(report),
            _load(report.load),
            _strata(report),
        ),
    )
    return f"<!DOCTYPE html>{element('html', head, body, lang='en')}".encode()


def _safety(report: Report) -> Markup:
    if not report.broken:
        return element("p", element("strong", "Every safety promise is kept."))
    rows = [(code, str(many)) for code, many in report.broken]
    return element(
        "section",
        element("h2", "Not safe: this policy breaks safety promises"),
        _table("Safety rules whose promise is broken", ("Rule", "People"), rows),
        class_="unsafe",
        role="alert",
    )


def _mixes(report: Report) -> Markup:
    bars: list[Bar] = [(_said(mix.steps), mix.people, "plain") for mix in report.present]
    bars += [(_said(mix.steps), mix.people, "striped") for mix in report.proposed]
    rows = [("in force", _said(mix.steps), str(mix.people)) for mix in report.present]
    rows += [("draft", _said(mix.steps), str(mix.people)) for mix in report.proposed]
    title = "People at each step: in force (plain bars), draft (striped bars)"
    table = _table("People at each step", ("Policy", "Step", "People"), rows)
    return joined(element("h2", "Steps"), _plot(title, bars), table)


def _moves(report: Report) -> Markup:
    rows = [(_said(move.present), _said(move.proposed), str(move.people)) for move in report.moves]
    return joined(
        element("h2", "Moves"), _table("From the policy in force to the draft", ("Now", "Draft", "People"), rows)
    )


def _load(loads: Sequence[Load]) -> Markup:
    bars: list[Bar] = [(_said(each.steps), round(each.arrivals_per_week, 1), "plain") for each in loads]
    rows = []
    for each in loads:
        last = each.queue.wait_weeks[-1] if each.queue else None
        use = each.queue.use if each.queue else None
        wait = "no capacity given" if each.queue is None else ("no end" if last is None else f"{last:.1f}")
        rows.append(
            (_said(each.steps), f"{each.arrivals_per_week:.1f}", "" if use is None else f"{100 * use:.0f} %", wait)
        )
    heads = ("Step", "Arrivals a week", "Use of places", "Wait at the end, weeks")
    return joined(
        element("h2", "Load and waits"), _plot("Arrivals a week at each step", bars), _table("Load", heads, rows)
    )


def _strata(report: Report) -> list[Markup]:
    sections = []
    for dimension, strata in report.strata.items():
        rows = [
            (_said(stratum.values), _said(mix.steps), str(before), str(mix.people))
            for stratum in strata
            for mix, before in zip(stratum.proposed, _beside(stratum.present, stratum.proposed), strict=True)
        ]
        heads = (dimension, "Step", "In force", "Draft")
        sections.append(joined(element("h2", f"By {dimension}"), _table(f"Steps by {dimension}", heads, rows)))
    return sections


def _beside(present: Sequence[Mix], proposed: Sequence[Mix]) -> list[str]:
    """What the policy in force has at the same steps; empty where the two are published in other groups."""
    known = {mix.steps: str(mix.people) for mix in present}
    return [known.get(mix.steps, "") for mix in proposed]


def _said(labels: Sequence[str]) -> str:
    return " or ".join(labels)


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", [element("th", head, scope="col") for head in heads])),
        element("tbody", [_row(row) for row in rows]),
    )


def _row(row: Sequence[str]) -> Markup:
    first, *others = row
    return element("tr", element("th", first, scope="row"), [element("td", each) for each in others])


def _plot(title: str, bars: Sequence[Bar]) -> Markup:
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
