"""What a person can be offered now: the places that fit, the wait there, support until then, and how to say it."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.data import directory as parameters
from stepwell_referral.directory_tables import PersonRow, queue_reader
from stepwell_referral.rules.interim import InterimOffer, choose_interim
from stepwell_referral.rules.matching import Match, Need, Place, match, with_waits
from stepwell_referral.rules.waits import WaitPromise, promise, queue_by_urgency, wait_words
from stepwell_referral.use_cases.directory import directory_of
from stepwell_referral.use_cases.needs import need_of
from stepwell_referral.use_cases.paces import paces_of
from stepwell_referral.use_cases.persons import person_of


@dataclass(frozen=True)
class Offer:
    """`words` is what the person is told about the wait, by language; without a place it says so."""

    place: Place | None
    wait: WaitPromise
    interim: InterimOffer | None
    words: dict[str, str]


@dataclass(frozen=True)
class Offers:
    """The places of a tier that fit one person, each with its wait, best first; `match` says why."""

    match: Match
    waits: Mapping[str, WaitPromise]
    nowhere: WaitPromise
    interim: InterimOffer | None
    chosen: Place | None = None

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(option.place for option in self.match.options)

    def best(self) -> Offer:
        """The place that fits best, or none."""
        return self._at(self.places[0] if self.places else None)

    def after(self, declined: Collection[str]) -> Offer:
        """The best place that is none of these ids: where to go when places have declined."""
        return self._at(next((each for each in self.places if each.place_id not in declined), None))

    def at(self, owner: str) -> Offer | None:
        """The offer at the place that a Task has; None when its owner is none of the places that we can reckon for."""
        known = (*self.places, *([self.chosen] if self.chosen else []))
        place = next((each for each in known if f"HealthcareService/{each.place_id}" == owner), None)
        return None if place is None else self._at(place)

    def _at(self, place: Place | None) -> Offer:
        wait = self.waits[place.place_id] if place else self.nowhere
        words = wait_words(wait, place.name if place else None, data.wait_templates())
        return Offer(place, wait, self.interim, words)


async def offers_for(
    runtime: Runtime,
    tenant: str,
    *,
    tier: str,
    priority: str,
    subject_key: str,
    safety_item: bool,
    now: datetime,
    declined: Collection[str] = (),
    owner: str | None = None,
) -> Offers:
    """The offers for one person at a tier as directory and queues stand now: their wishes, barriers and record are
    those that we have a copy of.

    `safety_item`: a safety rule had a say, so nothing unguided is offered. `declined` are ids of places that are out of
    the question. `owner` is the place that a Task has already (`HealthcareService/id`): its wait is reckoned
    even where it is not among the best.
    """
    person = await person_of(runtime, tenant, subject_key)
    need = replace(need_of(person, tier, now), declined=frozenset(declined))
    return await offers_of_need(
        runtime, tenant, need, person, priority=priority, safety_item=safety_item, now=now, owner=owner
    )


async def offers_of_need(
    runtime: Runtime,
    tenant: str,
    need: Need,
    person: PersonRow,
    *,
    priority: str,
    safety_item: bool,
    now: datetime,
    owner: str | None = None,
) -> Offers:
    """The offers for a need. `person` says which revision of the directory is the newest."""
    directory = await directory_of(runtime, tenant, person.revision)
    found = match(need, directory.catalogue, now, parameters.parameters())
    chosen = directory.places.get((owner or "").removeprefix("HealthcareService/"))
    asked = {option.place.place_id: option.place for option in found.options}
    if chosen is not None:
        asked[chosen.place_id] = chosen
    waits = await waits_at(runtime, tenant, asked, priority, now)
    found = with_waits(found, {id_: wait.upper_days for id_, wait in waits.items()}, parameters.parameters())
    return Offers(
        match=found,
        waits=waits,
        nowhere=promise({}, 0, priority, now, data.urgency_classes()),
        interim=choose_interim(need.tier, data.interim_offers(), safety_open=safety_item).offer,
        chosen=chosen,
    )


async def waits_at(
    runtime: Runtime, tenant: str, places: Mapping[str, Place], priority: str, now: datetime
) -> dict[str, WaitPromise]:
    """The wait of one more person of this priority at each of the places, as the queues stand now."""
    limits, queues = data.urgency_classes(), queues_of(runtime)
    counted = await asyncio.gather(*(queues.get((tenant,), id_) for id_ in places))
    paces = await paces_of(runtime, tenant, now)
    return {
        id_: promise(
            queue_by_urgency(waiting or {}, limits), place.weekly_starts, priority, now, limits, paces.get(id_)
        )
        for (id_, place), waiting in zip(places.items(), counted, strict=True)
    }


def queues_of(runtime: Runtime) -> Coalescer[dict[str, int]]:
    """How many people wait at each place, by FHIR request priority."""
    reader = runtime.cache.get(queue_reader)
    if not isinstance(reader, Coalescer):
        reader = runtime.cache[queue_reader] = queue_reader(runtime.database)
    return reader
