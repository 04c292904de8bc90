"""`$override-rates`: how often clinicians decided otherwise than proposed, by rule, reason and site."""

from datetime import timedelta

from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.runtime import Runtime

from stepwell_routing.proposal_answers import ACCEPTED, read_answers
from stepwell_routing.rules.override_rates import Answered, override_rates
from stepwell_routing.use_cases.evidence import moment
from stepwell_routing.use_cases.people import require_whole
from stepwell_routing.use_cases.reporting import About, override_report
from stepwell_routing.use_cases.simulating import ROUND_TO, WEEKS_MAX, invalid, parameters_of, policy_asked, value_of

NOTES = (
    "Answers of clinicians to proposals: a proposal counts once, and by rule once for each rule that led to it.",
    "An override is no error: a rule that is overridden often is looked at together with its reasons.",
    f"Small groups are merged before anything is counted; counts are rounded to {ROUND_TO}.",
)


async def report_overrides(runtime: Runtime, request: Request) -> Response:
    """`PlanDefinition/$override-rates` and `/[id]/$override-rates` with `start` and `end`: a summary MeasureReport.

    With an id only answers to proposals of that policy's version count. Raises FhirError: FORBIDDEN without the right
    to figures about groups, INVALID for other parameters, BUSINESS_RULE when there are too few answers.
    """
    request.access.require("MeasureReport", Interaction.SEARCH_TYPE)
    require_whole(request, "MeasureReport", Interaction.SEARCH_TYPE)
    given = parameters_of(request, ("start", "end"))
    try:
        end = moment(str(value_of(given, "end"))) if "end" in given else runtime.clock()
        start = moment(str(value_of(given, "start"))) if "start" in given else end - timedelta(weeks=26)
    except (ValueError, OverflowError) as error:
        raise invalid("start and end are a date or dateTime", "start") from error
    if not timedelta(0) < end - start <= timedelta(weeks=WEEKS_MAX):
        raise invalid(f"a period ends after its start and has at most {WEEKS_MAX} weeks", "start")
    policy = (await policy_asked(runtime, request, {})).canonical if request.id else None
    answers = await read_answers(runtime.database, request.access.tenant, start, end)
    counted = [
        Answered(each.answer, each.rules, each.reason, each.site)
        for each in answers
        if policy is None or each.policy == policy
    ]
    rates = override_rates(counted, ACCEPTED, round_to=ROUND_TO)
    if rates is None:
        text = "there are too few answers in this period for any figure that does not point at single ones"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule")])
    about = About(request.access.tenant, runtime.clock(), start, end, False, NOTES)
    return Response(200, encode(override_report(rates, about)), {"Cache-Control": "no-store"})
