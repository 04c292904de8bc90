"""Capacity among organisations: what partners are told of our places, what we keep of theirs, and nobody in it."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import structlog
from stepwell_shared.canonical import derived_id
from stepwell_shared.federation.partners import Partner, organization_of
from stepwell_shared.federation.terms import REFERRAL
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.messages import Request, Response, bundle
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.search.terms import escape
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.partnering import note_heard, partners_of
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.booking_tables import pace_effect
from stepwell_referral.builders import capacity as builders
from stepwell_referral.directory_tables import revision_effect
from stepwell_referral.rules.forecast import Pace
from stepwell_referral.rules.matching import CARE, Place
from stepwell_referral.use_cases.catalogue import announce_capacity
from stepwell_referral.use_cases.directory import directory_of
from stepwell_referral.use_cases.offers import queues_of, waits_at
from stepwell_referral.use_cases.paces import paces_of
from stepwell_referral.use_cases.persons import person_of
from stepwell_referral.use_cases.progress import content
from stepwell_referral.use_cases.validity import is_valid

SERVICES_MAX = 500
NOBODY = "nobody"
PLACES, LOCATIONS = "HealthcareService", "Location"

Resource = dict[str, Any]

log = structlog.get_logger("stepwell.referral")


async def shared_capacity(runtime: Runtime, request: Request) -> Response:
    """`HealthcareService/$shared-capacity`: our own places that the caller may refer to, with waits and free places.

    A partner gets those that we take its referrals to; everybody else who may read places gets all. Raises FhirError
    FORBIDDEN for a token that does not reach every place.
    """
    request.access.require(PLACES, Interaction.SEARCH_TYPE)
    if request.access.filters(PLACES, Interaction.SEARCH_TYPE):
        raise FhirError(Category.FORBIDDEN, "capacity is for those who see every place")
    tenant, now = request.access.tenant, runtime.clock()
    partner = await partners_of(runtime).of_client(tenant, request.access.client_id)
    places = [each for each in await _own_places(runtime, tenant) if partner is None or _is_taken(partner, each)]
    services = [await _read(runtime, tenant, PLACES, each.place_id) for each in places]
    own = {service["id"]: service for service in services if service and not _is_of_partner(service)}
    told = [
        builders.told_service(own[id_], shown)
        for id_, shown in (await _shown(runtime, tenant, [p for p in places if p.place_id in own], now)).items()
    ]
    where = await _locations(runtime, tenant, told)
    if partner is not None:
        await note_heard(runtime, partner)
    entries = [_entry(runtime, each, "match") for each in told] + [_entry(runtime, each, "include") for each in where]
    link = f"{runtime.engine.base_url}/{PLACES}/$shared-capacity"
    return Response(200, bundle("searchset", len(told), [("self", link)], entries, now))


async def learn(runtime: Runtime, partner: Partner, told: Resource | None) -> None:
    """Keeps what a partner tells of its places; without an answer (None) what is too old is no capacity any more."""
    if told is None:
        await _forget_old(runtime, partner)
        return
    received: dict[str, dict[str, Resource]] = {PLACES: {}, LOCATIONS: {}}
    for url, resource in _entries(told):
        if resource.get("resourceType") in received and partner.sent(url) and is_valid(partner, resource):
            received[resource["resourceType"]][url] = resource
    copies = {}
    for url, resource in received[LOCATIONS].items():
        id_ = _copy_id(runtime, partner, url)
        kept = builders.kept_location(resource, id_=id_, url=url, organization=partner.organization)
        if await _keep(runtime, partner, kept):
            copies[url.removeprefix(f"{partner.base_url}/")] = f"{LOCATIONS}/{id_}"
    for url, resource in received[PLACES].items():
        await _learn_place(runtime, partner, url, resource, copies)
    for id_, before in (await _of_partner(runtime, partner)).items():
        is_copy = id_ in {_copy_id(runtime, partner, url) for url in _urls(before)}
        if is_copy and before.get("active", True) and not received[PLACES].keys() & set(_urls(before)):
            await _keep(runtime, partner, {**before, "active": False})
    await _forget_old(runtime, partner)


def _entries(told: Resource) -> Iterator[tuple[str, Resource]]:
    """Addresses and resources of a Bundle that nobody has looked at yet."""
    entries = told.get("entry", ())
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
            yield str(entry.get("fullUrl", "")), entry["resource"]


async def _learn_place(runtime: Runtime, partner: Partner, url: str, told: Resource, copies: Mapping[str, str]) -> None:
    """A site's own entry for the partner's place gets the figures; without one the place comes into the directory."""
    own = [each for each in (await _of_partner(runtime, partner)).values() if url in _urls(each)]
    id_ = _copy_id(runtime, partner, url)
    entered = [each for each in own if each["id"] != id_]
    for each in entered:
        await _keep(runtime, partner, builders.with_figures(each, told))
    if not entered:
        kept = builders.kept_service(told, id_=id_, url=url, organization=partner.organization, copies=copies)
        await _keep(runtime, partner, kept)


async def _forget_old(runtime: Runtime, partner: Partner) -> None:
    """Where nothing was heard for long nobody can be said to begin: routing must not count on it."""
    now = runtime.clock()
    for before in (await _of_partner(runtime, partner)).values():
        as_of = builders.as_of_in(before)
        if as_of is not None and now > as_of + data.shared_good_for():
            await _keep(runtime, partner, builders.without_starts(before))


async def _keep(runtime: Runtime, partner: Partner, kept: Resource) -> bool:
    """Writes what is new of a partner's place, with what follows; False for what is no valid resource."""
    if not is_valid(partner, kept):
        return False
    now, tenant = runtime.clock(), partner.tenant
    while True:
        stored = await runtime.store.read(tenant, kept["resourceType"], kept["id"])
        before = content(stored)
        if before and builders.says_the_same(before, kept) and not _is_due(before, kept):
            return True
        unit = UnitOfWork(tenant)
        change = built(runtime.engine, kept, now, version=1 if stored is None else stored.version + 1)
        unit.changes.append(change)
        unit.effects.append(revision_effect(f"{kept['resourceType']}/{kept['id']}"))
        if kept["resourceType"] == PLACES:
            announce_capacity(runtime, unit, change.stored, before, kept, now)
            unit.effects.append(pace_effect(kept["id"], None, now))
        try:
            await runtime.store.commit(unit)
        except WriteConflictError:
            continue  # another replica has heard it too
        return True


