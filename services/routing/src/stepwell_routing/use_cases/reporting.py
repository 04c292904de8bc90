"""Builds MeasureReports of simulations and of the equity watch: figures about groups, never about a person.

Summary reports as DEQM has them (https://hl7.org/fhir/us/davinci-deqm/): date, reporter and period, no subjects.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from stepwell_shared.canonical import CANONICAL, instant, organization_of
from stepwell_shared.proportions import Interval

from stepwell_routing.rules.disclosure import Labels
from stepwell_routing.rules.equity import Watch
from stepwell_routing.rules.override_rates import Rate, Rates
from stepwell_routing.rules.simulation import PRESENT, PROPOSED, Mix, Report
from stepwell_routing.rules.stratum_load import loads_by_stratum

Resource = dict[str, Any]

POPULATION = "http://terminology.hl7.org/CodeSystem/measure-population"
SYNTHETIC = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}
UCUM = "http://unitsofmeasure.org"


class About(NamedTuple):
    """What every report says of itself; `tenant` names who reports, `notes` are the plain sentences that go with it."""

    tenant: str
    made_at: datetime
    start: datetime
    end: datetime
    is_synthetic: bool
    notes: Sequence[str]


def simulation_report(report: Report, about: About) -> Resource:
    """The MeasureReport of a simulation; what is unsafe comes first."""
    broken = sum(many for _, many in report.broken)
    first = _group("safety-promises-broken", report.people, numerator=broken)
    if report.broken:
        first["stratifier"] = [_stratifier("rule", [_stratum((code,), people=many) for code, many in report.broken])]
    groups = [
        first,
        _mix_group("proposed-steps", report.people, report.proposed),
        _mix_group("present-steps", report.people, report.present),
        _group("moves", report.people)
        | {
            "stratifier": [
                _stratifier(
                    "step",
                    [
                        _component({"present": move.present, "proposed": move.proposed}, people=move.people)
                        for move in report.moves
                    ],
                )
            ]
        },
        *_load_groups(report),
        *_beside_groups(report),
    ]
    for dimension, strata in report.strata.items():
        found = [
            _component({dimension: stratum.values, "policy": (which,), "step": mix.steps}, people=mix.people)
            for stratum in strata
            for which, mixes in ((PROPOSED, stratum.proposed), (PRESENT, stratum.present))
            for mix in mixes
        ]
        groups.append(_group(f"steps-by-{dimension}", report.people) | {"stratifier": [_stratifier(dimension, found)]})
    groups += _stratum_loads(report)
    return _report("policy-simulation", about, groups)


def _stratum_loads(report: Report) -> Iterable[Resource]:
    """Arrivals and waits by stratum, where there is anybody."""
    for dimension, loads in loads_by_stratum(report).items():
        arrivals = [
            _component({dimension: load.values, "step": steps}, score=_quantity(many, "/wk"))
            for load in loads
            for steps, many in load.arrivals
        ]
        waits = [
            _component({dimension: load.values}, score=_quantity(load.wait_weeks, "wk"))
            for load in loads
            if load.wait_weeks is not None
        ]
        for code, strata in ((f"arrivals-by-{dimension}", arrivals), (f"wait-by-{dimension}", waits)):
            if strata:
                yield _group(code, report.people) | {"stratifier": [_stratifier(dimension, strata)]}


def equity_report(watch: Watch, about: About) -> Resource:
    """The MeasureReport of the equity watch: shares with their limits, and differences from everybody else."""
    groups = [_group("people", watch.people)]
    for dimension in watch.dimensions:
        shares = [
            _component(
                {dimension.name: each.values, "severity": each.severities, "from-step": (str(each.from_rank),)}
                | {"figure": (figure,)},
                people=each.people,
                score=number,
            )
            for each in dimension.comparisons
            for figure, number in _figures("share", each.share) + _figures("difference", each.difference)
        ]
        pooled = [
            _component(
                {dimension.name: each.values, "from-step": (str(each.from_rank),), "figure": (figure,)}, score=number
            )
            for each in dimension.pooled
            for figure, number in _figures("difference", each.difference)
        ]
        stratifiers = [_stratifier(name, found) for name, found in (("severity", shares), ("all", pooled)) if found]
        group = _group(f"steps-by-{dimension.name}", watch.people)
        groups.append(group | ({"stratifier": stratifiers} if stratifiers else {}))
    return _report("equity-watch", about, groups)


def override_report(rates: Rates, about: About) -> Resource:
    """The MeasureReport of override rates: shares by rule and site, counts of overrides by reason and direction."""
    groups = [_group("answers", rates.whole.proposals) | {"stratifier": [_shared("all", (rates.whole,))]}]
    for name, found in (("rule", rates.by_rule), ("site", rates.by_site)):
        stratifier = {"stratifier": [_shared(name, found)]} if found else {}
        groups.append(_group(f"overridden-by-{name}", rates.whole.proposals) | stratifier)
    for name, counted in (("reason", rates.by_reason), ("direction", rates.by_direction)):
        strata = [_stratum(each.labels, people=each.overrides) for each in counted]
        stratifier = {"stratifier": [_stratifier(name, strata)]} if strata else {}
        groups.append(_group(f"overrides-by-{name}", rates.whole.proposals) | stratifier)
    return _report("override-rates", about, groups)


def _shared(name: str, rates: Sequence[Rate]) -> Resource:
    strata = [
        _component({name: rate.labels, "figure": (figure,)}, people=rate.proposals, score=number)
        for rate in rates
        for figure, number in _figures("share", rate.overridden)
    ]
    return _stratifier(name, strata)


def _figures(name: str, interval: Interval | None) -> list[tuple[str, Resource]]:
    if interval is None:
        return []
    parts = ((name, interval.estimate), (f"{name}-low", interval.low), (f"{name}-high", interval.high))
    return [(part, {"value": round(100 * value), "unit": "%", "system": UCUM, "code": "%"}) for part, value in parts]


def _load_groups(report: Report) -> Iterable[Resource]:
    arrivals = [_stratum(each.steps, score=_quantity(each.arrivals_per_week, "/wk")) for each in report.load]
    yield _group("arrivals-per-week", report.people) | {"stratifier": [_stratifier("step", arrivals)]}
    queues = [(each.steps, each.queue) for each in report.load if each.queue is not None]
    use = [_stratum(steps, score=_quantity(100 * q.use, "%")) for steps, q in queues if q.use is not None]
    waits = [
        _component({"step": steps, "week": (str(week),)}, score=_quantity(wait, "wk"))
        for steps, q in queues
        for week, wait in enumerate(q.wait_weeks, start=1)
        if wait is not None
    ]
    for code, strata in (("use-of-places", use), ("wait", waits)):
        if strata:
            yield _group(code, report.people) | {"stratifier": [_stratifier("step", strata)]}


def _beside_groups(report: Report) -> Iterable[Resource]:
    """What a version decided in shadow: where its steps lie from those that were decided, and which rules differ."""
    if report.beside is not None:
        moves = [_stratum(mix.steps, people=mix.people) for mix in report.beside.moves]
        rules = [_stratum((code,), people=many) for code, many in report.beside.rules]
        yield _group("shadow-moves", report.people) | {"stratifier": [_stratifier("move", moves)]}
        if rules:
            yield _group("shadow-rules", report.people) | {"stratifier": [_stratifier("rule", rules)]}


def _quantity(value: float, unit: str) -> Resource:
    return {"value": round(value, 1), "unit": unit, "system": UCUM, "code": unit}


def _report(measure: str, about: About, groups: Sequence[Resource]) -> Resource:
    tag = {"meta": {"tag": [SYNTHETIC]}} if about.is_synthetic else {}
    lines = "".join(f"<p>{_escaped(note)}</p>" for note in about.notes)
    return {
        "resourceType": "MeasureReport",
        **tag,
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{lines}</div>'},
        "status": "complete",
        "type": "summary",
        "measure": f"{CANONICAL}/Measure/{measure}",
        "date": instant(about.made_at),
        "reporter": organization_of(about.tenant),
        "period": {"start": instant(about.start), "end": instant(about.end)},
        "group": list(groups),
    }


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _mix_group(code: str, people: int, mixes: Sequence[Mix]) -> Resource:
    strata = [_stratum(mix.steps, people=mix.people) for mix in mixes]
    return _group(code, people) | {"stratifier": [_stratifier("step", strata)]}


def _group(code: str, people: int, *, numerator: int | None = None) -> Resource:
    populations = [_population("initial-population", people)]
    if numerator is not None:
        populations += [_population("denominator", people), _population("numerator", numerator)]
    return {"code": {"text": code}, "population": populations}


def _population(code: str, count: int) -> Resource:
    return {"code": {"coding": [{"system": POPULATION, "code": code}]}, "count": count}


def _stratifier(code: str, strata: Sequence[Resource]) -> Resource:
    return {"code": [{"text": code}], "stratum": list(strata)}


def _stratum(labels: Labels, *, people: int | None = None, score: Resource | None = None) -> Resource:
    return {"value": {"text": " / ".join(labels)}} | _counted(people, score)


def _component(values: Mapping[str, Labels], *, people: int | None = None, score: Resource | None = None) -> Resource:
    components = [{"code": {"text": name}, "value": {"text": " / ".join(labels)}} for name, labels in values.items()]
    return {"component": components} | _counted(people, score)


def _counted(people: int | None, score: Resource | None) -> Resource:
    population = {} if people is None else {"population": [_population("initial-population", people)]}
    return population | ({} if score is None else {"measureScore": score})
