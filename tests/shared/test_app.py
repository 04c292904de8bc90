"""One process of a service: what it needs to start, its health pages, and who may notify it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError
from stepwell_shared.app import create_app
from stepwell_shared.auth.keys import make_private_key
from stepwell_shared.fhir.registry import Registry, served
from stepwell_shared.installed import service_named
from stepwell_shared.runtime import Runtime
from stepwell_shared.settings import SERVICES, Settings

from tests.conftest import DatabaseOf
from tests.support import postgres

HOST = "http://127.0.0.1:9"  # nothing listens on the discard port: every peer is down


def settings_of(folder: Path, database_url: str) -> Settings:
    keys = {name: folder / f"{name}.jwk" for name in ("service", "issuer")}
    for path in keys.values():
        make_private_key(path)
    return Settings.model_validate(
        {
            "database_url": database_url,
            "service_key_file": keys["service"],
            "issuer_signing_key_file": keys["issuer"],
            "issuer_url": f"{HOST}/screening/auth",
            **{f"{name}_url": f"{HOST}/{name}/fhir" for name in SERVICES},
        }
    )


@asynccontextmanager
async def started(service: str, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The service in this process, with its lifespan."""
    app = create_app(service_named(service), settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            yield client


def test_a_missing_setting_stops_the_start_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEPWELL_DATABASE_URL", raising=False)
    with pytest.raises(ValidationError, match="database_url"):
        create_app(service_named("screening"))


def test_a_part_that_is_asked_for_before_the_start_is_a_programming_error() -> None:
    with pytest.raises(AssertionError, match="not started"):
        assert Runtime().engine


def test_a_type_that_is_registered_twice_fails_at_start() -> None:
    registry = Registry("screening")
    registry.add(served("Flag", ["patient"]))
    with pytest.raises(ValueError, match="Flag is registered twice"):
        registry.add(served("Flag", ["patient"]))


@pytest.mark.parametrize("service", SERVICES)
async def test_each_service_starts_and_serves_with_every_peer_down(
    service: str, tmp_path: Path, database_of: DatabaseOf
) -> None:
    urls = await database_of(service)
    async with started(service, settings_of(tmp_path, urls.runtime)) as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
        metadata = (await client.get(f"/{service}/fhir/metadata")).json()
        assert metadata["implementation"]["url"] == f"{HOST}/{service}/fhir"
        assert (await client.get(f"/{service}/fhir/Patient")).status_code == 401
        assert (await client.get(f"/{service}/openapi.json")).status_code == 200
        figures = await client.get("/metrics")
        assert f'stepwell_outbox_age_seconds{{service="{service}"}} 0' in figures.text
        assert (await client.post("/metrics")).status_code == 405


async def test_g4_1_5_metadata_says_at_once_which_fhir_it_is(tmp_path: Path, database_of: DatabaseOf) -> None:
    urls = await database_of("referral")
    async with started("referral", settings_of(tmp_path, urls.runtime)) as client:
        path = "/referral/fhir/metadata"
        for accept in ("application/fhir+json;fhirVersion=3.0", "application/fhir+json; fhirVersion=5.0", "text/xml"):
            refused = await client.get(path, headers={"accept": accept})
            assert (refused.status_code, refused.json()["resourceType"]) == (406, "OperationOutcome")
        assert (await client.get(f"{path}?_format=xml")).status_code == 406
        for accept in ("application/fhir+json;fhirVersion=4.0", "application/json", "*/*"):
            answer = await client.get(path, headers={"accept": accept})
            assert (answer.status_code, answer.json()["fhirVersion"]) == (200, "4.0.1")
            kind = "application/json" if accept == "application/json" else "application/fhir+json"
            assert answer.headers["content-type"] == kind
        known = await client.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")
        head = await client.head(path)
        assert (head.headers["etag"], head.content) == (answer.headers["etag"], b"")
        assert (await client.post(path)).status_code == 405


async def test_1_5_the_etag_of_metadata_is_that_of_its_content(tmp_path: Path, database_of: DatabaseOf) -> None:
    tags = {}
    for service in ("routing", "measurement"):
        urls = await database_of(service)
        async with started(service, settings_of(tmp_path / service, urls.runtime)) as client:
            answers = [await client.get(f"/{service}/fhir/metadata") for _ in range(2)]
            assert answers[0].headers["etag"] == answers[1].headers["etag"]
            tags[service] = answers[0].headers["etag"]
    assert len(set(tags.values())) == 2


async def test_a_database_that_is_away_is_not_ready_but_alive(tmp_path: Path) -> None:
    async with started("screening", settings_of(tmp_path, "postgresql://nobody@127.0.0.1:9/none")) as client:
        assert (await client.get("/livez")).status_code == 200
        answer = await client.get("/readyz")
        assert answer.status_code == 503


async def test_readiness_comes_back_with_the_database(tmp_path: Path, database_of: DatabaseOf) -> None:
    urls = await database_of("screening")
    async with started("screening", settings_of(tmp_path, urls.runtime)) as client:
        assert (await client.get("/readyz")).status_code == 200
        async with postgres.administrator() as administrator:
            name = urls.runtime.partition("@/")[2].partition("?")[0]
            await administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
            )
        for _ in range(100):
            if (await client.get("/readyz")).status_code == 200:
                return
            await asyncio.sleep(0.1)  # on a busy machine the ended connections are noticed one after another
        pytest.fail("not ready again")


async def test_a_notification_needs_a_token(tmp_path: Path, database_of: DatabaseOf) -> None:
    urls = await database_of("routing")
    async with started("routing", settings_of(tmp_path, urls.runtime)) as client:
        answer = await client.post("/routing/notifications", content=b"{}")
        assert answer.status_code == 401
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert answer.headers["x-request-id"]
