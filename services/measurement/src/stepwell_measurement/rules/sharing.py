"""What a summary report may say that one organisation sends another: figures of groups in which nobody is few.

Both sides hold to it: who sends looks before it leaves, who takes it looks again.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

from stepwell_measurement.rules.measures.figures import Measure, Tally, is_tally
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW
from stepwell_measurement.rules.tallies import tells_of_few

# No text in which something could be told: codes, addresses and numbers have no blanks.
_CODE_LIKE = re.compile("[!-~]{1,256}")

Resource = Mapping[str, Any]
Shape = Mapping[str, "Shape | None"]


class Problem(NamedTuple):
    """Where in the report, and what is wrong with it there."""

    place: str
    text: str


_CODE: Shape = {"coding": {"system": None, "code": None}}
_EXTENSION: Shape = {"url": None, "valueCode": None, "valueDecimal": None}
_SCORE: Shape = {
    "extension": {**_EXTENSION, "valueRange": {"low": {"value": None}, "high": {"value": None}}},
    "value": None,
    "system": None,
    "code": None,
}
# Everything that a summary has. What is not here has no place in it, and with it nothing that could name somebody.
SUMMARY: Shape = {
    "resourceType": None,
    "id": None,
    "meta": {"versionId": None, "lastUpdated": None},
    "extension": {"url": None, "extension": {"url": None, "valueString": None, "valueDecimal": None}},
    "status": None,
    "type": None,
    "measure": None,
    "date": None,
    "reporter": {"reference": None},
    "period": {"start": None, "end": None},
    "improvementNotation": _CODE,
    "group": {
        "extension": {"url": None, "extension": _EXTENSION},
        "code": _CODE,
        "population": {"code": _CODE, "count": None, "_count": {"extension": _EXTENSION}},
        "measureScore": _SCORE,
    },
}


def problems(report: Resource, measure: Measure | None, tally: Tally, today: date) -> list[Problem]:
    """Why a report is not one that organisations exchange; none for one that is. `tally` is the one in it."""
    found = list(_said(report, measure, today))
    found += [Problem(place, "has no place in a summary of figures") for place in _elsewhere(report, SUMMARY, "")]
    found += [Problem(place, f"a count of 1 to {SMALL_BELOW - 1} is not shared") for place in _few(report.get("group"))]
    if measure is not None and tally and not is_tally(measure, tally):
        found.append(Problem("MeasureReport.extension", "the tally is not what this Measure counts"))
    elif measure is not None and tells_of_few(measure, tally):
        found.append(Problem("MeasureReport.extension", "the tally tells of few people"))
    return found


def _said(report: Resource, measure: Measure | None, today: date) -> Iterator[Problem]:
    if report.get("type") != "summary":
        yield Problem("MeasureReport.type", "only summaries are taken, no report about a person or with a list of them")
    if report.get("status") != "complete":
        yield Problem("MeasureReport.status", "only complete reports are taken")
    if measure is None:
        yield Problem("MeasureReport.measure", "there is no such Measure here")
    elif report.get("measure", "").partition("|")[2] != measure.version:
        yield Problem(
            "MeasureReport.measure", f"only reports on version {measure.version} of this Measure can be added"
        )
    period = period_of(report)
    if period is None or not _is_whole(*period):
        yield Problem("MeasureReport.period", "a report is about a whole month or quarter, told by its days")
    elif period[1] >= today:
        yield Problem("MeasureReport.period", "a report is about a time that is over")


def period_of(report: Resource) -> tuple[date, date] | None:
    """The first and the last day of a report; None where it does not say them as days."""
    period = report.get("period")
    if not isinstance(period, Mapping):
        return None
    try:
        return date.fromisoformat(str(period.get("start"))), date.fromisoformat(str(period.get("end")))
    except ValueError:
        return None


def _is_whole(start: date, end: date) -> bool:
    after = date.fromordinal(end.toordinal() + 1)
    months = (after.year - start.year) * 12 + after.month - start.month
    return (start.day, after.day) == (1, 1) and (months == 1 or (months == 3 and start.month % 3 == 1))


def _elsewhere(value: Any, shape: Shape | None, place: str) -> Iterator[str]:
    """Where something stands that a summary does not have."""
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from _elsewhere(each, shape, f"{place}[{number}]")
    elif isinstance(value, Mapping):
        if shape is None:
            yield place
            return
        for name, each in value.items():
            below = f"{place}.{name}" if place else f"MeasureReport.{name}"
            if name in shape:
                yield from _elsewhere(each, shape[name], below)
            else:
                yield below
    elif shape is not None or (isinstance(value, str) and ".group" in place and not _CODE_LIKE.fullmatch(value)):
        yield place


def _few(groups: Any) -> Iterator[str]:
    """Where a small count stands."""
    for number, group in enumerate(groups if isinstance(groups, list) else ()):
        for place, population in enumerate(group.get("population", ())):
            if 0 < population.get("count", 0) < SMALL_BELOW:
                yield f"MeasureReport.group[{number}].population[{place}].count"
