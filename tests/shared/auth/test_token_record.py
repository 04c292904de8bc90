"""Tokens on record: given and refused ones, with nothing secret in it, and not as many as somebody likes."""

from typing import Any

import httpx
import pytest
import structlog
from joserfc import jwt
from joserfc.jwk import ECKey
from stepwell_shared.auth import token_record
from stepwell_shared.auth.client_authentication import OAuthError
from stepwell_shared.auth.issuer import Issuer
from stepwell_shared.auth.limits import REFUSALS_OF_A_CLIENT_PER_MINUTE, Buckets
from stepwell_shared.auth.token_record import ENTRIES_OF_A_CLIENT_PER_MINUTE, LINES_PER_MINUTE, RefusalLimits
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database

from tests.shared.auth.parties import NORTH, SOUTH, Clock, ask, assertion_claims, ec_key, signed

Keys = dict[str, ECKey]
REFUSED = "a client was refused a token"


async def entries(database: Database, tenant: str = "north") -> list[tuple[Any, ...]]:
    async with database.transaction(tenant) as connection:
        columns = "interaction, action, client_id, token_id, status, resource_type"
        return [tuple(row) for row in await connection.fetch(f"SELECT {columns} FROM audit ORDER BY id")]


async def test_a_request_that_is_refused_is_an_entry_of_the_client_that_it_names(
    http: httpx.AsyncClient, client_keys: Keys, database: Database
) -> None:
    forged = signed(assertion_claims(NORTH), ec_key())
    with structlog.testing.capture_logs() as lines:
        assert (await ask(http, forged)).status_code == 401
        good = signed(assertion_claims(NORTH), client_keys[NORTH])
        assert (await ask(http, good, "system/*.cruds")).status_code == 400
        assert (await ask(http, good)).status_code == 401  # it was used
    assert await entries(database) == [("login", "E", NORTH, "", status, None) for status in (401, 400, 401)]
    assert await entries(database, "south") == []
    told = [(each["client"], each["reason"], each["status"]) for each in lines if each["event"] == REFUSED]
    assert told == [(NORTH, "invalid_client", 401), (NORTH, "invalid_scope", 400), (NORTH, "invalid_client", 401)]
    assert not any(part in str(lines) for token in (forged, good) for part in token.split("."))


async def test_a_client_that_nobody_knows_is_a_line_in_the_log_and_no_tenants_entry(
    http: httpx.AsyncClient, database: Database
) -> None:
    with structlog.testing.capture_logs() as lines:
        for client_id in ("north.stranger", "nowhere.stranger", "no client at all"):
            assert (await ask(http, signed(assertion_claims(client_id), ec_key()))).status_code == 401
        assert (await ask(http, "no assertion")).status_code == 401
    assert [(each["client"], each["tenant"]) for each in lines if each["event"] == REFUSED] == [(None, None)] * 4
    assert "stranger" not in str(lines)  # what is not proved is not repeated
    assert await entries(database) == []


async def test_a_flood_of_refusals_fills_no_table_and_no_log(
    http: httpx.AsyncClient, issuer: Issuer, database: Database, clock: Clock
) -> None:
    forged = signed(assertion_claims(NORTH), ec_key())
    with structlog.testing.capture_logs() as lines:
        for _ in range(REFUSALS_OF_A_CLIENT_PER_MINUTE + 5):
            assert (await ask(http, forged)).status_code in {401, 429}
    assert len(await entries(database)) == ENTRIES_OF_A_CLIENT_PER_MINUTE
    assert len([each for each in lines if each["event"] == REFUSED]) <= LINES_PER_MINUTE
    clock.now += 60
    await ask(http, forged)
    assert len(await entries(database)) == ENTRIES_OF_A_CLIENT_PER_MINUTE + 1


async def test_lines_are_bounded_for_all_clients_together(database: Database) -> None:
    limits = RefusalLimits(lines=Buckets(5))
    with structlog.testing.capture_logs() as lines:
        for _ in range(50):
            error = OAuthError("invalid_client", "no")
            await token_record.record_refusal(database, limits, error, 0.0)
    assert len(lines) == 5


async def test_a_token_that_is_given_is_on_record_with_its_number(
    http: httpx.AsyncClient, client_keys: Keys, issuer_key: ECKey, database: Database
) -> None:
    answer = await ask(http, signed(assertion_claims(NORTH), client_keys[NORTH]))
    number = jwt.decode(answer.json()["access_token"], issuer_key, algorithms=["ES384"]).claims["jti"]
    assert await entries(database) == [("login", "E", NORTH, number, 200, None)]
    assert (await ask(http, signed(assertion_claims(SOUTH), client_keys[SOUTH]))).status_code == 200
    assert [each[2] for each in await entries(database, "south")] == [SOUTH]


async def test_a_token_that_cannot_be_put_on_record_is_not_given(
    http: httpx.AsyncClient, client_keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_given: object, **_named: object) -> None:
        raise UNAVAILABLE_ERRORS[0]

    monkeypatch.setattr(token_record, "_record", away)
    answer = await ask(http, signed(assertion_claims(NORTH), client_keys[NORTH]))
    assert (answer.status_code, "access_token" in answer.text) == (503, False)
    assert (await ask(http, signed(assertion_claims(NORTH), ec_key()))).status_code == 503