def _is_due(before: Resource, kept: Resource) -> bool:
    """Whether it says the same as of so much later that this is to be seen."""
    then, now = builders.as_of_in(before), builders.as_of_in(kept)
    return (
        then is not None
        and now is not None
        and now - then >= timedelta(hours=data.sharing_data()["kept"]["renew_hours"])
    )


async def _of_partner(runtime: Runtime, partner: Partner) -> dict[str, Resource]:
    """The services here that a partner provides, by id."""
    engine = runtime.engine
    criteria = [("organization", escape(partner.organization))]
    query = query_of(engine, engine.registry.types[PLACES], criteria, (), strict=True)
    query.count = SERVICES_MAX
    rows = await engine.store.search(partner.tenant, *query.page_statement())
    found = [await _read(runtime, partner.tenant, PLACES, row["id"]) for row in rows]
    return {each["id"]: {name: value for name, value in each.items() if name != "meta"} for each in found if each}


async def _own_places(runtime: Runtime, tenant: str) -> list[Place]:
    person = await person_of(runtime, tenant, NOBODY)
    directory = await directory_of(runtime, tenant, person.revision)
    places = [each for each in directory.places.values() if each.active and each.kind == CARE and each.tiers]
    return sorted(places, key=lambda each: each.place_id)[:SERVICES_MAX]


def _is_of_partner(service: Resource) -> bool:
    """What a partner gives is the partner's to tell of."""
    return str(service.get("providedBy", {}).get("reference", "")).startswith(organization_of(""))


def _is_taken(partner: Partner, place: Place) -> bool:
    taken = (partner.taken_here.refusal(REFERRAL, tier, place.programmes) == "" for tier in place.tiers)
    return partner.refers_here and any(taken)


async def _shown(runtime: Runtime, tenant: str, places: Sequence[Place], now: datetime) -> dict[str, builders.Shown]:
    """The figures of each place: the waits of somebody who is asked for now, by urgency class."""
    limits = data.sharing_data()["shared"]
    by_id = {each.place_id: each for each in places}
    queued = [each for each in data.urgency_classes() if each.queued]
    waits = [await waits_at(runtime, tenant, by_id, each.request_priorities[0], now) for each in queued]
    paces = await paces_of(runtime, tenant, now)
    counted = await asyncio.gather(*(queues_of(runtime).get((tenant,), id_) for id_ in by_id))
    found = {}
    for (id_, place), people in zip(by_id.items(), counted, strict=True):
        pace, waiting = paces.get(id_), sum((people or {}).values())
        said = {
            urgency.code: (wait[id_].median_days, wait[id_].upper_days)
            for urgency, wait in zip(queued, waits, strict=True)
        }
        found[id_] = builders.Shown(
            as_of=now,
            waits={code: (low, high) for code, (low, high) in said.items() if low is not None and high is not None},
            weeks=_weeks(pace, now, limits["weeks"]),
            # Few who wait could be known to be somebody; that nobody waits is no person's.
            waiting=waiting if waiting == 0 or waiting >= limits["people_least"] else None,
            weekly_starts=place.weekly_starts if pace is None else pace.weekly_places,
        )
    return found


def _weeks(pace: Pace | None, now: datetime, count: int) -> list[tuple[date, int]]:
    """Free places in each week from now on, as far as the calendar goes."""
    if pace is None or not pace.calendar:
        return []
    week = timedelta(weeks=1)
    starts = [now + number * week for number in range(count) if now + number * week <= pace.calendar_until]
    return [
        (start.date(), sum(places for moment, places in pace.calendar if start <= moment < start + week))
        for start in starts
    ]


async def _locations(runtime: Runtime, tenant: str, services: Sequence[Resource]) -> list[Resource]:
    references = [
        runtime.engine.localise(str(each.get("reference", "")))
        for service in services
        for name in ("location", "coverageArea")
        for each in service.get(name, ())
    ]
    ids = [each.partition("/")[2] for each in dict.fromkeys(references) if each.startswith(f"{LOCATIONS}/")]
    found = [await _read(runtime, tenant, LOCATIONS, id_) for id_ in ids]
    return [builders.told_location(each) for each in found if each]


async def _read(runtime: Runtime, tenant: str, resource_type: str, id_: str) -> Resource:
    stored: Stored | None = await runtime.store.read(tenant, resource_type, id_)
    return content(stored)


def _copy_id(runtime: Runtime, partner: Partner, url: str) -> str:
    return derived_id(runtime.engine.base_url, partner.tenant, "partner-copy", url)


def _urls(service: Resource) -> list[str]:
    values = service.get("identifier", ())
    return [str(each.get("value", "")) for each in values if each.get("system") == builders.URI_IDENTIFIERS]


def _entry(runtime: Runtime, resource: Resource, mode: str) -> bytes:
    url = f"{runtime.engine.base_url}/{resource['resourceType']}/{resource['id']}"
    return encode({"fullUrl": url, "resource": resource, "search": {"mode": mode}})
