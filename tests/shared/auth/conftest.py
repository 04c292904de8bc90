"""A database with the tables of the locks, and a running token issuer with a client in each of two tenants."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI
from joserfc.jwk import ECKey
from stepwell_shared.auth.client_keys import ClientKeys
from stepwell_shared.auth.clients import Client, register_client
from stepwell_shared.auth.endpoints import issuer_router
from stepwell_shared.auth.issuer import Issuer
from stepwell_shared.auth.keys import public_key_set
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database.pool import Database

from tests.shared.auth.databases import make_lock_tables
from tests.shared.auth.parties import ISSUER, NORTH, NOW, REGISTERED, SERVICES, SOUTH, Clock, ec_key


@pytest.fixture
async def lock_urls(empty_database: DatabaseUrls) -> DatabaseUrls:
    """A database with the tables of the locks, secured as `stepwell migrate` does it."""
    await make_lock_tables(empty_database)
    return empty_database


@pytest.fixture
async def database(lock_urls: DatabaseUrls) -> AsyncIterator[Database]:
    async with Database.open(lock_urls.runtime, connections_max=4) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def issuer_key() -> ECKey:
    return ec_key()


@pytest.fixture(scope="session")
def client_keys() -> dict[str, ECKey]:
    """The private key of each tenant's client."""
    return {NORTH: ec_key(), SOUTH: ec_key()}


@pytest.fixture
async def issuer(database: Database, issuer_key: ECKey, client_keys: dict[str, ECKey]) -> AsyncIterator[Issuer]:
    for client_id, key in client_keys.items():
        client = Client(client_id, REGISTERED, jwks=public_key_set([key]), roles=("service",))
        await register_client(database, client, datetime.fromtimestamp(NOW, UTC))
    async with httpx.AsyncClient() as outside:
        yield Issuer(ISSUER, [issuer_key], SERVICES, database, ClientKeys(outside))


@pytest.fixture
async def http(issuer: Issuer, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the issuer's pages."""
    app = FastAPI()
    app.include_router(issuer_router(issuer, clock=clock), prefix="/screening/auth")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        yield client
