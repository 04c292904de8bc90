"""A FHIR engine on a migrated database, with a clock and ids that a test can fix and callers that it makes up."""

import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import Database
from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.indexing import localiser
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import READ_WRITE, Registry
from stepwell_shared.fhir.store import Store
from stepwell_shared.installed import service_named
from stepwell_shared.runtime import Runtime

NORTH, SOUTH = "north", "south"
BASE_URL = "https://screening.example.org/screening/fhir"
ROUTING_URL = "https://routing.example.org/routing/fhir"
NOW = datetime(2026, 11, 21, 20, 54, tzinfo=UTC)
Resource = dict[str, Any]


@dataclass
class Clock:
    """Stands still until a test moves it."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass(frozen=True)
class FakeAccess:
    """May do everything in its tenant, but for what a test takes away or narrows, by `type.interaction`."""

    tenant: str = NORTH
    client_id: str = "test-client"
    token_id: str = "test-token"
    fhir_user: str | None = "Practitioner/p1"
    denied: frozenset[str] = frozenset()
    narrowed: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def require(self, resource_type: str, interaction: str) -> None:
        if f"{resource_type}.{interaction}" in self.denied:
            raise FhirError(Category.FORBIDDEN, "not granted")

    def filters(self, resource_type: str, interaction: str) -> Sequence[str]:
        self.require(resource_type, interaction)
        return self.narrowed.get(f"{resource_type}.{interaction}", ())


def scoped(scopes: str, tenant: str = NORTH, patient: str | None = None) -> Caller:
    """A caller with real SMART scopes."""
    return Caller(tenant, "test-client", Scopes.parse(scopes), "test-token", patient=patient)


def access_record(access: Any, interaction: str, type_: str, id_: str, status: int, request_id: str) -> Effect:
    """The audit row, as the application makes it."""
    return audit_effect(
        access,
        recorded=NOW,
        interaction=interaction,
        resource_type=type_ or None,
        resource_id=id_ or None,
        request_id=request_id,
        status=status,
    )


@dataclass
class Bench:
    """One service's engine with what a test reads and turns. Every verb takes the caller as `access`."""

    engine: Engine
    database: Database
    clock: Clock
    urls: DatabaseUrls
    access: Any = field(default_factory=FakeAccess)

    def request(self, resource_type: str, id_: str = "", **given: Any) -> Request:
        """A request; `resource` is its body, `headers` have lower-case names."""
        access = given.pop("access", self.access)
        resource = given.pop("resource", None)
        if resource is not None:
            given["body"] = resource if isinstance(resource, bytes) else orjson.dumps(resource)
        return Request(
            access=access,
            witness=lambda interaction, id_, status: access_record(access, interaction, resource_type, id_, status, ""),
            resource_type=resource_type,
            id=id_,
            **given,
        )

    async def create(self, resource: Resource, **given: Any) -> Response:
        return await interactions.create(
            self.engine, self.request(resource["resourceType"], resource=resource, **given)
        )

    async def update(self, resource: Resource, **given: Any) -> Response:
        id_ = given.pop("at", "") or resource["id"]
        request = self.request(resource["resourceType"], id_, resource=resource, **given)
        return await interactions.update(self.engine, request)

    async def update_match(self, resource: Resource, query: str, **given: Any) -> Response:
        request = self.request(resource["resourceType"], resource=resource, parameters=pairs(query), **given)
        return await interactions.update(self.engine, request)

    async def patch(self, resource_type: str, id_: str, patch: Any, query: str = "", **given: Any) -> Response:
        """A list is a JSON Patch, anything else a FHIRPath Patch."""
        kind = "application/json-patch+json" if isinstance(patch, list) else "application/fhir+json"
        headers = {"content-type": kind, **given.pop("headers", {})}
        request = self.request(
            resource_type, id_, body=orjson.dumps(patch), parameters=pairs(query), headers=headers, **given
        )
        return await interactions.patch(self.engine, request)

    async def delete_match(self, resource_type: str, query: str, **given: Any) -> Response:
        return await interactions.delete(self.engine, self.request(resource_type, parameters=pairs(query), **given))

    async def validate(
        self, resource_type: str, body: Any = None, id_: str = "", query: str = "", **given: Any
    ) -> Resource:
        """The OperationOutcome of $validate."""
        request = self.request(resource_type, id_, resource=body, parameters=pairs(query), **given)
        response = await interactions.validate(self.engine, request)
        assert response.status == 200
        return json_of(response)

    async def read(self, resource_type: str, id_: str, **given: Any) -> Response:
        return await interactions.read(self.engine, self.request(resource_type, id_, **given))

    async def vread(self, resource_type: str, id_: str, version_id: str, **given: Any) -> Response:
        return await interactions.vread(self.engine, self.request(resource_type, id_, version_id=version_id, **given))

    async def history(self, resource_type: str = "", id_: str = "", query: str = "", **given: Any) -> Resource:
        """Of a resource, of a type, or of everything."""
        request = self.request(resource_type, id_, parameters=pairs(query), **given)
        return json_of(await interactions.history(self.engine, request))

    async def delete(self, resource_type: str, id_: str, **given: Any) -> Response:
        return await interactions.delete(self.engine, self.request(resource_type, id_, **given))

    async def search(self, resource_type: str, query: str = "", **given: Any) -> Resource:
        """The Bundle for a query string such as `identifier=a|b&_count=2`, which is not %-decoded."""
        request = self.request(resource_type, parameters=pairs(query), **given)
        return json_of(await interactions.search(self.engine, request))

    async def found(self, resource_type: str, query: str = "", **given: Any) -> list[str]:
        """The ids that a search finds, in their order."""
        return ids_in(await self.search(resource_type, query, **given))

    async def audit(self, tenant: str = NORTH) -> list[tuple[str, str | None, str | None, int]]:
        """(interaction, type, id, status) of every access on record."""
        async with self.database.transaction(tenant) as connection:
            rows = await connection.fetch(
                "SELECT interaction, resource_type, resource_id, status FROM audit ORDER BY id"
            )
            return [tuple(row) for row in rows]


