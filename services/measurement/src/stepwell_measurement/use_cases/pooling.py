"""`Measure/[id]/$pool`: a region's figures out of the reports of its organisations, by adding up what they counted.

Each has its MeasureReports with a tally here: partners send theirs by themselves, others `$evaluate-measure` with
`tally`. They are numbers about groups, nobody in them. Beside the figures it is said of whom there are none.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import orjson
from stepwell_shared.canonical import organization_of
from stepwell_shared.federation.partners import Partner
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.partnering import partners_of
from stepwell_shared.runtime import Runtime

from stepwell_measurement.builders.measures import About, measure_url, summary_report, tally_in
from stepwell_measurement.builders.region import with_standing
from stepwell_measurement.rules.measures.figures import Measure, Tally, added, is_tally
from stepwell_measurement.rules.measures.reports import GroupKey, Report, report
from stepwell_measurement.rules.region import Part, Standing, state_of, tiled
from stepwell_measurement.rules.sharing import period_of
from stepwell_measurement.use_cases.asked import day_in, grouped, parameters_in, refused, require_whole, single
from stepwell_measurement.use_cases.evaluating import Question, measure_of
from stepwell_measurement.use_cases.region import schedule_of

KNOWN = frozenset({"periodStart", "periodEnd", "stratifier"})
REPORTER = "reporter"
REPORTS_MAX = 10_000

# Of each organisation and period the one that it made last.
_REPORTS = """SELECT body FROM fhir_measurereport WHERE tenant = current_setting('stepwell.tenant') AND body IS NOT NULL
  AND (p_measure = $1 OR p_measure LIKE $1 || '|%') ORDER BY id LIMIT $2"""

Resource = dict[str, Any]
Period = tuple[date, date]


class Sent(NamedTuple):
    """The newest report of an organisation about a period: when it was made, and what was counted (nothing where it is
    kept back)."""

    made_at: str
    tally: Tally


class Region(NamedTuple):
    """What is known of a Measure in a period: the tally of each organisation that has told one for all of it, and how
    it stands with each."""

    measure: Measure
    tallies: Mapping[str, Tally]
    standing: Sequence[Standing]

    def report(self) -> Report:
        """The figures of all together and of each, small counts kept back."""
        return report(self.measure, {GroupKey(None, (name,)): tally for name, tally in self.tallies.items()})


async def pool(runtime: Runtime, request: Request) -> Response:
    """The MeasureReport of all organisations that have told theirs for this period; by `stratifier` reporter, each.

    Raises FhirError: FORBIDDEN without the right to figures about groups, INVALID for what cannot be asked, NOT_FOUND
    for no Measure, BUSINESS_RULE when nobody has sent any.
    """
    request.access.require("MeasureReport", Interaction.SEARCH_TYPE)
    require_whole(request, "MeasureReport")
    given = grouped(parameters_in(request), KNOWN, frozenset())
    question = Question(request.id or "", day_in(given, "periodStart"), day_in(given, "periodEnd"))
    by_reporter = single(given, "stratifier")
    if by_reporter not in {"", REPORTER}:
        raise refused(f"pooled figures are told apart by {REPORTER}", "not-supported")
    found = await region_of(runtime, request.access.tenant, question)
    if not found.tallies:
        text = "no organisation has sent a report with its tally for exactly this period"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule")])
    pooled = found.report() if by_reporter else found.report().without_rows()
    reporter = organization_of(request.access.tenant)
    strata = (REPORTER,) if by_reporter else ()
    about = About(reporter, runtime.clock(), question.start, question.end, strata)
    answer = with_standing(summary_report(pooled, about), found.standing)
    return Response(200, encode(answer), {"Cache-Control": "no-store"})


async def region_of(runtime: Runtime, tenant: str, question: Question) -> Region:
    """What the organisations of a region have told of a Measure in a period, and of whom it is awaited.

    Raises FhirError as `evaluate` does, and BUSINESS_RULE for reports that count something else.
    """
    measure = measure_of(question)
    sent = await _sent(runtime, tenant, question)
    period = (question.start, question.end)
    whole = {name: [reports[each] for each in tiled(reports, *period)] for name, reports in sent.items()}
    there = {name: reports for name, reports in whole.items() if reports}
    tallies = {
        name: added(each.tally for each in reports)
        for name, reports in sorted(there.items())
        if all(each.tally for each in reports)
    }
    wrong = [name for name, tally in tallies.items() if not is_tally(measure, tally)]
    if wrong:
        text = f"{len(wrong)} of {len(tallies)} reports count what this Measure does not; they have to be sent again"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule")])
    partners = {each.organization: each for each in await partners_of(runtime).all(tenant)}
    standing = _standing(runtime, tenant, Part("", *period), partners, there, tallies)
    return Region(measure, tallies, standing)


def _standing(
    runtime: Runtime,
    tenant: str,
    part: Part,
    partners: Mapping[str, Partner],
    there: Mapping[str, object],
    tallies: Mapping[str, Tally],
) -> list[Standing]:
    """Of everybody who has told something, and of the partners who are to."""
    awaited = {each.organization.removeprefix("Organization/") for each in partners.values() if each.gives_figures}
    schedule, today = schedule_of(runtime, tenant), runtime.clock().date()
    found = []
    for name in sorted({*there, *awaited}):
        partner = partners.get(f"Organization/{name}")
        state = state_of(schedule, part, today, is_there=name in there, has_tally=name in tallies)
        reference = partner.organization if partner is not None else ""
        found.append(Standing(name, reference, partner.title if partner is not None else name, state))
    return found


async def _sent(runtime: Runtime, tenant: str, question: Question) -> dict[str, dict[Period, Sent]]:
    """What each organisation has told within the period, by its name."""
    async with runtime.database.transaction(tenant) as connection:
        rows = await connection.fetch(_REPORTS, measure_url(question.measure), REPORTS_MAX + 1)
    if len(rows) > REPORTS_MAX:
        text = f"there are more than {REPORTS_MAX} reports on this Measure"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "too-costly")])
    newest: dict[str, dict[Period, Sent]] = {}
    for row in rows:
        body: Resource = orjson.loads(row["body"])
        period = period_of(body)
        if body.get("status") != "complete" or period is None or not _is_within(period, question):
            continue
        try:
            tally, name = tally_in(body), _reporter(runtime, body)
        except (KeyError, TypeError, ArithmeticError):
            continue
        sent = Sent(str(body.get("date", "")), tally)
        known = newest.setdefault(name, {})
        if name and sent.made_at >= known.get(period, Sent("", {})).made_at:
            known[period] = sent
    return {name: reports for name, reports in newest.items() if name}


def _is_within(period: Period, question: Question) -> bool:
    return question.start <= period[0] <= period[1] <= question.end


def _reporter(runtime: Runtime, body: Resource) -> str:
    reporter = body.get("reporter", {})
    if "reference" in reporter:
        return runtime.engine.localise(str(reporter["reference"])).removeprefix("Organization/")
    return str(reporter.get("identifier", {}).get("value", ""))
