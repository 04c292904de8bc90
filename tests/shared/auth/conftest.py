"""A database with the tables of the locks, and a running token issuer with a client in each of two tenants."""

import ssl
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
from stepwell_shared.auth.key_ring import FixedKeys
from stepwell_shared.auth.keys import public_key_set
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database.pool import Database

from tests.conftest import DatabaseOf
from tests.shared.auth.databases import make_lock_tables
from tests.shared.auth.parties import ISSUER, NORTH, NOW, REGISTERED, SERVICES, SOUTH, Clock, ec_key
from tests.support.postgres import EMPTY, Preparation


@pytest.fixture
async def lock_urls(database_of: DatabaseOf) -> DatabaseUrls:
    """A database with the tables of the locks, secured as `stepwell migrate` does it."""
    return await database_of(EMPTY, Preparation("locks", make_lock_tables))


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
    # It trusts nobody: to read what the system trusts takes longer than most of these tests.
    async with httpx.AsyncClient(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as outside:
        yield Issuer(ISSUER, FixedKeys([issuer_key]), SERVICES, database, ClientKeys(outside))


@pytest.fixture
async def http(issuer: Issuer, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the issuer's pages."""
    app = FastAPI()
    app.include_router(issuer_router(issuer, clock=clock), prefix="/screening/auth")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        yield client
