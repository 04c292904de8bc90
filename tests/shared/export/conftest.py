"""Measurement with its exports, as its door answers them; a token is the name of a caller that the test made up."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from starlette.types import Receive, Scope, Send
from stepwell_measurement.app import service
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.consent.sharing import Sharing
from stepwell_shared.database.functions import Effect
from stepwell_shared.export.exports import Exports
from stepwell_shared.export.planning import work
from stepwell_shared.export.serving import ExportPages
from stepwell_shared.fhir.interactions.engine import built
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.routes import Door, FhirApplication
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.runtime import Runtime
from stepwell_shared.served import exports_of

from tests.conftest import DatabaseOf
from tests.support.runtime import NORTH, SOUTH, URLS, running, shipped

Resource = dict[str, Any]
SYSTEM = "system/*.rs"


@dataclass
class Hospital:
    """One service with its exports, and whoever asks for them."""

    runtime: Runtime
    http: httpx.AsyncClient
    callers: dict[str, Caller] = field(default_factory=dict)

    @property
    def exports(self) -> Exports:
        return exports_of(self.runtime)

    def caller(self, scopes: str = SYSTEM, name: str = "warehouse", tenant: str = NORTH, **more: Any) -> dict[str, str]:
        """The header of a client with these scopes."""
        key = f"{tenant}-{name}-{abs(hash(scopes))}"
        self.callers[key] = Caller(tenant, f"{tenant}.{name}", Scopes.parse(scopes), "token-1", **more)
        return {"Authorization": f"Bearer {key}"}

    async def keep(self, *resources: Resource, tenant: str = NORTH) -> None:
        """Stores resources of ours as they are, at their next version."""
        for each in resources:
            current = await self.runtime.store.read(tenant, each["resourceType"], each["id"])
            version = 1 if current is None else current.version + 1
            change = built(self.runtime.engine, each, self.runtime.clock(), version=version)
            await self.runtime.store.commit(UnitOfWork(tenant, [change]))

    async def ask(
        self, path: str = "$export", caller: dict[str, str] | None = None, **parameters: Any
    ) -> httpx.Response:
        headers = {**(caller or self.caller()), "Prefer": "respond-async"}
        return await self.http.get(path, params=parameters, headers=headers)

    async def work(self) -> None:
        """Makes ready what was asked for."""
        while await work(self.exports, [NORTH, SOUTH]):
            continue

    async def manifest(self, path: str = "$export", caller: dict[str, str] | None = None, **parameters: Any) -> Any:
        """The manifest of an export, from kick-off to completion."""
        who = caller or self.caller()
        asked = await self.ask(path, who, **parameters)
        assert asked.status_code == 202, asked.text
        await self.work()
        answer = await self.http.get(asked.headers["content-location"], headers=who)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def files(self, manifest: Any, caller: dict[str, str] | None = None, kind: str = "output") -> list[bytes]:
        """The files of an export as they stand in its manifest."""
        found = []
        for each in manifest[kind]:
            answer = await self.http.get(each["url"], headers=caller or self.caller())
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == "application/fhir+ndjson"
            assert answer.content.count(b"\n") == each.get("count", answer.content.count(b"\n"))
            found.append(answer.content)
        return found

    async def exported(
        self, path: str = "$export", caller: dict[str, str] | None = None, **parameters: Any
    ) -> dict[str, list[str]]:
        """The ids in an export by type."""
        manifest = await self.manifest(path, caller, **parameters)
        found: dict[str, list[str]] = {}
        for each, text in zip(manifest["output"], await self.files(manifest, caller), strict=True):
            found.setdefault(each["type"], []).extend(orjson.loads(line)["id"] for line in text.splitlines())
        return found

    async def audit(self) -> list[tuple[str, str | None, str | None, int]]:
        async with self.runtime.database.transaction(NORTH) as connection:
            rows = await connection.fetch(
                "SELECT interaction, resource_type, resource_id, status FROM audit ORDER BY id"
            )
        return [tuple(row) for row in rows]


@pytest.fixture
async def hospital(database_of: DatabaseOf, tmp_path: Path) -> AsyncIterator[Hospital]:
    urls = await database_of("measurement", shipped(service))
    async with running(service, urls, tmp_path, is_prepared=True) as runtime:
        callers: dict[str, Caller] = {}

        async def authenticate(header: str | None) -> Caller:
            found = callers.get((header or "").removeprefix("Bearer "))
            if found is None:
                raise FhirError(Category.UNAUTHENTICATED, "no token")
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

        fhir = FhirApplication(Door(runtime.engine, authenticate, record), "/measurement/fhir")
        pages = ExportPages(exports_of(runtime), authenticate)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].startswith("/measurement/exports/"):
                await pages(Exchange(scope, receive, send))
            else:
                await fhir(scope, receive, send)

        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=URLS["measurement"] + "/") as client:
            yield Hospital(runtime, client, callers)


def observation(id_: str, patient: str = "p1", **more: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": "2026-11-20",
        "valueQuantity": {"value": 120, "unit": "mmHg"},
        **more,
    }


def patient(id_: str) -> Resource:
    return {"resourceType": "Patient", "id": id_, "name": [{"family": f"Family-{id_}"}]}
