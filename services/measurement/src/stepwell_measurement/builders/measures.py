"""Measures and MeasureReports as FHIR R4: https://hl7.org/fhir/R4/measure.html, measurereport.html, and summary reports
as DEQM has them (https://hl7.org/fhir/us/davinci-deqm/): date, reporter and period, nobody's name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from stepwell_shared.canonical import CANONICAL, code_system, extension_url, instant
from stepwell_shared.proportions import Interval

from stepwell_measurement.rules.measures.control_charts import Point
from stepwell_measurement.rules.measures.figures import Figure, Kind, Measure
from stepwell_measurement.rules.measures.reports import Report

Resource = dict[str, Any]

POPULATION = "http://terminology.hl7.org/CodeSystem/measure-population"
SCORING = "http://terminology.hl7.org/CodeSystem/measure-scoring"
NOTATION = "http://terminology.hl7.org/CodeSystem/measure-improvement-notation"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
FIGURE = code_system("measure-figure")
UCUM = "http://unitsofmeasure.org"
MASKED = {"url": ABSENT, "valueCode": "masked"}
NOBODY = {"url": ABSENT, "valueCode": "not-applicable"}
SCORINGS = {
    Kind.SHARE: ("proportion", "Proportion"),
    Kind.WAITS: ("continuous-variable", "Continuous Variable"),
    Kind.MEAN: ("continuous-variable", "Continuous Variable"),
    Kind.COST: ("ratio", "Ratio"),
    Kind.USE: ("ratio", "Ratio"),
}
PERCENTILES = {"wait-p50": 0.5, "wait-p75": 0.75, "wait-p90": 0.9}
_FOUR_PLACES = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class About:
    """What a report says of itself: who reports, when it was made, the first and last day, and how groups are told
    apart (`strata`, by period where `by` says which part of it)."""

    reporter: Mapping[str, Any]
    made_at: datetime
    start: date
    end: date
    strata: Sequence[str] = ()
    by: str = ""


def measure_url(measure_id: str) -> str:
    """The canonical address of a Measure, without its version."""
    return f"{CANONICAL}/Measure/{measure_id}"


def measure_resource(measure: Measure, titles: Mapping[str, str]) -> Resource:
    """A Measure as it ships; `titles` are those of what it can be stratified by."""
    code, display = SCORINGS[measure.kind]
    name = "".join(part.capitalize() for part in measure.id.split("-"))
    body: Resource = {
        "resourceType": "Measure",
        "id": measure.id,
        "url": measure_url(measure.id),
        "version": measure.version,
        "name": name,
        "title": measure.title,
        "status": "active",
        "experimental": False,
        "date": measure.date,
        "publisher": "Stepwell",
        "description": f"{measure.denominator}. {measure.numerator}.",
        "purpose": measure.purpose,
        "relatedArtifact": [{"type": "citation", "citation": measure.source}],
        "scoring": {"coding": [{"system": SCORING, "code": code, "display": display}]},
        **_notation(measure),
        "group": [
            {
                "code": _coded(figure),
                "population": list(_criteria(measure)),
                "stratifier": [
                    {"code": {"text": each}, "description": titles[each], "criteria": _expression(each)}
                    for each in measure.dimensions
                ],
            }
            for figure in figures_of(measure)
        ],
    }
    return body


def figures_of(measure: Measure) -> tuple[str, ...]:
    """The codes of what a Measure says: one group of a report each."""
    match measure.kind:
        case Kind.WAITS:
            return (*PERCENTILES, *(f"within-{days}-days" for days in measure.within_days))
        case Kind.USE:
            return ("use-ratio", "use-before", "use-after")
        case kind:
            return (kind.value,)


def _criteria(measure: Measure) -> Iterator[Resource]:
    criteria = measure.criteria
    whole = f"{criteria.on} BETWEEN period_start AND period_end AND {criteria.eligible}".removeprefix(" BETWEEN ")
    everybody = criteria.eligible if not criteria.on else whole
    followed = criteria.followed or "true"
    yield _population_defined("initial-population", measure.denominator, everybody)
    match measure.kind:
        case Kind.SHARE | Kind.COST:
            yield _population_defined("denominator", measure.denominator, everybody)
            if criteria.followed:
                words = "Those of whom the outcome is not known: counted beside the rate, and in its bounds"
                yield _population_defined("denominator-exclusion", words, f"NOT ({followed})")
            yield _population_defined("numerator", measure.numerator, criteria.having)
        case Kind.WAITS:
            yield _population_defined("measure-population", measure.denominator, everybody)
            days = f"{criteria.end} - {criteria.start}"
            yield _population_defined("measure-observation", measure.numerator, days)
        case Kind.MEAN:
            yield _population_defined("measure-population", measure.denominator, followed)
            yield _population_defined("measure-observation", measure.numerator, criteria.value)
        case Kind.USE:
            yield _population_defined("denominator", "Events in the year before", criteria.before)
            yield _population_defined("numerator", measure.numerator, criteria.after)


def _population_defined(code: str, description: str, expression: str) -> Resource:
    return {"code": _coded(code, POPULATION), "description": description, "criteria": _expression(expression)}


def _expression(text: str) -> Resource:
    """An expression of SQL over the counted rows: R4 has no code for that language."""
    return {"_language": {"extension": [{"url": ABSENT, "valueCode": "unsupported"}]}, "expression": text}


def summary_report(found: Report, about: About) -> Resource:
    """The MeasureReport of type summary: one group for each figure, with everybody and then each stratum."""
    return {**report_head(found.measure, about, "summary"), "group": list(_groups(found, about))}


def with_tally(report: Resource, tally: Mapping[str, Decimal]) -> Resource:
    """The report with what was counted, so that whoever has several can add them up."""
    counted = [
        {
            "url": extension_url("tally"),
            "extension": [{"url": "name", "valueString": name}, {"url": "value", "valueDecimal": value}],
        }
        for name, value in sorted(tally.items())
    ]
    return {**report, **({"extension": counted} if counted else {})}


def tally_in(report: Mapping[str, Any]) -> dict[str, Decimal]:
    """What a report says was counted. Raises KeyError, TypeError or ArithmeticError for what says it otherwise."""
    found: dict[str, Decimal] = {}
    for extension in report.get("extension", ()):
        if extension.get("url") == extension_url("tally"):
            parts = {part["url"]: part for part in extension["extension"]}
            found[str(parts["name"]["valueString"])] = Decimal(str(parts["value"]["valueDecimal"]))
    return found


def report_head(measure: Measure, about: About, kind: str) -> Resource:
    """What every MeasureReport says first."""
    return {
        "resourceType": "MeasureReport",
        "status": "complete",
        "type": kind,
        "measure": f"{measure_url(measure.id)}|{measure.version}",
        "date": instant(about.made_at),
        "reporter": dict(about.reporter),
        "period": {"start": about.start.isoformat(), "end": about.end.isoformat()},
        **_notation(measure),
    }


def outreach_group(
    group_id: str, people: Sequence[str], period: tuple[date, date], where: Sequence[tuple[str, str]]
) -> Resource:
    """People to go to: the members of a Group, with what tells them apart as its characteristics."""
    start, end = period
    about = [
        {"code": {"text": name}, "valueCodeableConcept": {"text": value}, "exclude": False} for name, value in where
    ]
    return {
        "resourceType": "Group",
        "id": group_id,
        "active": True,
        "type": "person",
        "actual": True,
        "code": {"text": "Outreach"},
        "name": f"Registered, not well by their last score, and not seen from {start} to {end}",
        "quantity": len(people),
        **({"characteristic": about} if about else {}),
        "member": [{"entity": {"reference": each}} for each in people],
    }


def _groups(found: Report, about: About) -> Iterator[Resource]:
    for code in figures_of(found.measure):
        strata = [
            {**_values(row.since, row.strata, about), **_said(found.measure, code, row.figure, row.limits)}
            for row in found.rows
        ]
        names = ([about.by] if about.by else []) + list(about.strata)
        stratifier = {"code": [{"text": name} for name in names], "stratum": strata}
        group = {"code": _coded(code), **_said(found.measure, code, found.whole, None)}
        yield group | ({"stratifier": [stratifier]} if strata else {})


def _values(since: date | None, strata: Sequence[str], about: About) -> Resource:
    """One value of one stratifier, or several together: never both (mrp-2)."""
    named = ([(about.by, _part(since, about.by))] if since is not None else []) + list(
        zip(about.strata, strata, strict=True)
    )
    if len(named) == 1:
        return {"value": {"text": named[0][1]}}
    return {"component": [{"code": {"text": name}, "value": {"text": value}} for name, value in named]}


def _part(since: date, by: str) -> str:
    """A month as 2026-03, a quarter as 2026-Q1, a year as 2026."""
    if by == "quarter":
        return f"{since.year}-Q{(since.month + 2) // 3}"
    return f"{since:%Y}" if by == "year" else f"{since:%Y-%m}"


def _said(measure: Measure, code: str, figure: Figure, limits: Point | None) -> Resource:
    """Populations and score of a group or a stratum; extensions carry what R4 has no element for."""
    extensions = [*_follow_up(figure), *(_limits(limits) if limits is not None else ())]
    score = _score(measure, code, figure)
    body = {"extension": extensions} if extensions else {}
    return {**body, "population": list(_populations(measure, code, figure)), "measureScore": score}


def _populations(measure: Measure, code: str, figure: Figure) -> Iterator[Resource]:
    excluded = None if figure.eligible is None or figure.followed is None else figure.eligible - figure.followed
    yield _population("initial-population", figure.eligible)
    match measure.kind:
        case Kind.SHARE | Kind.COST:
            yield _population("denominator", figure.eligible)
            if measure.criteria.followed:
                yield _population("denominator-exclusion", excluded)
            yield _population("numerator", figure.having)
        case Kind.WAITS:
            yield _population("measure-population", figure.eligible)
            waits = figure.waits
            yield _population("begun", None if waits is None else waits.begun, FIGURE)
            # Where not everything may be said, it is not said who waits still.
            still = None if figure.is_withheld else waits
            for name in ("waiting", "left"):
                yield _population(name, None if still is None else getattr(still, name), FIGURE)
            for target in waits.targets if waits is not None else ():
                if code == f"within-{target.days}-days":
                    yield _population("waiting-longer", None if still is None else target.waiting_longer, FIGURE)
        case Kind.MEAN:
            yield _population("measure-population", figure.followed)
        case Kind.USE:
            yield _population("denominator", figure.eligible)


def _population(code: str, count: int | None, system: str = POPULATION) -> Resource:
    counted = {"_count": {"extension": [MASKED]}} if count is None else {"count": count}
    return {"code": _coded(code, system), **counted}


def _score(measure: Measure, code: str, figure: Figure) -> Resource:
    """The score as a Quantity; without one it says whether it is withheld, or there is nobody to say it of."""
    found, unit = _interval(measure, code, figure)
    if found is None:
        return {"extension": [MASKED if figure.is_withheld else NOBODY]}
    quantity: Resource = {"value": _number(found.estimate)}
    if found.low != found.high:
        low, high = {"value": _number(found.low)}, {"value": _number(found.high)}
        limits = {"url": extension_url("confidence-interval"), "valueRange": {"low": low, "high": high}}
        quantity = {"extension": [limits], **quantity}
    return quantity | ({"system": UCUM, "code": unit} if unit else {})


def _interval(measure: Measure, code: str, figure: Figure) -> tuple[Interval | None, str]:
    if code in PERCENTILES:
        days = figure.waits.percentiles_days[PERCENTILES[code]] if figure.waits is not None else None
        return (None if days is None else Interval(days, days, days)), "d"
    if code.startswith("within-"):
        targets = figure.waits.targets if figure.waits is not None else ()
        return next((each.within for each in targets if code == f"within-{each.days}-days"), None), "1"
    if code in {"use-before", "use-after"}:
        use = figure.use
        return (None if use is None else use.before if code == "use-before" else use.after), "/a"
    if measure.kind is Kind.COST:
        cost = None if figure.cost is None else float(figure.cost)
        return (None if cost is None else Interval(cost, cost, cost)), ""
    return figure.score, measure.unit or "1"


def _follow_up(figure: Figure) -> Iterable[Resource]:
    """How complete follow-up is, with its limits, and between what the rate lies if none, or all, of the others had the
    outcome."""
    if figure.completeness is None:
        return
    named = {
        "completeness": figure.completeness.estimate,
        "completeness-low": figure.completeness.low,
        "completeness-high": figure.completeness.high,
        "lowest": figure.lowest,
        "highest": figure.highest,
    }
    parts = [{"url": name, "valueDecimal": _number(value)} for name, value in named.items() if value is not None]
    yield {"url": extension_url("follow-up"), "extension": parts}


def _limits(point: Point) -> Iterable[Resource]:
    """The limits that chance keeps a series within, and why this point is a signal."""
    named = {"centre": point.centre, "low": point.low, "high": point.high}
    parts: list[Resource] = [{"url": name, "valueDecimal": _number(value)} for name, value in named.items()]
    parts += [{"url": "signal", "valueCode": signal.value} for signal in point.signals]
    yield {"url": extension_url("control-limits"), "extension": parts}


def _notation(measure: Measure) -> Resource:
    if not measure.notation:
        return {}
    return {"improvementNotation": {"coding": [{"system": NOTATION, "code": measure.notation}]}}


def _coded(code: str, system: str = FIGURE) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


def _number(value: float) -> Decimal:
    """To four places: shares to a hundredth of a per cent."""
    rounded = Decimal(str(value)).quantize(_FOUR_PLACES, ROUND_HALF_EVEN)
    return rounded.quantize(Decimal(1)) if rounded == rounded.to_integral_value() else rounded.normalize()
