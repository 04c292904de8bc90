"""Where care is given, as the worklist shows and filters it: services with their tiers and sites, and whose they are.

Kept in the process beside the directory, and read anew when anything of that has changed.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from stepwell_shared.canonical import code_system
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.runtime import Runtime

from stepwell_referral.use_cases.directory import directory_of

SERVICES_AT_A_TIME = 200
ROLES_MAX = 50

Resource = dict[str, Any]

_resource = msgspec.json.Decoder(Resource)


@dataclass(frozen=True, slots=True)
class CareService:
    """One HealthcareService: `sites` are the Locations where it is and the Organization that gives it."""

    id: str
    name: str
    tiers: tuple[str, ...]
    sites: tuple[str, ...]
    supports: frozenset[str]
    weekly_starts: float

    @property
    def owner(self) -> str:
        """How Tasks name it."""
        return f"HealthcareService/{self.id}"


@dataclass(frozen=True)
class Sites:
    """The services of a tenant by `HealthcareService/id`, and the names of their sites by reference."""

    revision: int = -1
    services: Mapping[str, CareService] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def of(self, *, site: str = "", tier: str = "", service: str = "") -> frozenset[str]:
        """The services that fit each of these that is given."""
        return frozenset(
            owner
            for owner, each in self.services.items()
            if (not site or site in each.sites)
            and (not tier or tier in each.tiers)
            and (not service or service == each.id)
        )

    def name_of(self, owner: str) -> str:
        """What a service is called; its id where we do not know it."""
        known = self.services.get(owner)
        return known.name if known is not None else owner.rpartition("/")[2]


async def sites_of(runtime: Runtime, tenant: str, revision: int) -> Sites:
    """The services and sites of a tenant at this revision of its directory."""
    kept = runtime.cache.setdefault(Sites, {})
    assert isinstance(kept, dict)
    found: Sites | None = kept.get(tenant)
    if found is None or found.revision < revision:
        found = kept[tenant] = await _read(runtime, tenant, revision)
    return found


async def services_of_person(runtime: Runtime, access: Access) -> frozenset[str]:
    """The services where somebody works, by their PractitionerRoles; none for a client that names nobody."""
    kind, _, id_ = runtime.engine.localise(access.fhir_user or "").partition("/")
    if kind not in {"Practitioner", "PractitionerRole"}:
        return frozenset()
    name = "practitioner" if kind == "Practitioner" else "_id"
    criteria = [(name, f"{kind}/{id_}" if kind == "Practitioner" else id_), ("active", "true")]
    query = query_of(runtime.engine, runtime.engine.registry.types["PractitionerRole"], criteria, (), strict=True)
    query.count = ROLES_MAX
    rows = await runtime.store.search(access.tenant, *query.page_statement())
    return frozenset(
        runtime.engine.localise(each.get("reference", ""))
        for row in rows
        for each in _resource.decode(row["body"]).get("healthcareService", ())
    )


async def _read(runtime: Runtime, tenant: str, revision: int) -> Sites:
    directory = await directory_of(runtime, tenant, revision)
    services = {}
    for number, (id_, body) in enumerate(sorted(directory.services.items())):
        if number % SERVICES_AT_A_TIME == 0:
            await asyncio.sleep(0)
        found = _service(runtime, _resource.decode(body))
        place = directory.places.get(id_)
        supports = place.profile.supports if place is not None else frozenset()
        starts = place.weekly_starts if place is not None else 0.0
        services[f"HealthcareService/{id_}"] = CareService(
            id_, found["name"], found["tiers"], found["sites"], supports, starts
        )
    sites = sorted({site for each in services.values() for site in each.sites})
    return Sites(directory.revision, services, await _names(runtime, tenant, sites))


def _service(runtime: Runtime, service: Resource) -> dict[str, Any]:
    codings = (coding for each in service.get("category", ()) for coding in each.get("coding", ()))
    tiers = tuple(each["code"] for each in codings if each.get("system") == code_system("tier") and "code" in each)
    places = [*service.get("location", ()), service.get("providedBy", {})]
    sites = (runtime.engine.localise(each["reference"]) for each in places if "reference" in each)
    return {"name": service.get("name", service["id"]), "tiers": tiers, "sites": tuple(dict.fromkeys(sites))}


async def _names(runtime: Runtime, tenant: str, sites: Iterable[str]) -> dict[str, str]:
    async def name(site: str) -> tuple[str, str]:
        kind, _, id_ = site.partition("/")
        stored = await runtime.store.read(tenant, kind, id_) if kind in {"Location", "Organization"} else None
        found = _resource.decode(stored.body) if stored is not None and stored.body else {}
        return site, str(found.get("name", id_))

    return dict(await asyncio.gather(*(name(each) for each in sites)))
