"""A MeasureReport is stored: whoever waits for the figures is told, unless they are still being reckoned.

What partners send is held to what was agreed with them; what was made here for partners is not for clients to change.
"""

from datetime import datetime
from typing import Any

import orjson
from stepwell_shared.auth.roles import FIGURES_ROLE
from stepwell_shared.database.functions import Effect
from stepwell_shared.events.outbox import event
from stepwell_shared.federation.partners import Partner, figures_client_of
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.partnering import note_heard, partners_of
from stepwell_shared.runtime import Runtime

from stepwell_measurement.builders.measures import tally_in
from stepwell_measurement.builders.region import is_for_a_partner, taken_id
from stepwell_measurement.data.measures import measures
from stepwell_measurement.rules.sharing import Problem, period_of, problems
from stepwell_measurement.subscriptions import MEASURE_REPORT_READY

PENDING = "pending"
PROBLEMS_TOLD_MAX = 20

Resource = dict[str, Any]


async def change_report(runtime: Runtime, write: Write) -> None:
    """Announces the new version with the write itself.

    Raises FhirError: FORBIDDEN for a partner whose figures are not taken, BUSINESS_RULE for a report that is not one
    of its own summaries, or that a client may not change.
    """
    report = write.resource
    assert report is not None, "reports are never deleted"
    previous: Resource = orjson.loads(write.previous.body) if write.previous and write.previous.body else {}
    if FIGURES_ROLE in getattr(write.access, "roles", ()):
        await _take(runtime, write, report, previous)
    elif is_for_a_partner(report) or is_for_a_partner(previous):
        text = "reports for partners are made here out of what is published; correct what they count"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "MeasureReport.identifier")])
    if report.get("status") != PENDING:  # it may be absent with a reason
        write.unit.effects.append(announced(runtime, write.stored, report, write.now))


def announced(runtime: Runtime, stored: Stored, report: Resource, now: datetime) -> Effect:
    """The event of a report whose figures are there."""
    focus = f"MeasureReport/{stored.id}"
    subject = report.get("subject", {}).get("reference")
    key = runtime.engine.localise(subject) if subject else focus
    return event(MEASURE_REPORT_READY.canonical, key, focus, [(f"{runtime.engine.base_url}/{focus}", stored)], now)


def found_wrong(runtime: Runtime, report: Resource) -> list[Problem]:
    """Why a report is not one that organisations send each other; none for one that is."""
    measure = measures().get(measure_id(report))
    try:
        tally = tally_in(report)
    except (KeyError, TypeError, AttributeError, ArithmeticError):
        return [Problem("MeasureReport.extension", "a tally has a name and a value each")]
    return problems(report, measure, tally, runtime.clock().date())


def measure_id(report: Resource) -> str:
    """The id of the Measure that a report is about."""
    return str(report.get("measure", "")).partition("|")[0].rpartition("/Measure/")[2]


async def _take(runtime: Runtime, write: Write, report: Resource, previous: Resource) -> None:
    """A report that a partner sends."""
    tenant = write.access.tenant
    partners = await partners_of(runtime).all(tenant)
    sender = [each for each in partners if figures_client_of(tenant, each.name) == write.access.client_id]
    if not sender or not sender[0].gives_figures:
        raise FhirError(Category.FORBIDDEN, "it was not agreed that figures of this organisation are taken")
    (partner,) = sender
    found = [*_foreign(runtime, write, report, partner), *found_wrong(runtime, report)]
    if str(previous.get("date", "")) > str(report.get("date", "")):
        found.append(Problem("MeasureReport.date", "a newer report is here"))
    if found:
        issues = [Issue(each.text, "business-rule", each.place) for each in found[:PROBLEMS_TOLD_MAX]]
        raise FhirError(Category.BUSINESS_RULE, issues)
    await note_heard(runtime, partner)


def _foreign(runtime: Runtime, write: Write, report: Resource, partner: Partner) -> list[Problem]:
    """What does not name the partner that sends it."""
    found = []
    reporter = report.get("reporter", {}).get("reference", "")
    if runtime.engine.localise(reporter) != partner.organization:
        found.append(Problem("MeasureReport.reporter", f"a report of this partner names {partner.organization}"))
    period = period_of(report)
    if period is not None:
        tenant = write.access.tenant
        expected = taken_id(runtime.engine.base_url, tenant, partner.name, measure_id(report), period)
        if write.stored.id != expected:
            found.append(Problem("MeasureReport.id", "the id follows from the Measure and the period"))
    return found
