"""Names that every service uses in what it emits: the canonical base, derived ids and instants."""

import hashlib
import re
from datetime import UTC, datetime
from typing import Any

CANONICAL = "https://stepwell.health/fhir"
# Identifiers of the reports that measurement makes for a partner.
FIGURES_SYSTEM = f"{CANONICAL}/NamingSystem/figures"
_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def code_system(name: str) -> str:
    """URL of one of our own code systems, such as `tier` or `rule`."""
    return f"{CANONICAL}/CodeSystem/{name}"


def topic(name: str) -> str:
    """Canonical URL of one of our subscription topics, such as `score-finalized`."""
    return f"{CANONICAL}/SubscriptionTopic/{name}"


def extension_url(name: str) -> str:
    """URL of one of our own extensions; they exist only where R4 has no element for the fact."""
    return f"{CANONICAL}/StructureDefinition/{name}"


def organization_of(tenant: str) -> dict[str, Any]:
    """The reference to a tenant as the Organization that a report comes from."""
    return {"type": "Organization", "identifier": {"system": f"{CANONICAL}/NamingSystem/tenant", "value": tenant}}


def derived_id(origin_base_url: str, tenant: str, *cause: str) -> str:
    """The id that one cause always gets, so that doing a thing twice makes it once.

    A UUID of version 8 (RFC 9562 section 5.8) over SHA-256 of origin, tenant and cause; each part is
    length-prefixed so that no two different causes read the same.
    """
    digest = hashlib.sha256()
    for part in (origin_base_url, tenant, *cause):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    number = bytearray(digest.digest()[:16])
    number[6] = number[6] & 0x0F | 0x80
    number[8] = number[8] & 0x3F | 0x80
    text = number.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def derived_beside(neighbour: str, origin_base_url: str, tenant: str, *cause: str) -> str:
    """As `derived_id`, beside the id of what it follows from: its first 48 bits, the time of a UUID of version 7.

    What is written together then stands together in every index, instead of on a page of its own in each.
    """
    id_ = derived_id(origin_base_url, tenant, *cause)
    return neighbour[:13] + id_[13:] if _UUID.fullmatch(neighbour) else id_


def instant(moment: datetime) -> str:
    """A FHIR instant in UTC with milliseconds; the moment must know its zone."""
    if moment.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return f"{in_utc.isoformat(timespec='milliseconds')[:-6]}Z"  # without +00:00
