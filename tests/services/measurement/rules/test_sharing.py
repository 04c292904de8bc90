"""What one organisation may send another: nothing but figures, of groups in which nobody is few."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from stepwell_measurement.builders.measures import About, measure_url, tally_in
from stepwell_measurement.builders.region import kept_report, sent_report
from stepwell_measurement.data.measures import measures
from stepwell_measurement.rules.board import Group, Sheet
from stepwell_measurement.rules.measures.figures import BEGUN, WAITING, Kind, figure, is_tally, wait_name, waits_in
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW
from stepwell_measurement.rules.measures.waits import summarise
from stepwell_measurement.rules.sharing import problems
from stepwell_measurement.rules.tallies import told_tally

from tests.services.measurement.boards import board, counted

TODAY = date(2026, 11, 22)
PEOPLE = 400
GROUP = "MeasureReport.group[0]"
QUARTER = (date(2026, 7, 1), date(2026, 9, 30))
ABOUT = About({"reference": "Organization/x"}, datetime(2026, 11, 22, tzinfo=UTC), *QUARTER)
Resource = dict[str, Any]


@cache
def published() -> Mapping[str, Sheet]:
    """What is published of a small region: some quarters can be told, most months cannot."""
    return board(PEOPLE).sheets


def group_of(name: str) -> Group:
    """The third quarter of a measure."""
    (found,) = [each for each in published()[name].quarters if each.value == "2026-Q3"]
    return found


def sent(name: str = "recovery") -> Resource:
    """A report as a partner is sent it."""
    kept = kept_report(measures()[name], group_of(name), ABOUT, "r1", f"hub/{name}/2026-Q3")
    return sent_report(kept, "r2", "Organization/partner-alder")


def wrong_with(report: Mapping[str, Any], name: str = "recovery") -> list[str]:
    return [each.place for each in problems(report, measures().get(name), tally_in(report), TODAY)]


def with_group(**changed: Any) -> Resource:
    report = sent()
    return {**report, "group": [{**report["group"][0], **changed}]}


FEW = [{"code": {"coding": [{"system": "x", "code": "numerator"}]}, "count": 4}]
REFUSED: dict[str, tuple[Resource, str]] = {
    "of a person": ({**sent(), "type": "individual"}, "MeasureReport.type"),
    "naming a person": ({**sent(), "subject": {"reference": "Patient/p1"}}, "MeasureReport.subject"),
    "with a list": ({**sent(), "contained": [{"resourceType": "List"}]}, "MeasureReport.contained"),
    "with what was counted": ({**sent(), "evaluatedResource": [{"reference": "x"}]}, "MeasureReport.evaluatedResource"),
    "with a text": ({**sent(), "text": {"div": "Jane"}}, "MeasureReport.text"),
    "of a reporter with a name": ({**sent(), "reporter": {"display": "Jane"}}, "MeasureReport.reporter.display"),
    "with words in a code": (with_group(code={"coding": [{"code": "Jane Doe"}]}), f"{GROUP}.code.coding[0].code"),
    "with other strata": (with_group(stratifier=[{"stratum": []}]), f"{GROUP}.stratifier"),
    "with a small count": (with_group(population=FEW), f"{GROUP}.population[0].count"),
    "not complete": ({**sent(), "status": "pending"}, "MeasureReport.status"),
    "of another version": ({**sent(), "measure": f"{measure_url('recovery')}|0.9"}, "MeasureReport.measure"),
    "of two weeks": ({**sent(), "period": {"start": "2026-07-01", "end": "2026-07-14"}}, "MeasureReport.period"),
    "of no quarter": ({**sent(), "period": {"start": "2026-06-01", "end": "2026-08-31"}}, "MeasureReport.period"),
    "of a time to come": ({**sent(), "period": {"start": "2026-11-01", "end": "2026-11-30"}}, "MeasureReport.period"),
    "with a moment": ({**sent(), "period": {"start": "2026-07-01T09:00:00Z"}}, "MeasureReport.period"),
}  # fmt: skip


@pytest.mark.parametrize(("report", "place"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_summary_of_groups_is_refused_where_it_says_so(report: Resource, place: str) -> None:
    assert place in wrong_with(report)


def test_a_measure_that_nobody_knows_is_refused() -> None:
    assert wrong_with(sent(), "nothing") == ["MeasureReport.measure"]


@pytest.mark.parametrize(
    "values",
    [{"eligible": 20, "followed": 18, "having": 3}, {"eligible": 20, "followed": 18, "having": 9},
     {"eligible": 4}, {"eligible": 9, "followed": 12}, {"eligible": 12, "people": 12}],
)  # fmt: skip
def test_a_tally_of_few_or_of_something_else_is_refused(values: dict[str, int]) -> None:
    tally = {name: Decimal(value) for name, value in values.items()}
    assert [each.place for each in problems(sent(), measures()["recovery"], tally, TODAY)] == [
        "MeasureReport.extension"
    ]


@pytest.mark.parametrize("name", measures())
def test_what_is_published_of_a_quarter_may_be_sent(name: str) -> None:
    if measures()[name].criteria.on:
        assert wrong_with(sent(name), name) == []


def test_a_tally_is_told_whole_or_not_at_all_and_says_what_is_published() -> None:
    told = {True: 0, False: 0}
    for measure, counts in (each for together in counted(PEOPLE).values() for each in together):
        sheet = published()[measure.id]
        exactly = {**counts.months, **counts.quarters()}
        for group in (*sheet.quarters, *(each for each in sheet.months if each.value in counts.months)):
            told[group.tally is not None] += 1
            assert (group.tally is None) == group.figure.is_withheld
            if group.tally is None:
                continue
            assert is_tally(measure, group.tally)
            exact = exactly[group.value]
            if measure.kind is Kind.WAITS:
                assert not [count for count in group.tally.values() if 0 < count < SMALL_BELOW]
                assert sum(group.tally.values()) == sum(exact.values())
            else:
                assert group.tally == {name: exact.get(name, 0) for name in group.tally}
    assert min(told.values()) > 0


def test_waits_in_steps_keep_the_shares_that_are_published_and_never_come_earlier() -> None:
    measure = measures()["waits"]
    days = [3, 8, 9, 20, 41, 42, 42, 43, 50, 60, 70, 71, 90, 100, 120, 125, 130, 140, 150, 160, 170, 200]
    tally = {wait_name(BEGUN, day): Decimal(2 if day == 42 else 1) for day in dict.fromkeys(days)}
    tally |= {wait_name(WAITING, 300): Decimal(6)}
    found = told_tally(measure, tally, figure(measure, tally))
    assert found is not None
    assert min(found.values()) >= SMALL_BELOW
    before, after = (summarise(waits_in(each), targets_days=(42, 126)) for each in (tally, found))
    shares = [[interval for each in waits.targets for interval in each.within or ()] for waits in (before, after)]
    assert shares[0] == pytest.approx(shares[1])
    assert (before.people, before.begun, before.waiting) == (after.people, after.begun, after.waiting)
    pairs = zip(before.percentiles_days.values(), after.percentiles_days.values(), strict=True)
    assert all(early is not None and late is not None and early <= late for early, late in list(pairs)[:2])
