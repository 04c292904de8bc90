"""Which times are free: at a service, in a calendar, or elsewhere at the same tier. Nobody's appointment is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec
import orjson
from stepwell_shared.canonical import code_system, instant
from stepwell_shared.fhir.interactions.asked import asked, whole_number
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.messages import Request, Response, bundle
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.search.terms import escape
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.booking_tables import claims_of
from stepwell_referral.builders import booking as builders
from stepwell_referral.rules.booking import free_places
from stepwell_referral.use_cases.taking import OPEN_STATUSES, read_resource

Resource = dict[str, Any]

_resource = msgspec.json.Decoder(Resource, float_hook=Decimal)
# So many slots are looked at for each free one that is wanted: most of those that are full say so in their status.
LOOKED_AT_MAX = 400
# Beyond these nobody keeps a calendar, and reckoning with dates comes to their end.
YEARS = range(2000, 2201)
PARAMETERS: dict[str, tuple[str, ...]] = {
    "start": ("valueDateTime", "valueInstant"),
    "end": ("valueDateTime", "valueInstant"),
    "healthcare-service": ("valueReference",),
    "practitioner": ("valueReference",),
    "specialty": ("valueCode", "valueString"),
    "visit-type": ("valueCode", "valueString"),
    "count": ("valuePositiveInt", "valueUnsignedInt", "valueInteger"),
}


@dataclass(frozen=True)
class Period:
    """From when until when."""

    start: datetime
    end: datetime


async def find(runtime: Runtime, request: Request) -> Response:
    """`Appointment/$find`: what could be booked, the earliest first, as proposed Appointments that are not stored.

    Raises FhirError INVALID for other parameters, and for a period that ends before it begins.
    """
    given = asked(request, PARAMETERS)
    now, limits = runtime.clock(), data.booking_data()["find"]
    start = max(_moment(given, "start") or now, now)
    end = _moment(given, "end") or start + timedelta(days=limits["days"])
    if end <= start:
        text = "end is after start, and not in the past"
        raise FhirError(Category.INVALID, [Issue(text, "value", "Parameters.parameter.where(name='end')")])
    most = min(whole_number(given, "count") or limits["most"], limits["most"])
    criteria = [
        *_chained(given, "healthcare-service", "HealthcareService"),
        *_chained(given, "practitioner", "Practitioner"),
        *_coded(given, "specialty", "specialty"),
        *_coded(given, "visit-type", "service-type"),
    ]
    slots = await free_slots(runtime, request.access.tenant, criteria, Period(start, end), now, most)
    entries = [_entry(await _proposal(runtime, request.access.tenant, slot)) for slot in slots]
    links = [("self", f"{runtime.engine.base_url}/Appointment/$find")]
    return Response(200, bundle("searchset", len(entries), links, entries, now))


async def free_slots(
    runtime: Runtime,
    tenant: str,
    criteria: Sequence[tuple[str, str]],
    period: Period,
    now: datetime,
    most: int,
) -> list[Resource]:
    """Slots with a free place that begin in a period, the earliest first; holds that have lapsed are free."""
    engine = runtime.engine
    parameters = [
        *criteria,
        ("start", f"ge{instant(period.start)}"),
        ("start", f"lt{instant(period.end)}"),
        ("status", "free,busy-tentative"),
        ("_sort", "start"),
    ]
    query = query_of(engine, engine.registry.types["Slot"], parameters, (), strict=True)
    query.count = LOOKED_AT_MAX
    rows = await engine.store.search(tenant, *query.page_statement())
    slots = [_resource.decode(row["body"]) for row in rows]
    claims = await claims_of(runtime.database, tenant, [slot["id"] for slot in slots]) if slots else {}
    free = [slot for slot in slots if free_places(claims[slot["id"]], builders.places_of(slot), now) > 0]
    return free[:most]


async def alternatives_to(
    runtime: Runtime,
    tenant: str,
    slot: Resource,
    service_id: str | None,
    period: Period,
    now: datetime,
    most: int,
) -> list[Resource]:
    """Free times instead of a slot: first at its own service or calendar, then at others of the same tier."""
    schedule = slot["schedule"]["reference"]
    own = [("schedule.actor", f"HealthcareService/{service_id}")] if service_id else [("schedule", schedule)]
    found = [each for each in await free_slots(runtime, tenant, own, period, now, most) if each["id"] != slot["id"]]
    if len(found) < most and service_id is not None:
        for other in await same_tier(runtime, tenant, service_id):
            criteria = [("schedule.actor", f"HealthcareService/{other}")]
            found += await free_slots(runtime, tenant, criteria, period, now, most - len(found))
            if len(found) >= most:
                break
    return found[:most]


async def slot_at(runtime: Runtime, tenant: str, schedule: str, moment: datetime) -> str | None:
    """The slot of a calendar that begins at this moment."""
    engine = runtime.engine
    criteria = [("schedule", schedule), ("start", f"ge{instant(moment)}"), ("_sort", "start")]
    query = query_of(engine, engine.registry.types["Slot"], criteria, (), strict=True)
    query.count = LOOKED_AT_MAX
    for row in await engine.store.search(tenant, *query.page_statement()):
        slot = _resource.decode(row["body"])
        if datetime.fromisoformat(slot["start"]) != moment:
            return None
        if slot["status"] in OPEN_STATUSES:
            return str(slot["id"])
    return None


async def same_tier(runtime: Runtime, tenant: str, service_id: str) -> list[str]:
    """The ids of other active services of the tier that a service has."""
    found = await read_resource(runtime, tenant, "HealthcareService", service_id)
    if found is None:
        return []
    codings = [coding for each in found[0].get("category", ()) for coding in each.get("coding", ())]
    tiers = [each["code"] for each in codings if each.get("system") == code_system("tier") and "code" in each]
    if not tiers:
        return []
    engine = runtime.engine
    criteria = [("service-category", f"{code_system('tier')}|{tiers[0]}"), ("active", "true"), ("_sort", "name")]
    query = query_of(engine, engine.registry.types["HealthcareService"], criteria, (), strict=True)
    query.count = 20
    rows = await engine.store.search(tenant, *query.page_statement())
    return [row["id"] for row in rows if row["id"] != service_id]


async def _proposal(runtime: Runtime, tenant: str, slot: Resource) -> Resource:
    schedule = await read_resource(runtime, tenant, "Schedule", slot["schedule"]["reference"].rpartition("/")[2])
    return builders.proposed_appointment(slot, schedule[0]["actor"] if schedule is not None else [])


def _entry(proposed: Resource) -> bytes:
    """What is not stored has no address: a name that follows from its slot."""
    name = uuid5(NAMESPACE_URL, proposed["slot"][0]["reference"])
    return orjson.dumps({"fullUrl": f"urn:uuid:{name}", "resource": proposed, "search": {"mode": "match"}})


def _chained(given: dict[str, Any], name: str, kind: str) -> list[tuple[str, str]]:
    value = given.get(name)
    if value is None:
        return []
    reference = value if isinstance(value, str) else str(value.get("reference", ""))
    id_ = reference.rpartition("/")[2]
    if not id_ or (("/" in reference) and reference.rsplit("/", 2)[-2] != kind):
        place = f"Parameters.parameter.where(name='{name}')"
        raise FhirError(Category.INVALID, [Issue(f"{name} is a reference to {kind}", "value", place)])
    return [("schedule.actor", escape(f"{kind}/{id_}"))]


def _coded(given: dict[str, Any], name: str, parameter: str) -> list[tuple[str, str]]:
    return [(parameter, escape(given[name]))] if name in given else []


def _moment(given: dict[str, Any], name: str) -> datetime | None:
    """A moment with its zone, in a year in which somebody books; a date alone begins at midnight UTC."""
    text = given.get(name)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text if "T" in text else f"{text}T00:00:00+00:00")
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or found.year not in YEARS:
        place = f"Parameters.parameter.where(name='{name}')"
        raise FhirError(Category.INVALID, [Issue(f"{name} is a dateTime with its zone", "value", place)])
    return found
