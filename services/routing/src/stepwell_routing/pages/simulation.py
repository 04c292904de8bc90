"""A simulation as a page: what is unsafe first, then plots with a table beside each, readable without colour.

The two policies differ by pattern and by words. No script, nothing from elsewhere.
"""

from collections.abc import Sequence

from stepwell_shared.markup import Markup, element, joined
from stepwell_shared.pages.layout import table, whole_page
from stepwell_shared.pages.plots.bars import Bar, bars_plot

from stepwell_routing.pages.parts import WIDTH, said
from stepwell_routing.rules.simulation import Load, Mix, Report
from stepwell_routing.rules.stratum_load import loads_by_stratum
from stepwell_routing.use_cases.reporting import About


def simulation_page(report: Report, about: About) -> bytes:
    """The whole page."""
    return whole_page(
        "Simulation of a policy",
        _safety(report),
        element("ul", [element("li", note) for note in about.notes]),
        element("p", f"{report.people} {_counted(report)}. In force now: {report.present_policy}."),
        _beside_live(report),
        _mixes(report),
        _moves(report),
        _load(report.load),
        _strata(report),
    )


def _safety(report: Report) -> Markup:
    if not report.broken:
        return element("p", element("strong", "Every safety promise is kept."))
    rows = [(code, str(many)) for code, many in report.broken]
    return element(
        "section",
        element("h2", "Not safe: this policy breaks safety promises"),
        table("Safety rules whose promise is broken", ("Rule", "People"), rows),
        class_="unsafe",
        role="alert",
    )


def _counted(report: Report) -> str:
    return f"{'people' if report.beside is None else 'decisions'} in {report.weeks} weeks"


def _beside_live(report: Report) -> list[Markup]:
    """How a version in shadow decided beside the live decisions."""
    if report.beside is None:
        return []
    rows = [(said(mix.steps), str(mix.people)) for mix in report.beside.moves]
    moves = table("Steps of the draft, from those that were decided", ("Step", "Decisions"), rows)
    rules = [(code, str(many)) for code, many in report.beside.rules]
    caption = "Rules that fired in the draft alone (+), or alone in what was decided (-)"
    differ = table(caption, ("Rule", "Decisions"), rules)
    return [element("h2", "Beside the live decisions"), moves, *([differ] if rules else [])]


def _mixes(report: Report) -> Markup:
    bars = [Bar(said(mix.steps), mix.people, str(mix.people)) for mix in report.present]
    bars += [Bar(said(mix.steps), mix.people, str(mix.people), "across") for mix in report.proposed]
    rows = [("in force", said(mix.steps), str(mix.people)) for mix in report.present]
    rows += [("draft", said(mix.steps), str(mix.people)) for mix in report.proposed]
    title = "People at each step: in force (plain bars), draft (striped bars)"
    counts = table("People at each step", ("Policy", "Step", "People"), rows)
    return joined(element("h2", "Steps"), bars_plot("steps", title, bars, width=WIDTH), counts)


def _moves(report: Report) -> Markup:
    rows = [(said(move.present), said(move.proposed), str(move.people)) for move in report.moves]
    return joined(
        element("h2", "Moves"), table("From the policy in force to the draft", ("Now", "Draft", "People"), rows)
    )


def _load(loads: Sequence[Load]) -> Markup:
    bars = [Bar(said(each.steps), each.arrivals_per_week, f"{each.arrivals_per_week:.1f}") for each in loads]
    rows = []
    for each in loads:
        last = each.queue.wait_weeks[-1] if each.queue else None
        use = each.queue.use if each.queue else None
        wait = "no capacity given" if each.queue is None else ("no end" if last is None else f"{last:.1f}")
        rows.append(
            (said(each.steps), f"{each.arrivals_per_week:.1f}", "" if use is None else f"{100 * use:.0f} %", wait)
        )
    heads = ("Step", "Arrivals a week", "Use of places", "Wait at the end, weeks")
    return joined(
        element("h2", "Load and waits"),
        bars_plot("load", "Arrivals a week at each step", bars, width=WIDTH),
        table("Load", heads, rows),
    )


def _strata(report: Report) -> list[Markup]:
    sections, loads = [], loads_by_stratum(report)
    for dimension, strata in report.strata.items():
        rows = [
            (said(stratum.values), said(mix.steps), str(before), str(mix.people), f"{arrivals:.1f}")
            for stratum, load in zip(strata, loads[dimension], strict=True)
            for mix, before, (_, arrivals) in zip(
                stratum.proposed, _same_steps(stratum.present, stratum.proposed), load.arrivals, strict=True
            )
        ]
        heads = (dimension, "Step", "In force", "Draft", "Draft, arrivals a week")
        waits = [
            (said(load.values), f"{load.wait_weeks:.1f}") for load in loads[dimension] if load.wait_weeks is not None
        ]
        sections.append(
            joined(
                element("h2", f"By {dimension}"),
                table(f"Steps by {dimension}", heads, rows),
                [table(f"Mean wait by {dimension}", (dimension, "Wait at the end, weeks"), waits)] if waits else [],
            )
        )
    return sections


def _same_steps(present: Sequence[Mix], proposed: Sequence[Mix]) -> list[str]:
    """What the policy in force has at the same steps; empty where the two are published in other groups."""
    known = {mix.steps: str(mix.people) for mix in present}
    return [known.get(mix.steps, "") for mix in proposed]