def pairs(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (part.partition("=") for part in query.split("&") if part)]


def json_of(response: Response) -> Resource:
    body: Resource = orjson.loads(response.body)
    return body


def ids_in(bundle: Resource) -> list[str]:
    return [entry["resource"]["id"] for entry in bundle.get("entry", [])]


def link(bundle: Resource, relation: str) -> str | None:
    return next((each["url"] for each in bundle["link"] if each["relation"] == relation), None)


def plain_registry(service: str) -> Registry:
    """The service's types with all interactions and without its rules: the engine alone."""
    found = Registry(service)
    for served_type in service_named(service).resources(Runtime()):
        taken = READ_WRITE if served_type.view is None else served_type.interactions
        found.add(replace(served_type, interactions=taken, on_write=None, operations=()))
    return found


@asynccontextmanager
async def bench(
    urls: DatabaseUrls,
    service: str = "screening",
    *,
    registry: Registry | None = None,
    committed: Callable[[str, frozenset[str]], None] = lambda tenant, tables: None,
    queue_max: int = 4096,
) -> AsyncIterator[Bench]:
    """An engine on this database, as the runtime login sees it."""
    clock, numbers = Clock(), itertools.count(1)
    async with Database.open(urls.runtime, connections_max=8) as database:
        engine = Engine(
            registry=registry or plain_registry(service),
            store=Store(database, queue_max=queue_max, committed=committed),
            base_url=BASE_URL if service == "screening" else ROUTING_URL,
            localise=localiser([BASE_URL, ROUTING_URL]),
            cursor_key=b"test key",
            clock=clock,
            new_id=lambda: f"id-{next(numbers)}",
        )
        yield Bench(engine, database, clock, urls)


def patient(**members: Any) -> Resource:
    return {"resourceType": "Patient", **members}


def response(**members: Any) -> Resource:
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": "https://stepwell.health/fhir/Questionnaire/phq-9|1.0.0",
        "status": "completed",
        **members,
    }
