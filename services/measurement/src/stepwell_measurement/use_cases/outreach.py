"""`Measure/reach/$outreach`: who is registered, not well by their last score, and not seen by anybody, as a Group."""

from datetime import date

from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.messages import Request, Response, written
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_measurement.builders.measures import outreach_group
from stepwell_measurement.use_cases.asked import day_in, grouped, parameters_in, require_persons, restriction
from stepwell_measurement.use_cases.evaluating import NAMED_MAX, Question, bound, conditions_of, measure_of

REACH = "reach"
KNOWN = frozenset({"periodStart", "periodEnd", "only"})

# Who waits for a first contact is known to somebody already.
_LEFT_OUT = """SELECT p.person FROM care_person AS p WHERE p.active AND NOT ({served}) AND {conditions}
  AND EXISTS (SELECT FROM trajectory AS t WHERE t.tenant = p.tenant AND t.person = p.person AND t.case_now)
  AND NOT EXISTS (SELECT FROM care_referral AS r WHERE r.tenant = p.tenant AND r.person = p.person
    AND r.begun_on IS NULL AND r.left_on IS NULL)
  ORDER BY p.person LIMIT {most}"""


async def reach_out(runtime: Runtime, request: Request) -> Response:
    """Stores the Group of people to go to: active, without a visit in the period, above a cut-off at their last score,
    and not waiting for a first contact. `only` (dimension|value, many) narrows it to those who are left out.

    Raises FhirError: FORBIDDEN for whoever may not see all persons and ask others to act; INVALID for what cannot be
    asked; BUSINESS_RULE for another Measure, or when there is nobody to go to.
    """
    require_persons(request)
    request.access.require("Task", Interaction.CREATE)
    if request.id != REACH:
        raise _unprocessable("people are gone to by the Measure reach")
    given = grouped(parameters_in(request), KNOWN, frozenset({"only"}))
    where = tuple(restriction(each) for each in given.get("only", ()))
    question = Question(REACH, day_in(given, "periodStart"), day_in(given, "periodEnd"), where=where)
    people = await _left_out(runtime, request.access.tenant, question)
    if not people:
        raise _unprocessable("nobody is left out by this")
    now = runtime.clock()
    group = outreach_group(runtime.new_id(), people, (question.start, question.end), where)
    change = built(runtime.engine, group, now)
    served_type = runtime.engine.registry.types["Group"]
    answer = written(runtime.engine.base_url, request, served_type, change.stored, created=True)
    unit = UnitOfWork(request.access.tenant, [change])
    unit.effects += request.records("$outreach", answer)
    await runtime.store.commit(unit)
    return answer


async def _left_out(runtime: Runtime, tenant: str, question: Question) -> list[str]:
    measure = measure_of(question)
    last: date = min(question.end, runtime.clock().date())
    conditions, arguments = conditions_of(measure, question, last)
    served = measure.criteria.having
    statement = bound(_LEFT_OUT.format(served=served, conditions=conditions, most=NAMED_MAX))
    async with runtime.database.transaction(tenant) as connection:
        return [row["person"] for row in await connection.fetch(statement, *arguments)]


def _unprocessable(text: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule")])
