"""What a person can be offered now: the place that fits, the wait there, support until then, and how to say it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.builders import place_of
from stepwell_referral.rules.interim import InterimOffer, choose_interim
from stepwell_referral.rules.matching import Needs, Place, match
from stepwell_referral.rules.waits import WaitPromise, promise, queue_by_urgency, wait_words
from stepwell_referral.tables import PlaceRow, place_reader


@dataclass(frozen=True)
class Offer:
    """`words` is what the person is told about the wait, by language; without a place it says so."""

    place: Place | None
    wait: WaitPromise
    interim: InterimOffer | None
    words: dict[str, str]


@dataclass(frozen=True)
class Offers:
    """Every place of a tier with its wait for one person, best first."""

    places: tuple[Place, ...]
    waits: Mapping[str, WaitPromise]
    nowhere: WaitPromise
    interim: InterimOffer | None

    def best(self) -> Offer:
        """The place that fits best, or none."""
        return self._at(self.places[0] if self.places else None)

    def at(self, owner: str) -> Offer | None:
        """The offer at the place that a Task has; None when its owner is none of the places that we can reckon for."""
        place = next((each for each in self.places if f"HealthcareService/{each.place_id}" == owner), None)
        return None if place is None else self._at(place)

    def _at(self, place: Place | None) -> Offer:
        wait = self.waits[place.place_id] if place else self.nowhere
        words = wait_words(wait, place.name if place else None, data.wait_templates())
        return Offer(place, wait, self.interim, words)


async def offers_for(
    runtime: Runtime, tenant: str, *, tier: str, priority: str, subject_key: str, safety_item: bool, now: datetime
) -> Offers:
    """The offers for one person at a tier as the queues stand now.

    Their languages are taken from the copy of their Patient where there is one; other needs are not known yet and
    rule out nothing. `safety_item`: a safety rule had a say, so nothing unguided is offered.
    """
    rows = await _reader(runtime).get((tenant,), tier) or []
    waits = {row.service["id"]: _wait(row, priority, now) for row in rows}
    found = match(
        [place_of(row.service) for row in rows],
        tier,
        Needs(languages=await _languages(runtime, tenant, subject_key)),
        remedies=data.barrier_remedies(),
        upper_days={id_: wait.upper_days for id_, wait in waits.items()},
    )
    return Offers(
        places=tuple(ranked.place for ranked in found.places),
        waits=waits,
        nowhere=promise({}, 0, priority, now, data.urgency_classes()),
        interim=choose_interim(tier, data.interim_offers(), safety_open=safety_item).offer,
    )


def _wait(row: PlaceRow, priority: str, now: datetime) -> WaitPromise:
    limits = data.urgency_classes()
    queue = queue_by_urgency(row.waiting, limits)
    return promise(queue, place_of(row.service).weekly_starts, priority, now, limits)


async def _languages(runtime: Runtime, tenant: str, subject_key: str) -> tuple[str, ...]:
    """The languages of a person whose Patient is ours, the preferred one first."""
    resource_type, _, id_ = subject_key.partition("/")
    stored = await runtime.store.read(tenant, "Patient", id_) if resource_type == "Patient" else None
    if stored is None or stored.body is None:
        return ()
    spoken = orjson.loads(stored.body).get("communication", [])
    ordered = sorted(spoken, key=lambda each: not each.get("preferred", False))
    return tuple(code for each in ordered for code in _language_codes(each))


def _language_codes(communication: dict[str, Any]) -> Iterator[str]:
    """A region narrows a language; places name languages: de-AT asks for de-AT first, then for de."""
    for coding in communication.get("language", {}).get("coding", ()):
        code = coding.get("code", "")
        yield from dict.fromkeys(each for each in (code, code.partition("-")[0]) if each)


def _reader(runtime: Runtime) -> Coalescer[list[PlaceRow]]:
    reader = runtime.cache.get(place_reader)
    if not isinstance(reader, Coalescer):
        reader = runtime.cache[place_reader] = place_reader(runtime.database)
    return reader
