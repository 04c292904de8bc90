"""`$evaluate-measure` and DEQM's `$evaluate`: a Measure counted for a period, as a MeasureReport.

https://hl7.org/fhir/R4/operation-measure-evaluate-measure.html
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stepwell_shared.canonical import CANONICAL, derived_id, organization_of
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.runtime import Runtime

from stepwell_measurement.builders.measures import About, measure_url, report_head, summary_report, with_tally
from stepwell_measurement.rules.measures.figures import Kind, added, nobody_counted
from stepwell_measurement.rules.measures.reports import EVERYBODY, report
from stepwell_measurement.use_cases.asked import (
    Given,
    day_in,
    grouped,
    parameters_in,
    refused,
    require_persons,
    require_whole,
    restriction,
    sees_persons,
    single,
)
from stepwell_measurement.use_cases.evaluating import Member, Question, evaluate, measure_of, members, tallies
from stepwell_measurement.use_cases.published import published_report

KNOWN = frozenset(
    {"periodStart", "periodEnd", "measure", "measureUrl", "measureId", "reportType", "subject", "organization"}
)
OURS = frozenset({"stratifier", "by", "only", "tally"})
REPEATED = frozenset({"stratifier", "only", "measureUrl", "measureId"})
# R4's words and DEQM's for the same three.
KINDS = {
    "": "summary",
    "summary": "summary",
    "population": "summary",
    "subject": "individual",
    "individual": "individual",
    "subject-list": "subject-list",
}
PRACTICES = f"{CANONICAL}/NamingSystem/practice"
MEASURES_MAX = 25

Resource = dict[str, Any]


async def evaluate_measure(runtime: Runtime, request: Request) -> Response:
    """`Measure/[id]/$evaluate-measure`, or without an id with `measure`: one MeasureReport.

    Raises FhirError: FORBIDDEN without the right to figures about groups, or to persons where these are asked for;
    NOT_FOUND for no Measure; INVALID for what cannot be asked.
    """
    given = grouped(parameters_in(request), KNOWN | OURS, REPEATED)
    named = request.id or single(given, "measure")
    if not named:
        raise refused("measure says which Measure", "required")
    return _answer(await _report(runtime, request, given, _measure_id(named)))


async def evaluate_as_deqm(runtime: Runtime, request: Request) -> Response:
    """`Measure/$evaluate`: for each `measureUrl` or `measureId` a Bundle with its MeasureReport, in Parameters. Raises
    FhirError as `evaluate_measure` does."""
    given = grouped(parameters_in(request), KNOWN | OURS, REPEATED)
    named = [request.id] if request.id else [*given.get("measureUrl", ()), *given.get("measureId", ())]
    if not 0 < len(named) <= MEASURES_MAX:
        raise refused(f"measureUrl or measureId says which Measures, up to {MEASURES_MAX}", "required")
    reports = [await _report(runtime, request, given, _measure_id(each)) for each in named]
    entries = [{"fullUrl": _address(runtime, each), "resource": each} for each in reports]
    bundles = [{"resourceType": "Bundle", "type": "collection", "entry": [entry]} for entry in entries]
    parameters = [{"name": "return", "resource": bundle} for bundle in bundles]
    return _answer({"resourceType": "Parameters", "parameter": parameters})


def _measure_id(named: str) -> str:
    """The id of a Measure that is named by its id, reference or canonical address."""
    return named.partition("|")[0].removeprefix(measure_url("")).removeprefix("Measure/")


async def _report(runtime: Runtime, request: Request, given: Given, measure_id: str) -> Resource:
    kind = KINDS.get(single(given, "reportType"))
    if kind is None:
        raise refused(f"reportType is one of {', '.join(filter(None, KINDS))}", "not-supported")
    question = _question(runtime, given, measure_id)
    request.access.require("MeasureReport", Interaction.SEARCH_TYPE)
    require_whole(request, "MeasureReport")
    reporter = organization_of(request.access.tenant)
    about = About(reporter, runtime.clock(), question.start, question.end, question.strata, question.by)
    if kind == "summary":
        if question.person:
            raise refused("a summary is about everybody; reportType subject is about one person", "invalid")
        if single(given, "tally") != "true":
            return await _summary(runtime, request, question, about)
    require_persons(request)
    if kind == "summary":
        return await _whole(runtime, request, question, about)
    return await _named(runtime, request, question, about, kind)


async def _summary(runtime: Runtime, request: Request, question: Question, about: About) -> Resource:
    """Figures with small counts kept back: of anybody for whoever may see persons, else what is published alone."""
    if sees_persons(request):
        return summary_report(await evaluate(runtime, request.access.tenant, question), about)
    found, made_at = await published_report(runtime, request.access.tenant, question)
    return summary_report(found, replace(about, made_at=made_at))


async def _whole(runtime: Runtime, request: Request, question: Question, about: About) -> Resource:
    """Figures about everybody with what they are made of, for who adds them up: nothing is kept back."""
    if question.strata or question.by:
        raise refused("a tally is of everybody, or of one group (only, organization)", "not-supported")
    counted = added((await tallies(runtime, request.access.tenant, question)).values())
    found = report(measure_of(question), {EVERYBODY: counted} if counted else {}, below=1)
    practice = dict(question.where).get("practice")
    if practice is not None:
        reporter = {"type": "Organization", "identifier": {"system": PRACTICES, "value": practice}}
        about = replace(about, reporter=reporter)
    return with_tally(summary_report(found, about), counted or nobody_counted(found.measure))


def _question(runtime: Runtime, given: Given, measure_id: str) -> Question:
    subject, organization = single(given, "subject"), single(given, "organization")
    where = [restriction(each) for each in given.get("only", ())]
    if organization:
        where.append(("practice", runtime.engine.localise(organization).removeprefix("Organization/")))
    return Question(
        measure_id,
        day_in(given, "periodStart"),
        day_in(given, "periodEnd"),
        tuple(given.get("stratifier", ())),
        single(given, "by"),
        tuple(where),
        runtime.engine.localise(subject if "/" in subject else f"Patient/{subject}") if subject else "",
    )


async def _named(runtime: Runtime, request: Request, question: Question, about: About, kind: str) -> Resource:
    """Who is counted, for whoever may see persons: of one person, or as lists."""
    measure = measure_of(question)
    if measure.kind is not Kind.SHARE or question.strata or question.by:
        raise refused("persons are named for shares alone, of everybody together", "not-supported")
    if (kind == "individual") != bool(question.person):
        raise refused("reportType subject and subject go together", "required")
    found = await members(runtime, request.access.tenant, question)
    head = report_head(measure, about, kind)
    populations = _populations(found)
    if kind == "individual":
        counted = [_counted(code, {"count": len(people)}) for code, people in populations.items()]
        return {**head, "subject": {"reference": question.person}, "group": [{"population": counted}]}
    lists = [_list(code, people) for code, people in populations.items() if people]
    counted = [
        _counted(code, {"count": len(people)} | ({"subjectResults": {"reference": f"#{code}"}} if people else {}))
        for code, people in populations.items()
    ]
    return {**head, **({"contained": lists} if lists else {}), "group": [{"population": counted}]}


def _populations(found: Sequence[Member]) -> dict[str, list[str]]:
    return {
        "initial-population": [each.person for each in found],
        "denominator": [each.person for each in found],
        "denominator-exclusion": [each.person for each in found if not each.followed],
        "numerator": [each.person for each in found if each.having],
    }


def _counted(code: str, counted: Resource) -> Resource:
    system = "http://terminology.hl7.org/CodeSystem/measure-population"
    return {"code": {"coding": [{"system": system, "code": code}]}, **counted}


def _list(code: str, people: Sequence[str]) -> Resource:
    entries = [{"item": _person(each)} for each in people]
    return {"resourceType": "List", "id": code, "status": "current", "mode": "snapshot", "entry": entries}


def _person(key: str) -> Resource:
    system, bar, value = key.partition("|")
    if not bar:
        return {"reference": key}
    return {"type": "Patient", "identifier": {"value": value} | ({"system": system} if system else {})}


def _address(runtime: Runtime, report: Resource) -> str:
    cause = (str(report["measure"]), str(report["date"]))
    return f"urn:uuid:{derived_id(runtime.engine.base_url, '', *cause)}"


def _answer(resource: Resource) -> Response:
    return Response(200, encode(resource), {"Cache-Control": "no-store"})
