"""Introspection at our own issuer: for whom it answers, and that it tells nothing of tokens that are not theirs."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey
from stepwell_shared.auth.clients import Client, register_client, remove_client
from stepwell_shared.auth.issuer import Issuer
from stepwell_shared.auth.keys import public_key_set

from tests.shared.auth.parties import (
    ISSUER,
    NORTH,
    NOW,
    REGISTERED,
    SERVICES,
    SOUTH,
    Clock,
    access_claims,
    ask,
    assertion_claims,
    ec_key,
    signed,
    token_form,
)

Keys = dict[str, ECKey]
INTROSPECTION_URL = f"{ISSUER}/introspect"
INACTIVE = (200, {"active": False})


async def answer(
    http: httpx.AsyncClient, keys: Keys, token: str, client_id: str = NORTH, **changed: Any
) -> tuple[int, dict[str, Any]]:
    """What this client is told of the token."""
    claims = assertion_claims(client_id, **{"aud": INTROSPECTION_URL, "jti": f"about {token[-40:]}", **changed})
    form = {**token_form(signed(claims, keys[client_id])), "token": token}
    response = await http.post(INTROSPECTION_URL, data=form)
    assert response.headers["cache-control"] == "no-store"
    return response.status_code, response.json()


async def token_of(http: httpx.AsyncClient, keys: Keys, client_id: str = NORTH) -> str:
    return str((await ask(http, signed(assertion_claims(client_id), keys[client_id]))).json()["access_token"])


async def test_only_a_registered_client_that_proves_itself_is_told_anything(
    http: httpx.AsyncClient, client_keys: Keys
) -> None:
    token = await token_of(http, client_keys)
    proof = signed(assertion_claims(NORTH, jti="x", aud=INTROSPECTION_URL), ec_key(), kid=client_keys[NORTH].kid)
    forms: list[dict[str, str]] = [
        {"token": token},
        {"token": token, "client_id": NORTH, "client_secret": "guess"},
        {**token_form(proof), "token": token},
    ]
    for form in forms:
        response = await http.post(INTROSPECTION_URL, data=form)
        assert response.status_code in {400, 401}
        assert "active" not in response.json()
    refused = await http.post(INTROSPECTION_URL, data={"token": token}, headers={"Authorization": f"Bearer {token}"})
    assert refused.status_code == 400


async def test_an_assertion_for_introspection_is_good_once_and_gets_no_token(
    http: httpx.AsyncClient, client_keys: Keys
) -> None:
    assertion = signed(assertion_claims(NORTH, aud=INTROSPECTION_URL), client_keys[NORTH])
    assert (await ask(http, assertion)).status_code == 401
    form = {**token_form(assertion), "token": "x"}
    assert (await http.post(INTROSPECTION_URL, data=form)).json() == {"active": False}
    assert (await http.post(INTROSPECTION_URL, data=form)).status_code == 401
    without = token_form(signed(assertion_claims(NORTH, jti="2", aud=INTROSPECTION_URL), client_keys[NORTH]))
    assert (await http.post(INTROSPECTION_URL, data=without)).json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": int(NOW)},
        {"nbf": int(NOW) + 1},
        {"iss": "https://elsewhere.example/auth"},
        {"tenant": "south"},
        {"tenant": None},
        {"client_id": "north.unknown"},
    ],
    ids=str,
)
async def test_an_expired_a_foreign_and_an_unknown_token_are_inactive_without_a_reason(
    http: httpx.AsyncClient, client_keys: Keys, issuer_key: ECKey, changed: dict[str, Any]
) -> None:
    token = signed(access_claims(**changed), issuer_key, typ="at+jwt")
    assert await answer(http, client_keys, token) == INACTIVE


async def test_forged_tokens_are_inactive(http: httpx.AsyncClient, client_keys: Keys, issuer_key: ECKey) -> None:
    for number, token in enumerate(
        (
            "nonsense",
            "a.b.c",
            signed(access_claims(), ec_key(), typ="at+jwt"),
            signed(access_claims(), ec_key(), kid=issuer_key.kid, typ="at+jwt"),
            signed(access_claims(), issuer_key, kid="unknown", typ="at+jwt"),
            signed(access_claims(), issuer_key, typ="JWT"),
            signed(assertion_claims(NORTH), client_keys[NORTH]),
        )
    ):
        assert await answer(http, client_keys, token, jti=f"forged {number}") == INACTIVE


async def test_a_token_of_another_tenant_is_inactive_to_whoever_asks(
    http: httpx.AsyncClient, client_keys: Keys
) -> None:
    token = await token_of(http, client_keys, SOUTH)
    assert await answer(http, client_keys, token, NORTH) == INACTIVE
    assert (await answer(http, client_keys, token, SOUTH))[1]["active"] is True


async def test_a_good_token_is_told_of_until_its_client_is_removed(
    http: httpx.AsyncClient, client_keys: Keys, issuer: Issuer, clock: Clock
) -> None:
    token = await token_of(http, client_keys)
    told = (await answer(http, client_keys, token))[1]
    assert len(told.pop("jti")) >= 20
    assert told == {
        "active": True,
        "token_type": "bearer",
        "scope": "system/Patient.rs",
        "client_id": NORTH,
        "sub": NORTH,
        "exp": int(NOW) + 300,
        "iat": int(NOW),
        "nbf": int(NOW),
        "aud": SERVICES,
        "iss": ISSUER,
        "tenant": "north",
        "roles": "service",
    }
    clock.now += 299
    assert (await answer(http, client_keys, token, jti="2", exp=int(clock.now) + 60))[1]["active"] is True
    clock.now += 1
    assert await answer(http, client_keys, token, jti="3", exp=int(clock.now) + 60) == INACTIVE
    clock.now = NOW
    again = await token_of_other(http, issuer, client_keys)
    await remove_client(issuer.database, "north.leaving")
    assert await answer(http, client_keys, again, jti="4") == INACTIVE


async def token_of_other(http: httpx.AsyncClient, issuer: Issuer, keys: Keys) -> str:
    """A token of a client that will be removed."""
    client = Client("north.leaving", REGISTERED, jwks=public_key_set([keys[NORTH]]))
    await register_client(issuer.database, client, datetime.fromtimestamp(NOW, UTC))
    response = await ask(http, signed(assertion_claims("north.leaving"), keys[NORTH]))
    return str(response.json()["access_token"])
