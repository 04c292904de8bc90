"""What the interactions of one service share, and the changes that they and use cases store."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stepwell_shared.fhir.body import encode, may_have, with_meta
from stepwell_shared.fhir.indexing import Localise, columns_of, search_values
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction, Registry, ServedType
from stepwell_shared.fhir.store import Store
from stepwell_shared.fhir.unit import Change, Method, Stored


@dataclass(frozen=True)
class Engine:
    """What the interactions of one service share. Clock and ids are passed in, so that tests can fix them."""

    registry: Registry
    store: Store
    base_url: str
    localise: Localise
    cursor_key: bytes
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    bundle_entries_max: int = 1000
    # by tenant: where transactions that met a conflict take turns
    turns: dict[str, asyncio.Lock] = field(default_factory=dict)

    def served(self, resource_type: str, interaction: Interaction) -> ServedType:
        """The type, or 404 when it is not served, or 405 when the interaction is not."""
        served_type = self.registry.types.get(resource_type)
        if served_type is None:
            raise FhirError(Category.NOT_FOUND, f"{self.registry.service} does not serve {resource_type[:64]}")
        if not served_type.allows(interaction):
            text = f"{interaction} on {resource_type} is not supported by {self.registry.service}"
            raise FhirError(Category.METHOD_NOT_ALLOWED, text)
        return served_type

    def permitted(self, request: Request, interaction: Interaction) -> ServedType:
        """The type, if it is served so and the caller may."""
        served_type = self.served(request.resource_type, interaction)
        request.access.require(request.resource_type, interaction)
        return served_type


def change_of(engine: Engine, stored: Stored, resource: dict[str, Any] | None) -> Change:
    """The change that stores this version, with its search values."""
    served_type = engine.registry.types[stored.resource_type]
    if resource is None:
        return Change(stored, columns_of(served_type, None, engine.localise))
    identifiers = may_have(stored.body or b"", b"identifier")
    return Change(stored, *search_values(served_type, resource, engine.localise, with_identifiers=identifiers))


def built(engine: Engine, resource: dict[str, Any], now: datetime, *, version: int = 1) -> Change:
    """The change that stores a resource which we built ourselves; its id is already in it."""
    body = with_meta(encode(resource), resource, resource["id"], version, now)
    method = Method.POST if version == 1 else Method.PUT
    return change_of(engine, Stored(resource["resourceType"], resource["id"], version, now, body, method), resource)
