"""The registry of partners as FHIR: an Organization with what was agreed, and an Endpoint for each address.

https://hl7.org/fhir/R4/endpoint.html; what R4 has no element for: the extensions partner-terms and partner-key.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from stepwell_shared.canonical import extension_url
from stepwell_shared.federation.partners import Partner
from stepwell_shared.federation.terms import Terms
from stepwell_shared.fhir.interactions import Engine, built
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import UnitOfWork

TERMS_URL: Final = extension_url("partner-terms")
KEY_URL: Final = extension_url("partner-key")
THEY_REFER, WE_REFER = "they-refer", "we-refer"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"

Resource = dict[str, Any]


async def keep_registry(engine: Engine, partner: Partner) -> None:
    """Writes what has changed of the partner's Organization and Endpoints; the rest of what a site says there stays."""
    for resource in (*endpoints_of(partner), organization_of(partner)):
        while not await _kept(engine, partner.tenant, resource):
            pass


def organization_of(partner: Partner) -> Resource:
    """The Organization of a partner: who it is, what was agreed with it, and where it is reached."""
    found: Resource = {
        "resourceType": "Organization",
        "id": partner.organization.partition("/")[2],
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": partner.base_url}],
        "active": True,
        "name": partner.title,
        "endpoint": [{"reference": f"Endpoint/{each['id']}"} for each in endpoints_of(partner)],
    }
    terms = list(_terms(partner))
    return found | ({"extension": terms} if terms else {})


def endpoints_of(partner: Partner) -> list[Resource]:
    """Where referrals to the partner go, and where it is told what became of its own."""
    id_ = partner.organization.partition("/")[2]
    return [
        _endpoint(partner, id_, partner.base_url, "Referrals and capacity", is_on=partner.referred_to),
        _endpoint(partner, f"{id_}-news", partner.notifications_url, "What became of them", is_on=partner.refers_here),
    ]


def _endpoint(partner: Partner, id_: str, address: str, what: str, *, is_on: bool) -> Resource:
    found: Resource = {
        "resourceType": "Endpoint",
        "id": id_,
        "status": "active" if is_on else "off",
        "connectionType": {"system": f"{_TERMINOLOGY}/endpoint-connection-type", "code": "hl7-fhir-rest"},
        "name": f"{partner.title}: {what}",
        "managingOrganization": {"reference": partner.organization},
        "payloadType": [{"coding": [{"system": f"{_TERMINOLOGY}/endpoint-payload-type", "code": "any"}], "text": what}],
        "payloadMimeType": ["application/fhir+json"],
        "address": address,
    }
    keys = [{"url": KEY_URL, "valueString": each} for each in partner.keys]
    return found | ({"extension": keys} if keys else {})


def _terms(partner: Partner) -> Iterator[Resource]:
    if partner.refers_here:
        yield _extension(THEY_REFER, partner.taken_here, ())
    if partner.referred_to:
        yield _extension(WE_REFER, partner.taken_there, sorted(partner.shared))


def _extension(direction: str, terms: Terms, shared: Sequence[str]) -> Resource:
    parts: list[Resource] = [{"url": "direction", "valueCode": direction}]
    for name, values in (("kind", terms.kinds), ("tier", terms.tiers)):
        parts += [{"url": name, "valueCode": each} for each in sorted(values)]
    parts += [{"url": "programme", "valueString": each} for each in sorted(terms.programmes)]
    parts += [{"url": "shares", "valueCode": each} for each in shared]
    return {"url": TERMS_URL, "extension": parts}


async def _kept(engine: Engine, tenant: str, resource: Resource) -> bool:
    """Whether it stands there as it should; False when somebody else was first."""
    stored = await engine.store.read(tenant, resource["resourceType"], resource["id"])
    before: Resource = orjson.loads(stored.body) if stored is not None and stored.body else {}
    others = [each for each in before.get("extension", ()) if each.get("url") not in {TERMS_URL, KEY_URL}]
    after = {**{name: value for name, value in before.items() if name not in {"meta", "extension"}}, **resource}
    if extensions := [*others, *resource.get("extension", ())]:
        after["extension"] = extensions
    if {**after, "meta": before.get("meta")} == {**before, "meta": before.get("meta")}:
        return True
    version = stored.version + 1 if stored is not None else 1
    try:
        await engine.store.commit(UnitOfWork(tenant, [built(engine, after, engine.clock(), version=version)]))
    except WriteConflictError:
        return False
    return True
