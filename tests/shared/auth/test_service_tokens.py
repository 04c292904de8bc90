"""A service's own tokens: one per tenant, renewed early, and used to the end while the issuer is away."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from joserfc import jwt
from pydantic import SecretStr
from stepwell_shared.auth.clients import Client, register_client
from stepwell_shared.auth.endpoints import smart_configuration
from stepwell_shared.auth.issuer import Issuer
from stepwell_shared.auth.keys import KeyFileError, make_private_key, public_key_set
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.auth.service_tokens import ServiceTokens, TokenRequestError
from stepwell_shared.auth.verification import caller_of
from stepwell_shared.settings import Settings

from tests.shared.auth.parties import ISSUER, SERVICES, TOKEN_URL, Clock


@pytest.fixture
async def settings(tmp_path: Path, issuer: Issuer) -> Settings:
    """Those of routing, whose clients are registered in both tenants."""
    path = tmp_path / "service-routing.jwk"
    keys = public_key_set([make_private_key(path)])
    for tenant in ("north", "south"):
        client = Client(f"{tenant}.service-routing", ROLES["service"], jwks=keys, roles=("service",))
        await register_client(issuer.database, client, datetime.now(UTC))
    screening, routing, referral, measurement = SERVICES
    return Settings(
        database_url=SecretStr("postgresql://nowhere/routing"),
        service_key_file=path,
        screening_url=screening,
        routing_url=routing,
        referral_url=referral,
        measurement_url=measurement,
        issuer_url=ISSUER,
    )


class Line:
    """The way to the issuer: counts what passes and can be cut."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.passed = 0
        self.cut = False

    async def carry(self, request: httpx.Request) -> httpx.Response:
        self.passed += 1
        if self.cut:
            raise httpx.ConnectError("refused", request=request)
        return await self.http.send(
            self.http.build_request(request.method, request.url, content=request.content, headers=request.headers)
        )


@pytest.fixture
def line(http: httpx.AsyncClient) -> Line:
    return Line(http)


@pytest.fixture
async def tokens(line: Line, settings: Settings, clock: Clock) -> AsyncIterator[ServiceTokens]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(line.carry)) as client:
        yield ServiceTokens(client, settings, "routing", wall_clock=clock, clock=clock)


async def test_a_tenant_that_does_not_exist_gets_no_token(tokens: ServiceTokens) -> None:
    with pytest.raises(TokenRequestError, match="not a client that is registered"):
        await tokens.token_for("west")


async def test_without_the_issuer_and_a_token_in_hand_there_is_none(tokens: ServiceTokens, line: Line) -> None:
    line.cut = True
    with pytest.raises(TokenRequestError, match="does not answer"):
        await tokens.token_for("north")


async def test_a_key_that_everybody_can_read_is_not_used(tokens: ServiceTokens, settings: Settings) -> None:
    settings.service_key_file.chmod(0o644)
    with pytest.raises(KeyFileError):
        await tokens.token_for("north")


async def test_each_tenant_has_its_own_token(tokens: ServiceTokens, issuer: Issuer) -> None:
    for tenant in ("north", "south"):
        token = await tokens.token_for(tenant)
        caller = caller_of(jwt.decode(token, issuer.keys.signing(), algorithms=["ES384"]).claims)
        assert (caller.tenant, caller.client_id) == (tenant, f"{tenant}.service-routing")
        caller.require("Bundle", "create")


async def test_many_at_once_ask_once(tokens: ServiceTokens, line: Line) -> None:
    first, *others = await asyncio.gather(*(tokens.token_for("north") for _ in range(10)))
    assert set(others) == {first}
    assert line.passed == 1


async def test_a_token_is_renewed_a_minute_before_it_ends(tokens: ServiceTokens, line: Line, clock: Clock) -> None:
    first = await tokens.token_for("north")
    clock.now += 239
    assert await tokens.token_for("north") == first
    clock.now += 1
    assert await tokens.token_for("north") != first
    assert line.passed == 2


async def test_a_token_in_hand_is_used_to_its_end(tokens: ServiceTokens, line: Line, clock: Clock) -> None:
    first = await tokens.token_for("south")
    line.cut = True
    clock.now += 299
    assert await tokens.token_for("south") == first
    clock.now += 1
    with pytest.raises(TokenRequestError):
        await tokens.token_for("south")


def test_discovery_claims_what_works_with_absolute_urls() -> None:
    document = smart_configuration(f"{ISSUER}/")
    assert document["token_endpoint"] == TOKEN_URL
    assert document["introspection_endpoint"] == f"{ISSUER}/introspect"
    assert document["grant_types_supported"] == ["client_credentials"]
    assert document["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert document["token_endpoint_auth_signing_alg_values_supported"] == ["RS384", "ES384"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert set(document["capabilities"]) == {"client-confidential-asymmetric", "permission-v2", "permission-v1"}
    assert not {"issuer", "jwks_uri", "authorization_endpoint"} & document.keys()
