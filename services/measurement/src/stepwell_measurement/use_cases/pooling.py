"""`Measure/[id]/$pool`: a region's figures out of the reports of its organisations, by adding up what they counted.

Each sends its MeasureReport with a tally (`$evaluate-measure` with `tally`): numbers about groups, nobody in it.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import orjson
from stepwell_shared.canonical import CANONICAL
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.runtime import Runtime

from stepwell_measurement.builders.measures import About, measure_url, summary_report, tally_in
from stepwell_measurement.rules.measures.figures import Tally, is_tally
from stepwell_measurement.rules.measures.reports import GroupKey, report
from stepwell_measurement.use_cases.asked import day_in, grouped, parameters_in, refused, require_whole, single
from stepwell_measurement.use_cases.evaluating import Question, measure_of

KNOWN = frozenset({"periodStart", "periodEnd", "stratifier"})
REPORTER = "reporter"
REPORTS_MAX = 10_000

# Those of exactly this period; of each organisation the one that it made last.
_REPORTS = """SELECT body FROM fhir_measurereport WHERE tenant = current_setting('stepwell.tenant') AND body IS NOT NULL
  AND (p_measure = $1 OR p_measure LIKE $1 || '|%') ORDER BY id LIMIT $2"""

Resource = dict[str, Any]


async def pool(runtime: Runtime, request: Request) -> Response:
    """The MeasureReport of all organisations that have sent theirs for this period; by `stratifier` reporter, each.

    Raises FhirError: FORBIDDEN without the right to figures about groups, INVALID for what cannot be asked, NOT_FOUND
    for no Measure, BUSINESS_RULE when nobody has sent any.
    """
    request.access.require("MeasureReport", Interaction.SEARCH_TYPE)
    require_whole(request, "MeasureReport")
    given = grouped(parameters_in(request), KNOWN, frozenset())
    question = Question(request.id or "", day_in(given, "periodStart"), day_in(given, "periodEnd"))
    measure = measure_of(question)
    by_reporter = single(given, "stratifier")
    if by_reporter not in {"", REPORTER}:
        raise refused(f"pooled figures are told apart by {REPORTER}", "not-supported")
    sent = await _sent(runtime, request.access.tenant, question)
    if not sent:
        text = "no organisation has sent a report with its tally for exactly this period"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule")])
    wrong = [name for name, tally in sent.items() if not is_tally(measure, tally)]
    if wrong:
        text = f"{len(wrong)} of {len(sent)} reports count what this Measure does not; they have to be sent again"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule")])
    strata = (REPORTER,) if by_reporter else ()
    groups = {GroupKey(None, (name,)): tally for name, tally in sent.items()}
    found = report(measure, groups)
    if not by_reporter:
        found = found.without_rows()
    tenant = {"system": f"{CANONICAL}/NamingSystem/tenant", "value": request.access.tenant}
    reporter = {"type": "Organization", "identifier": tenant}
    about = About(reporter, runtime.clock(), question.start, question.end, strata)
    return Response(200, encode(summary_report(found, about)), {"Cache-Control": "no-store"})


async def _sent(runtime: Runtime, tenant: str, question: Question) -> dict[str, Tally]:
    """What each organisation has counted, by its name."""
    async with runtime.database.transaction(tenant) as connection:
        rows = await connection.fetch(_REPORTS, measure_url(question.measure), REPORTS_MAX + 1)
    if len(rows) > REPORTS_MAX:
        text = f"there are more than {REPORTS_MAX} reports on this Measure"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "too-costly")])
    newest: dict[str, tuple[str, Mapping[str, Decimal]]] = {}
    for row in rows:
        body: Resource = orjson.loads(row["body"])
        if body.get("status") != "complete" or not _is_of(body, question.start, question.end):
            continue
        try:
            tally, name = tally_in(body), _reporter(runtime, body)
        except (KeyError, TypeError, ArithmeticError):
            continue
        if tally and name and str(body.get("date", "")) >= newest.get(name, ("", {}))[0]:
            newest[name] = (str(body.get("date", "")), tally)
    return {name: tally for name, (_, tally) in sorted(newest.items())}


def _is_of(body: Resource, start: date, end: date) -> bool:
    period = body.get("period", {})
    return (str(period.get("start", ""))[:10], str(period.get("end", ""))[:10]) == (start.isoformat(), end.isoformat())


def _reporter(runtime: Runtime, body: Resource) -> str:
    reporter = body.get("reporter", {})
    if "reference" in reporter:
        return runtime.engine.localise(str(reporter["reference"])).removeprefix("Organization/")
    return str(reporter.get("identifier", {}).get("value", ""))
