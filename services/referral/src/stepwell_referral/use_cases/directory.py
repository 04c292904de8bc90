"""The directory of each tenant as matching sees it, kept in the process and renewed when anything of it has changed.

Every change is counted in the commit that makes it, and whoever is about to match reads the count first: so no replica
matches with what was. Only resources that changed are read again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from stepwell_shared.runtime import Runtime

from stepwell_referral import builders
from stepwell_referral.directory_tables import DirectoryEntry, read_directory
from stepwell_referral.rules.matching import Catalogue, Place
from stepwell_referral.use_cases.staff import Staff
from stepwell_referral.use_cases.whereabouts import LocationFacts, closed_spans, location_facts

# So many places are read from their JSON before others get their turn in the process.
PLACES_AT_A_TIME = 100

Resource = dict[str, Any]

_resource = msgspec.json.Decoder(Resource)


@dataclass
class Directory:
    """What is known of a tenant's directory at a revision."""

    revision: int = -1
    catalogue: Catalogue = field(default_factory=lambda: Catalogue.of([]))
    places: dict[str, Place] = field(default_factory=dict)
    _known: dict[str, int] = field(default_factory=dict)
    _services: dict[str, bytes] = field(default_factory=dict)
    _at: dict[str, frozenset[str]] = field(default_factory=dict)
    _locations: dict[str, LocationFacts] = field(default_factory=dict)
    _staff: Staff = field(default_factory=Staff)
    _renewing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def services(self) -> Mapping[str, bytes]:
        """The HealthcareServices as they are stored, by id."""
        return self._services

    async def renew(self, runtime: Runtime, tenant: str, revision: int) -> None:
        """Brings it to this revision or a later one; those who ask meanwhile wait for the one who reads."""
        async with self._renewing:
            if self.revision >= revision:
                return
            known = [f"{address}/{version}" for address, version in self._known.items()]
            found, entries = await read_directory(runtime.database, tenant, known)
            await self._take(runtime, entries)
            self.revision = found

    async def _take(self, runtime: Runtime, entries: Iterable[DirectoryEntry]) -> None:
        changed = [entry for entry in entries if entry.body is not None]
        stale = {entry.id for entry in changed if entry.resource_type == "HealthcareService"}
        locations = set()
        for entry in changed:
            if entry.resource_type == "HealthcareService":
                self._services[entry.id] = entry.body or b""
            elif entry.resource_type == "Location":
                self._locations[entry.id] = location_facts(_resource.decode(entry.body or b"{}"))
                locations.add(entry.id)
            else:
                stale |= self._staff.take(entry.resource_type, _resource.decode(entry.body or b"{}"), runtime)
        stale |= {id_ for id_, where in self._at.items() if where & locations}
        for number, id_ in enumerate(sorted(stale & self._services.keys())):
            if number % PLACES_AT_A_TIME == 0:
                await asyncio.sleep(0)
            self._read_place(runtime, id_)
        if stale:
            self.catalogue = Catalogue.of(list(self.places.values()))
        # Last: whoever asked may have gone away before, and then all of this is read again.
        self._known |= {f"{entry.resource_type}/{entry.id}": entry.version for entry in changed}

    def _read_place(self, runtime: Runtime, id_: str) -> None:
        service = _resource.decode(self._services[id_])
        there = _locations_of(runtime, service.get("location", ()))
        covered = _locations_of(runtime, service.get("coverageArea", ()))
        self._at[id_] = frozenset((*there, *covered))
        known = [self._locations[each] for each in there if each in self._locations]
        areas = [self._locations[each].area for each in covered if each in self._locations]
        self.places[id_] = replace(
            builders.place_of(service),
            positions=tuple(each.position for each in known if each.position is not None),
            areas=tuple(area for area in areas if area.parts),
            closed=closed_spans(service),
            competences=self._staff.competences_at(id_),
        )


async def directory_of(runtime: Runtime, tenant: str, revision: int) -> Directory:
    """The directory of a tenant at this revision or a later one."""
    kept = runtime.cache.get(Directory)
    if not isinstance(kept, defaultdict):
        kept = runtime.cache[Directory] = defaultdict[str, Directory](Directory)
    found: Directory = kept[tenant]
    if found.revision < revision:
        await found.renew(runtime, tenant, revision)
    return found


def _locations_of(runtime: Runtime, references: Iterable[Resource]) -> list[str]:
    local = (runtime.engine.localise(each.get("reference", "")).split("/") for each in references)
    return [parts[1] for parts in local if len(parts) > 1 and parts[0] == "Location"]
