"""What is said of a queue: to coordinators who is next and why, to a person where they stand, and to all how well waits
were promised and what is coming."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from stepwell_shared.canonical import code_system, instant
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.pace_queries import arrivals_of, calendar_of
from stepwell_referral.rules.basis import basis_of
from stepwell_referral.rules.forecast import Week, attended_mean, calibration, forecast
from stepwell_referral.rules.queue import ordered, waited_share
from stepwell_referral.rules.waits import poisson_at_most, urgency_of, wait_words
from stepwell_referral.use_cases.paces import (
    PROMISES_SHOWN_MAX,
    free_starts,
    outcomes_of,
    pace_of_service,
    paces_of,
    weekly_starts,
)
from stepwell_referral.use_cases.queues import waiting_at
from stepwell_referral.use_cases.renewing import standings
from stepwell_referral.use_cases.taking import read_resource, refused

Resource = dict[str, Any]

SERVICES_MAX = 500
# A person takes over at once: there is no wait to say anything of.
HAND_OVER = "WAIT-HAND-OVER"


async def queue(runtime: Runtime, request: Request) -> Response:
    """`HealthcareService/[id]/$queue`: everybody who waits there, the next one first, and what puts them there.

    Raises FhirError FORBIDDEN for a token that does not reach every Task.
    """
    request.access.require("Task", Interaction.SEARCH_TYPE)
    if request.access.filters("Task", Interaction.SEARCH_TYPE):
        raise FhirError(Category.FORBIDDEN, "a queue is for those who see every referral of the service")
    tenant, now, parameters = request.access.tenant, runtime.clock(), data.queue_parameters()
    waiting = {each.entry.task_id: each for each in await waiting_at(runtime, tenant, request.id)}
    pace = await pace_of_service(runtime, tenant, request.id, now)
    waits = {each.waiting.entry.task_id: each.wait for each in standings(list(waiting.values()), pace, now)}
    entries = []
    for placed in ordered([each.entry for each in waiting.values()], now, parameters):
        each, wait = waiting[placed.entry.task_id], waits.get(placed.entry.task_id)
        limit = urgency_of(placed.entry.priority, data.urgency_classes())
        parts = [
            {"name": "referral", "valueReference": {"reference": f"Task/{placed.entry.task_id}"}},
            {"name": "position", "valuePositiveInt": placed.position},
            {"name": "priority", "valueCode": placed.entry.priority},
            {"name": "asked", "valueInstant": instant(placed.entry.entered_at)},
            {"name": "due", "valueInstant": instant(placed.entry.entered_at + limit.maximum_wait)},
            {"name": "waited-share", "valueDecimal": _decimal(waited_share(placed.entry, now, parameters))},
            {"name": "passed", "valueUnsignedInt": placed.entry.overtaken},
            {"name": "before-next-because", "valueCoding": {"system": code_system("queue"), "code": placed.rule}},
            {"name": "reason", "valueString": placed.reason},
            {"name": "has-appointment", "valueBoolean": each.is_booked},
        ]
        if wait is not None:
            parts.append({"name": "keepable", "valueBoolean": wait.keepable})
        entries.append({"name": "waiting", "part": parts})
    return _parameters([{"name": "people", "valueUnsignedInt": len(entries)}, *entries])


async def wait(runtime: Runtime, request: Request) -> Response:
    """`Task/[id]/$wait`: where this person stands now, how long it is likely to be, and why. Nobody else is shown.

    Raises FhirError BUSINESS_RULE for a referral that does not wait at a service of ours.
    """
    tenant, now = request.access.tenant, runtime.clock()
    task, service = await _waiting_task(runtime, tenant, request.id)
    waiting = await waiting_at(runtime, tenant, service["id"])
    pace = await pace_of_service(runtime, tenant, service["id"], now)
    found = next((each for each in standings(waiting, pace, now) if each.waiting.entry.task_id == request.id), None)
    if found is None:
        raise refused("this referral has its first appointment already", "Task.businessStatus")
    told: list[Resource] = [
        {"name": "position", "valuePositiveInt": found.ahead + 1},
        {"name": "keepable", "valueBoolean": found.wait.keepable},
        {"name": "due", "valueInstant": instant(found.wait.due_by)},
        {"name": "rule", "valueCoding": {"system": code_system("rule"), "code": found.wait.rule}},
    ]
    if found.wait.median_days is not None and found.wait.upper_days is not None:
        told += [_days("median", found.wait.median_days), _days("upper", found.wait.upper_days)]
    basis = basis_of(pace, data.pace_parameters())
    words = wait_words(found.wait, service.get("name", service["id"]), data.wait_templates())
    language = str(task.get("language", "en")) if task.get("language") in words else "en"
    if found.wait.rule != HAND_OVER:
        told.append({"name": "rests-on", "valueCoding": {"system": code_system("queue"), "code": basis}})
        words[language] += f" {data.wait_templates()[language]['basis'][basis]}"
    told.append({"name": "words", "valueString": words[language]})
    return _parameters(told)


async def wait_calibration(runtime: Runtime, request: Request) -> Response:
    """`HealthcareService/$wait-calibration`: which share of promises was kept, by service and month; few of them show
    no share."""
    tenant, now = request.access.tenant, runtime.clock()
    services = [request.id] if request.id else [each["id"] for each in await _services(runtime, tenant)]
    outcomes: list[tuple[str, str, bool]] = []
    for service_id in services:
        reference = f"HealthcareService/{service_id}"
        settled = await outcomes_of(runtime, tenant, reference, PROMISES_SHOWN_MAX, now)
        outcomes += [(service_id, f"{each.made:%Y-%m}", each.kept) for each in settled]
    found = calibration(outcomes, people_least=data.pace_data()["calibration"]["people_least"])
    months = []
    for month in found:
        parts = [
            {"name": "service", "valueReference": {"reference": f"HealthcareService/{month.service_id}"}},
            {"name": "month", "valueDate": month.month},
        ]
        if month.share is not None and month.kept is not None:
            parts.append({"name": "promises", "valueUnsignedInt": month.settled})
            parts.append({"name": "kept", "valueUnsignedInt": month.kept})
            parts.append({"name": "share", "valueDecimal": _decimal(month.share)})
        months.append({"name": "month", "part": parts})
    target = {"name": "target", "valueDecimal": _decimal(data.pace_parameters().target_probability)}
    return _parameters([target, *months])


async def capacity_forecast(runtime: Runtime, request: Request) -> Response:
    """`HealthcareService/$capacity-forecast`: who is expected and how many can begin, by week and tier."""
    tenant, now = request.access.tenant, runtime.clock()
    by_tier: dict[str, list[Resource]] = {}
    for service in await _services(runtime, tenant):
        codings = (coding for each in service.get("category", ()) for coding in each.get("coding", ()))
        for coding in codings:
            if coding.get("system") == code_system("tier") and "code" in coding:
                by_tier.setdefault(coding["code"], []).append(service)
    found = []
    for tier, services in sorted(by_tier.items()):
        for week in await _weeks(runtime, tenant, services, now):
            parts = [
                {"name": "tier", "valueCoding": {"system": code_system("tier"), "code": tier}},
                {"name": "start", "valueDate": f"{week.start:%Y-%m-%d}"},
                {"name": "demand", "valueDecimal": _decimal(week.demand)},
                {"name": "demand-upper", "valueUnsignedInt": week.demand_upper},
                {"name": "capacity", "valueDecimal": _decimal(week.capacity)},
                {"name": "waiting", "valueDecimal": _decimal(week.waiting)},
                {"name": "rule", "valueCoding": {"system": code_system("queue"), "code": week.rule}},
            ]
            found.append({"name": "week", "part": parts})
    return _parameters(found)


async def _weeks(runtime: Runtime, tenant: str, services: Sequence[Resource], now: datetime) -> list[Week]:
    """The weeks of a tier: what its services expect and can give together."""
    limits = data.pace_data()["forecast"]
    starts = [now + timedelta(weeks=number) for number in range(limits["weeks"])]
    window = timedelta(days=limits["window_days"])
    capacity, arrivals, waiting, attended = [0.0] * len(starts), 0.0, 0, []
    paces = await paces_of(runtime, tenant, now)
    for service in services:
        reference = f"HealthcareService/{service['id']}"
        came = await arrivals_of(runtime.database, tenant, reference, now - window)
        firsts = [each.first for each in came.values() if each.first is not None]
        weeks = max(min(now - min(firsts, default=now), window) / timedelta(weeks=1), 1.0)
        arrivals += sum(each.people for each in came.values()) / weeks
        waiting += sum(not each.is_booked for each in await waiting_at(runtime, tenant, service["id"]))
        pace = paces.get(service["id"])
        attended.append(pace.attended_share if pace is not None else 1.0)
        slots = await calendar_of(runtime.database, tenant, reference, now, starts[-1] + timedelta(weeks=1))
        for number, start in enumerate(starts):
            free = free_starts(slots, start, start + timedelta(weeks=1))
            capacity[number] += weekly_starts(service) if pace is None else free
    routine = data.urgency_classes()[-1].maximum_wait / timedelta(weeks=1)
    return forecast(
        starts,
        capacity,
        round(arrivals, 2),
        waiting,
        attended=attended_mean(attended),
        weeks_allowed=routine,
        upper_quantile=_upper_quantile,
    )


def _upper_quantile(mean: float) -> int:
    """The count that nine in ten weeks of this mean do not exceed."""
    number = 0
    while poisson_at_most(number, mean) < 0.9:
        number += 1
    return number


async def _waiting_task(runtime: Runtime, tenant: str, id_: str) -> tuple[Resource, Resource]:
    """A referral with the service at which it waits."""
    task = await read_resource(runtime, tenant, "Task", id_)
    kind, _, service_id = (task[0] if task else {}).get("owner", {}).get("reference", "").rpartition("/")
    service = await read_resource(runtime, tenant, "HealthcareService", service_id) if service_id else None
    if task is None or service is None or kind != "HealthcareService":
        text = "this Task does not wait at a service of ours"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "Task.owner")])
    return task[0], service[0]


async def _services(runtime: Runtime, tenant: str) -> list[Resource]:
    engine = runtime.engine
    query = query_of(engine, engine.registry.types["HealthcareService"], [("active", "true")], (), strict=True)
    query.count = SERVICES_MAX
    rows = await engine.store.search(tenant, *query.page_statement())
    found = [await read_resource(runtime, tenant, "HealthcareService", row["id"]) for row in rows]
    return [each[0] for each in found if each is not None]


def _parameters(found: Sequence[Resource]) -> Response:
    body: Resource = {"resourceType": "Parameters"}
    return Response(200, encode({**body, "parameter": list(found)} if found else body))


def _days(name: str, count: int) -> Resource:
    return {
        "name": name,
        "valueDuration": {"value": count, "unit": "days", "system": "http://unitsofmeasure.org", "code": "d"},
    }


def _decimal(number: float) -> Decimal:
    return Decimal(str(round(number, 3)))
