"""Where examples are stored: at a running service, or at the engine alone behind the same door."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import urlencode

import httpx
import orjson
import structlog
from stepwell_shared.fhir.registry import Interaction, Registry
from stepwell_shared.fhir.routes import Door, FhirApplication

from tests.support import postgres
from tests.support.engine import NORTH, FakeAccess, access_record, bench, plain_registry
from tests.support.suite import Clinic

FHIR_JSON = "application/fhir+json"


class Place(Protocol):
    """What stores, reads and searches over HTTP."""

    async def send(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """The status and the body; `path` is relative to the base URL, or a whole URL."""


@dataclass(frozen=True)
class RunningService:
    """One of the four services, through a client that may do everything."""

    clinic: Clinic
    service: str

    async def send(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        answer = await self.clinic.call(method, self.service, path, resource=body or None)
        return answer.status_code, answer.content


@dataclass(frozen=True)
class OpenEngine:
    """The engine of one service with every interaction allowed and no rule of the product."""

    http: httpx.AsyncClient

    async def send(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        headers = {"Authorization": "Bearer any", **({"Content-Type": FHIR_JSON} if body else {})}
        answer = await self.http.request(method, path, content=body, headers=headers)
        return answer.status_code, answer.content


@asynccontextmanager
async def open_engine(service: str) -> AsyncIterator[OpenEngine]:
    """On a database of its own; it masks nothing, reports on no request, and content is a resource like others."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    registry = plain_registry(service)
    registry.types = {name: replace(served, mask=None, content=None) for name, served in registry.types.items()}
    name, urls = await postgres.create_database(service)
    try:
        async with bench(urls, service, registry=registry) as opened:

            async def authenticate(header: str | None) -> FakeAccess:
                return FakeAccess(NORTH)

            door = Door(opened.engine, authenticate, access_record)
            prefix = "/" + opened.engine.base_url.partition("://")[2].partition("/")[2]
            transport = httpx.ASGITransport(FhirApplication(door, prefix))
            async with httpx.AsyncClient(transport=transport, base_url=opened.engine.base_url + "/") as http:
                yield OpenEngine(http)
    finally:
        postgres.drop_database(name)


def created_by_clients(registry: Registry) -> set[str]:
    """The types that clients of a service may create."""
    return {served.name for served in registry if served.allows(Interaction.CREATE)}


async def search(place: Place, resource_type: str, parameters: Sequence[tuple[str, str]]) -> list[str]:
    """The ids of all pages."""
    path: str | None = f"{resource_type}?{urlencode([*parameters, ('_count', '200'), ('_elements', 'id')])}"
    found: list[str] = []
    while path:
        status, body = await place.send("GET", path)
        assert status == 200, f"{path}: {status} {body[:500]!r}"
        bundle: dict[str, Any] = orjson.loads(body)
        found += [entry["resource"]["id"] for entry in bundle.get("entry", ())]
        path = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    return found
