"""`$simulate`: a draft policy, or a stored version, over people of the past, synthetic ones, or beside live decisions.

Nothing is stored.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.runtime import Runtime

from stepwell_routing.data.simulating import assumption_notes, assumptions, promises, scales
from stepwell_routing.policies import find_policy
from stepwell_routing.policies.published import compile_document
from stepwell_routing.rules.equity import EquityTally, Watch, severity_of, watch
from stepwell_routing.rules.lifecycle import site_of
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.reading import DocumentError
from stepwell_routing.rules.shadowing import compared
from stepwell_routing.rules.simulation import Frame, Person, Report, Tally, count, place, published
from stepwell_routing.rules.statistics import Capacity
from stepwell_routing.rules.synthetic import people
from stepwell_routing.shadow_decisions import read_shadows
from stepwell_routing.use_cases.cohorts import recorded, unhurried
from stepwell_routing.use_cases.evidence import moment
from stepwell_routing.use_cases.reporting import About, equity_report, simulation_report

PEOPLE_MAX = 100_000
WEEKS_MAX, HORIZON_MAX, CAPACITIES_MAX = 260, 104, 20
ROUND_TO = 5
SYNTHETIC, RECORDED, LIVE = "synthetic", "recorded", "live"
PEOPLE_AT_ONCE = 50

Resource = dict[str, Any]
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@dataclass(frozen=True)
class Asked:
    """What a simulation or an equity watch is asked for."""

    cohort: str
    seed: int
    people: int
    start: datetime
    end: datetime
    capacities: Mapping[str, Capacity]
    horizon_weeks: int

    @property
    def weeks(self) -> int:
        return max(1, round((self.end - self.start) / timedelta(weeks=1)))

    @property
    def is_synthetic(self) -> bool:
        return self.cohort == SYNTHETIC

    @property
    def rounding(self) -> int:
        """Nobody is found again in figures about people who do not exist."""
        return 1 if self.is_synthetic else ROUND_TO


@dataclass(frozen=True)
class Simulated:
    """What came of it, with what it is about."""

    report: Report
    about: About
    policy: Policy


async def simulate(runtime: Runtime, request: Request) -> Response:
    """`PlanDefinition/$simulate` and `/[id]/$simulate`: a MeasureReport of what the policy would do.

    Raises FhirError: FORBIDDEN without the right to figures about groups, BUSINESS_RULE for a policy that cannot be
    published or for too few people, THROTTLED while another simulation runs in this process.
    """
    found = await simulated(runtime, request)
    return _answer(simulation_report(found.report, found.about))


async def simulated(runtime: Runtime, request: Request) -> Simulated:
    """The figures of `$simulate`, for its MeasureReport and its page."""
    _require_figures(request)
    given = parameters_of(request, KNOWN)
    document = await document_asked(runtime, request, given)
    policy, site = await compiled(runtime, request.access.tenant, document), runtime.engine.localise(site_of(document))
    asked = _asked(given, runtime.clock(), RECORDED, SYNTHETIC, LIVE)
    present = await find_policy(runtime, request.access.tenant, policy.pathway, site) or policy
    frame = Frame(asked.weeks, asked.capacities, asked.horizon_weeks, asked.rounding)
    if asked.cohort == LIVE:
        rows = await read_shadows(runtime.database, request.access.tenant, policy.canonical, asked.start, asked.end)
        report = compared(rows, policy, present, frame)
    else:
        report = await _tried(runtime, request.access.tenant, asked, policy, present, frame)
    if report is None:
        raise _too_few()
    return Simulated(report, _about(runtime, request, asked, policy), policy)


async def _tried(
    runtime: Runtime, tenant: str, asked: Asked, policy: Policy, present: Policy, frame: Frame
) -> Report | None:
    """What the policy would do with the people of the cohort."""
    tally = Tally()
    async with _alone(runtime):
        async for person in _cohort(runtime, tenant, asked, [policy, present]):
            count(tally, person, policy, present, promises())
    return published(tally, policy, present, frame)


async def watch_equity(runtime: Runtime, request: Request) -> Response:
    """`PlanDefinition/[id]/$equity-watch`: whether equally ill people are offered the same, whoever they are."""
    found, about = await watched(runtime, request)
    return _answer(equity_report(found, about))


async def watched(runtime: Runtime, request: Request) -> tuple[Watch, About]:
    """The figures of `$equity-watch`."""
    _require_figures(request)
    given = parameters_of(request, KNOWN)
    policy = await policy_asked(runtime, request, given)
    asked = _asked(given, runtime.clock(), RECORDED, SYNTHETIC)
    tally, ranks = EquityTally(), {step.code: step.rank for step in policy.steps}
    async with _alone(runtime):
        async for person in _cohort(runtime, request.access.tenant, asked, [policy]):
            values = {name: known.value for name, known in person.evidence.values.items()}
            step = place(policy, promises(), person.evidence, person.now).step
            tally.add(person.strata, severity_of(scales(policy.pathway), values), ranks[step])
    found = watch(tally, policy.canonical, len(policy.steps), round_to=asked.rounding)
    if found is None:
        raise _too_few()
    return found, _about(runtime, request, asked, policy)


async def _cohort(runtime: Runtime, tenant: str, asked: Asked, policies: Sequence[Policy]) -> AsyncIterator[Person]:
    """The people, a few at a time: whoever else is served meanwhile hardly waits."""
    if asked.is_synthetic:
        made = people(policies, assumptions(), asked.seed, asked.people, asked.end)
        async for person in unhurried(made, PEOPLE_AT_ONCE):
            yield person
        return
    number = 0
    async for person in recorded(runtime, tenant, policies, asked.start, asked.end, asked.people):
        number += 1
        if number % PEOPLE_AT_ONCE == 0:
            await asyncio.sleep(0)
        yield person


class _alone:  # noqa: N801 - reads as the phrase that it is used as
    """One simulation at a time in a process. Raises THROTTLED while there is one."""

    def __init__(self, runtime: Runtime) -> None:
        self.lock = runtime.cache.setdefault(_alone, asyncio.Lock())

    async def __aenter__(self) -> None:
        assert isinstance(self.lock, asyncio.Lock)
        if self.lock.locked():
            text = "another simulation is running here; try again in a minute"
            raise FhirError(Category.THROTTLED, text, headers={"Retry-After": "60"})
        await self.lock.acquire()

    async def __aexit__(self, *_: object) -> None:
        assert isinstance(self.lock, asyncio.Lock)
        self.lock.release()


def _require_figures(request: Request) -> None:
    """Figures about all people of a tenant are for those who may read MeasureReports without restriction."""
    request.access.require("MeasureReport", Interaction.SEARCH_TYPE)
    if request.access.filters("MeasureReport", Interaction.SEARCH_TYPE):
        raise FhirError(Category.FORBIDDEN, "this needs a token that reaches every MeasureReport")


def parameters_of(request: Request, known: Sequence[str]) -> dict[str, list[Resource]]:
    """What is given, by name; a PlanDefinition alone is the parameter policy. Raises INVALID for unknown ones."""
    try:
        body = _decoder.decode(request.body) if request.body else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FhirError(Category.INVALID, [Issue("the body is not JSON (RFC 8259, UTF-8)", "structure")]) from error
    rows = list(body.get("parameter", ())) if body.get("resourceType") == "Parameters" else []
    if body.get("resourceType") == "PlanDefinition":
        rows.append({"name": "policy", "resource": body})
    rows += [{"name": name, "valueString": text} for name, text in request.parameters if not name.startswith("_")]
    found: dict[str, list[Resource]] = {}
    for row in rows:
        found.setdefault(str(row.get("name")), []).append(row)
    for name, values in found.items():
        if name not in known or (len(values) > 1 and name not in REPEATED):
            raise invalid(f"this operation takes {', '.join(known)}, each once but {', '.join(REPEATED)}", name)
    return found


REPEATED = ("capacity", "evidence")
KNOWN = ("policy", "cohort", "seed", "people", "start", "end", "capacity", "horizon")


def _asked(given: Mapping[str, list[Resource]], now: datetime, *cohorts: str) -> Asked:
    cohort = str(value_of(given, "cohort") or RECORDED)
    if cohort not in cohorts:
        raise invalid(f"a cohort is one of {', '.join(cohorts)}", "cohort")
    end = _moment(given, "end") or now
    start = _moment(given, "start") or end - timedelta(weeks=26)
    if not timedelta(0) < end - start <= timedelta(weeks=WEEKS_MAX):
        raise invalid(f"a period ends after its start and has at most {WEEKS_MAX} weeks", "start")
    capacities = [_capacity(row) for row in given.get("capacity", ())]
    if len(capacities) > CAPACITIES_MAX:
        raise invalid(f"at most {CAPACITIES_MAX} capacities are taken", "capacity")
    many = _whole(given, "people", 10_000 if cohort == SYNTHETIC else PEOPLE_MAX, 1, PEOPLE_MAX)
    horizon = _whole(given, "horizon", 26, 1, HORIZON_MAX)
    return Asked(cohort, _whole(given, "seed", 1, 0, 2**31 - 1), many, start, end, dict(capacities), horizon)


def value_of(given: Mapping[str, list[Resource]], name: str) -> Any:
    """The value of the first parameter of a name, of whatever type."""
    row = next(iter(given.get(name, ())), {})
    return next((value for key, value in row.items() if key.startswith("value")), None)


def _whole(given: Mapping[str, list[Resource]], name: str, usual: int, low: int, high: int) -> int:
    value = value_of(given, name)
    if value is None:
        return usual
    try:
        number = int(str(value))
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise invalid(f"{name} is a whole number from {low} to {high}", name)
    return number


def _moment(given: Mapping[str, list[Resource]], name: str) -> datetime | None:
    value = value_of(given, name)
    if value is None:
        return None
    try:
        return moment(str(value))
    except (ValueError, OverflowError) as error:
        raise invalid(f"{name} is a date or dateTime", name) from error


def _capacity(row: Resource) -> tuple[str, Capacity]:
    """Parts step, starts-per-week and perhaps waiting; in a query `step:starts-per-week:waiting`."""
    values = {
        str(part.get("name")): next((v for k, v in part.items() if k.startswith("value")), None)
        for part in row.get("part", ())
    }
    if "valueString" in row:
        names = ("step", "starts-per-week", "waiting")
        values = dict(zip(names, str(row["valueString"]).split(":"), strict=False))
    try:
        starts, waiting = float(str(values["starts-per-week"])), int(str(values.get("waiting", 0)))
        step = str(values["step"])
    except (KeyError, ValueError) as error:
        text = (
            "a capacity has the parts step (valueCode), starts-per-week (valueDecimal), perhaps waiting (valueInteger)"
        )
        raise invalid(text, "capacity") from error
    if not (0 <= starts <= PEOPLE_MAX and 0 <= waiting <= PEOPLE_MAX):
        raise invalid(f"capacities lie between 0 and {PEOPLE_MAX}", "capacity")
    return step, Capacity(starts, waiting)


async def document_asked(runtime: Runtime, request: Request, given: Mapping[str, list[Resource]]) -> Resource:
    """The policy that is given, or the stored one, as a PlanDefinition. Raises FhirError."""
    document = next(iter(given.get("policy", ())), {}).get("resource")
    if document is None and request.id:
        stored = await runtime.store.read(request.access.tenant, "PlanDefinition", request.id)
        if stored is None or stored.body is None or request.access.filters("PlanDefinition", Interaction.READ):
            raise FhirError(Category.NOT_FOUND, "there is no PlanDefinition with this id")
        document = _decoder.decode(stored.body)
    if not isinstance(document, dict) or document.get("resourceType") != "PlanDefinition":
        raise invalid("give the policy as a PlanDefinition, or ask a stored one", "policy")
    return document


async def compiled(runtime: Runtime, tenant: str, document: Resource) -> Policy:
    """The policy of a document, held to all that publishing asks. Raises FhirError with every finding."""
    try:
        return await compile_document(runtime, tenant, document)
    except DocumentError as error:
        issues = [Issue(finding.text, "business-rule", finding.path) for finding in error.findings]
        raise FhirError(Category.BUSINESS_RULE, issues) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise invalid("this is no policy that can be read", "policy") from error


async def policy_asked(runtime: Runtime, request: Request, given: Mapping[str, list[Resource]]) -> Policy:
    """The policy that is given, or the stored one; it is held to all that publishing asks. Raises FhirError."""
    return await compiled(runtime, request.access.tenant, await document_asked(runtime, request, given))


def _about(runtime: Runtime, request: Request, asked: Asked, policy: Policy) -> About:
    notes = [f"Policy {policy.canonical}."]
    if asked.cohort == LIVE:
        notes.append(
            "What this version decided in shadow beside each live decision; somebody with several decisions counts with"
            f" each. Small groups are merged before anything is counted; counts are rounded to {asked.rounding}."
        )
    elif asked.is_synthetic:
        notes += [f"{asked.people} synthetic people, seed {asked.seed}.", *assumption_notes()]
    else:
        notes.append(
            f"Small groups are merged before anything is counted; counts of people are rounded to {asked.rounding}."
        )
    return About(request.access.tenant, runtime.clock(), asked.start, asked.end, asked.is_synthetic, notes)


def _answer(report: Resource) -> Response:
    return Response(200, encode(report), {"Cache-Control": "no-store"})


def _too_few() -> FhirError:
    text = "there are too few people in this period for any figure that does not point at single ones"
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule")])


def invalid(text: str, name: str) -> FhirError:
    """A parameter that cannot be taken, with its place."""
    return FhirError(Category.INVALID, [Issue(text, "invalid", f"Parameters.parameter.where(name = '{name[:64]}')")])
