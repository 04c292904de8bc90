"""What a decision knows of the person, the site and the places where care could begin: read when a policy asks."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import orjson
from stepwell_shared.runtime import Runtime

from stepwell_routing.rules.lifecycle import EVERYWHERE
from stepwell_routing.rules.policies import Policy
from stepwell_routing.tables import PLACES, SITE, Known
from stepwell_routing.use_cases.evidence import person_rows
from stepwell_routing.use_cases.knowledge import known_of

PLACES_HOLD = timedelta(seconds=30)
"""How long what was read of the places is taken as it was: it changes offers, and never how much care is proposed."""


async def surroundings(
    runtime: Runtime, tenant: str, policy: Policy, site: str, subject_key: str, given: Sequence[Known] | None
) -> list[Known]:
    """What the policy asks beside what is kept of the person.

    `given` is the person as they came with an event; without it the copy of a Patient is read. Nothing is read that
    the policy does not ask.
    """
    asked = {item.name for item in policy.inputs}
    found = site_rows(site, subject_key, runtime.clock())
    if given is not None:
        found += given
    elif subject_key.startswith("Patient/") and not asked.isdisjoint({"age", "sex"}):
        found += await _kept_person(runtime, tenant, subject_key)
    if policy.asks_places:
        found += await places_kept(runtime, tenant)
    return found


def site_rows(site: str, subject_key: str, now: datetime) -> list[Known]:
    """The site that treats somebody; one known by an identifier alone has no address: the person's record names it."""
    says = site if "/" in site else subject_key
    return [] if site == EVERYWHERE or "/" not in says or "|" in says else [Known(SITE, site, now, says, 0)]


async def _kept_person(runtime: Runtime, tenant: str, subject_key: str) -> tuple[Known, ...]:
    stored = await runtime.store.read(tenant, "Patient", subject_key.removeprefix("Patient/"))
    if stored is None or stored.body is None:
        return ()
    return person_rows(orjson.loads(stored.body), subject_key, runtime.clock())


async def places_kept(runtime: Runtime, tenant: str) -> list[Known]:
    """The tenant's places, as they were read not long ago."""
    key, now = (PLACES, tenant), runtime.clock()
    held = runtime.cache.get(key)
    if isinstance(held, tuple) and now - held[0] < PLACES_HOLD:
        rows: list[Known] = held[1]
        return rows
    rows = await known_of(runtime, tenant, PLACES)
    runtime.cache[key] = (now, rows)
    return rows
