"""One service in the test's own process: its Runtime on a fresh database, two tenants, its events, its FHIR door."""

import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import orjson
from pydantic import SecretStr
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.consent.sharing import Sharing
from stepwell_shared.database.functions import Effect
from stepwell_shared.events.bodies import completed
from stepwell_shared.events.notification import (
    Addressee,
    NumberedEvent,
    ReceivedEvent,
    notification,
    parse_notification,
)
from stepwell_shared.events.outbox import decode_payload, event
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.routes import Door, FhirApplication
from stepwell_shared.runtime import Runtime, Service, open_runtime
from stepwell_shared.settings import SERVICES, Settings

from tests.support.postgres import Preparation

NORTH, SOUTH = "north", "south"
URLS = {name: f"https://stepwell.example/{name}/fhir" for name in SERVICES}
START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SYSTEM = Scopes.parse("system/*.cruds")

Resource = dict[str, Any]

_BEARER = re.compile(r"Bearer (\w+) ([\w-]+)(?: (\w+/[\w-]+))?")


class Clock:
    """Time that passes a second with each look, so that versions have an order, and more when told to."""

    def __init__(self, start: datetime = START) -> None:
        self.now = start

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@asynccontextmanager
async def running(
    service: Service,
    urls: DatabaseUrls,
    folder: Path,
    *,
    is_prepared: bool = False,
    start: datetime = START,
    settings_changed: Mapping[str, Any] = MappingProxyType({}),
) -> AsyncIterator[Runtime]:
    """The service's Runtime with the runtime login, as its process would have it; nothing is delivered.

    It ships into both tenants, unless a preparation has done that.
    """
    key_file = folder / "service-key.json"
    key_file.write_text("a key that signs nothing")
    settings = _settings().model_copy(
        update={"database_url": SecretStr(urls.runtime), "service_key_file": key_file, **settings_changed},
    )
    runtime = Runtime(clock=Clock(start))
    async with open_runtime(service, service.resources(runtime), runtime, settings) as opened:
        if service.seed is not None and not is_prepared:
            for tenant in (NORTH, SOUTH):
                await service.seed(opened, tenant)
        yield opened


@cache
def _settings() -> Settings:
    """What is the same for all."""
    return Settings.model_validate(
        {
            "database_url": "postgresql://",
            "service_key_file": Path(),
            "issuer_url": "https://stepwell.example/screening/auth",
            "database_connections_max": 4,
            **{f"{name}_url": url for name, url in URLS.items()},
        }
    )


async def _nothing(runtime: Runtime) -> None:
    """What is shipped is enough."""


def shipped(
    service: Service, name: str = "shipped", and_then: Callable[[Runtime], Awaitable[None]] = _nothing
) -> Preparation:
    """What the service ships is in both tenants, and then whatever else, since an hour before any test begins."""

    async def fill(urls: DatabaseUrls) -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with running(service, urls, Path(folder), start=START - timedelta(hours=1)) as opened:
                await and_then(opened)

    return Preparation(name, fill)


def received(topic: str, entries: Sequence[tuple[str, Resource]], *, number: int = 1) -> ReceivedEvent:
    """An event as it arrives: sent by the real sender's code and read by the real receiver's. The focus is first."""
    focus = "/".join(entries[0][0].rsplit("/", 2)[-2:])
    payload = event(topic, "subject", focus, entries, START).values[3]
    assert isinstance(payload, bytes)
    sent = notification(
        Addressee("https://stepwell.example/Subscription/s1", topic, "active", "full-resource"),
        "event-notification",
        [NumberedEvent(number, START, decode_payload(payload))],
        events_total=number,
        sent=START,
    )
    (found,) = parse_notification(sent).events
    return found


@dataclass(frozen=True)
class Announced:
    """One event in the outbox: its topic's name, whose it is, and its resources, the focus first."""

    topic: str
    subject: str
    focus: Resource
    entries: dict[str, Resource]


async def announced(runtime: Runtime, tenant: str) -> list[Announced]:
    """What a tenant's subscribers would be told, in order."""
    async with runtime.database.transaction(tenant) as connection:
        rows = await connection.fetch("SELECT topic, subject, payload FROM outbox ORDER BY position")
    found = []
    carried = await completed(runtime.database, tenant, [decode_payload(row["payload"]) for row in rows])
    for row, each in zip(rows, carried, strict=True):
        entries = {entry.full_url: orjson.loads(bytes(entry.resource)) for entry in each}
        found.append(Announced(row["topic"].rpartition("/")[2], row["subject"], next(iter(entries.values())), entries))
    return found


async def stored(runtime: Runtime, tenant: str, resource_type: str) -> list[Resource]:
    """Every current resource of a type that this tenant sees, oldest change first."""
    return (await stored_of(runtime, tenant, [resource_type]))[resource_type]


async def stored_of(runtime: Runtime, tenant: str, resource_types: Iterable[str]) -> dict[str, list[Resource]]:
    """The same of several types, at one moment."""
    found = {}
    async with runtime.database.transaction(tenant) as connection:
        for name in resource_types:
            table = f"fhir_{name.lower()}"
            rows = await connection.fetch(f"SELECT body FROM {table} WHERE body IS NOT NULL ORDER BY last_updated, id")
            found[name] = [orjson.loads(row["body"]) for row in rows]
    return found


def caller(tenant: str, roles: Iterable[str] = (), scopes: Scopes = SYSTEM, fhir_user: str | None = None) -> Caller:
    """A client that may everything on the surface, so that what refuses it is the service's own rule."""
    return Caller(tenant, f"{tenant}.client", scopes, "token-1", roles=tuple(roles), fhir_user=fhir_user)


@asynccontextmanager
async def http_of(runtime: Runtime, service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """The service's FHIR routes; the token is `Bearer <tenant> <role> [<person>]` and grants what the role does."""

    async def authenticate(header: str | None) -> Access:
        matched = _BEARER.fullmatch(header or "")
        if matched is None:
            raise FhirError(Category.UNAUTHENTICATED, "no token")
        tenant, role, person = matched.groups()
        found = caller(tenant, [role], ROLES.get(role, SYSTEM), person)
        return found if found.actor is None else await Sharing.of(runtime.engine).narrowed(found)

    def record(access: Any, interaction: str, type_: str, id_: str, status: int, request_id: str) -> Effect:
        return audit_effect(
            access,
            recorded=runtime.clock(),
            interaction=interaction,
            resource_type=type_ or None,
            resource_id=id_ or None,
            request_id=request_id,
            status=status,
        )

    door = Door(runtime.engine, authenticate, record)
    app = FhirApplication(door, f"/{service.name}/fhir")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=URLS[service.name] + "/") as client:
        yield client


def token(tenant: str, role: str, person: str = "") -> dict[str, str]:
    """The header that names the caller to `http_of`; `person` is the fhirUser, such as `Practitioner/dr-1`."""
    return {"Authorization": f"Bearer {tenant} {role} {person}".rstrip()}
