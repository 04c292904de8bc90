"""Summary reports that go to the region: as they are kept here for a partner, and as that one is sent them."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from stepwell_shared.canonical import FIGURES_SYSTEM, derived_id, extension_url

from stepwell_measurement.builders.measures import About, summary_report, with_tally
from stepwell_measurement.rules.answers import KEPT_BACK
from stepwell_measurement.rules.board import Group
from stepwell_measurement.rules.measures.figures import Measure
from stepwell_measurement.rules.measures.reports import Report
from stepwell_measurement.rules.region import Standing
from stepwell_measurement.rules.sharing import SUMMARY

Resource = dict[str, Any]


def kept_id(base_url: str, tenant: str, partner: str, measure: str, period: tuple[date, date]) -> str:
    """The id of the report for a partner, at whoever reports; `base_url` is ours."""
    return derived_id(base_url, tenant, "MeasureReport", "for-partner", partner, measure, *map(str, period))


def taken_id(base_url: str, tenant: str, partner: str, measure: str, period: tuple[date, date]) -> str:
    """The id of the report from a partner, at whoever takes it, as that one calls itself and the partner."""
    return derived_id(base_url, tenant, "MeasureReport", "from-partner", partner, measure, *map(str, period))


def kept_report(measure: Measure, group: Group, about: About, id_: str, value: str) -> Resource:
    """What is published of one part of a year, with its tally; no count at all where anything of it is kept back, so
    that the reports on people within others (who ended care, who finished it) do not tell it by a difference."""
    figure = KEPT_BACK if group.tally is None else group.figure
    report = summary_report(Report(measure, (), figure), about)
    told = report if group.tally is None else with_tally(report, group.tally)
    return {**told, "id": id_, "identifier": [{"system": FIGURES_SYSTEM, "value": value}]}


def sent_report(kept: Mapping[str, Any], id_: str, organization: str) -> Resource:
    """The report as the partner is sent it: figures alone, under who we are there."""
    figures = {name: value for name, value in kept.items() if name in SUMMARY and name != "meta"}
    return {**figures, "id": id_, "reporter": {"reference": organization}}


def with_standing(report: Resource, standing: Sequence[Standing]) -> Resource:
    """The report with how it stands with each organisation whose figures it is made of, or would be."""
    told = [
        {
            "url": extension_url("reporting"),
            "extension": [
                {"url": "reporter", "valueReference": _organisation(each)},
                {"url": "state", "valueCode": each.state.value},
            ],
        }
        for each in standing
    ]
    return {**report, **({"extension": told} if told else {})}


def _organisation(standing: Standing) -> Resource:
    return {"display": standing.title} | ({"reference": standing.reference} if standing.reference else {})


def is_for_a_partner(report: Mapping[str, Any]) -> bool:
    """Whether it would pass for a report that was made here for a partner."""
    return any(each.get("system") == FIGURES_SYSTEM for each in report.get("identifier", ()))
