"""The token endpoint over HTTP: every way to be refused, then what a good assertion is given."""

import asyncio
import base64
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from stepwell_shared.auth.clients import Client, register_client
from stepwell_shared.auth.issuer import Issuer
from stepwell_shared.auth.keys import public_key_set
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.database.pool import Database

from tests.shared.auth.parties import (
    ISSUER,
    NORTH,
    NOW,
    SERVICES,
    SOUTH,
    TOKEN_URL,
    Clock,
    ask,
    assertion_claims,
    ec_key,
    signed,
    token_form,
)

Keys = dict[str, ECKey]
TENANTS = pytest.mark.parametrize("client_id", [NORTH, SOUTH])


def refused(response: httpx.Response, code: str, status: int) -> bool:
    body = response.json()
    return (response.status_code, body["error"], set(body)) == (
        status,
        code,
        {"error", "error_description"},
    ) and response.headers["cache-control"] == "no-store"


def unsigned(claims: dict[str, Any], kid: str) -> str:
    parts = [{"alg": "none", "kid": kid, "typ": "JWT"}, claims]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "https://elsewhere.example/auth/token"},
        {"aud": None},
        {"aud": ISSUER},
        {"exp": int(NOW) - 31},
        {"exp": int(NOW) + 331},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1e300},
        {"exp": True},
        {"nbf": int(NOW) + 31},
        {"iat": int(NOW) + 31},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 256},
        {"sub": SOUTH},
        {"sub": None},
        {"iss": "north.unknown"},
        {"iss": "north"},
        {"iss": ["north.ehr"]},
        {"iss": "North.ehr' OR ''='"},
    ],
    ids=str,
)
async def test_an_assertion_that_says_something_else_is_refused(
    http: httpx.AsyncClient, client_keys: Keys, changed: dict[str, Any]
) -> None:
    response = await ask(http, signed(assertion_claims(NORTH, **changed), client_keys[NORTH]))
    assert refused(response, "invalid_client", 401)


@TENANTS
async def test_an_assertion_is_good_once(http: httpx.AsyncClient, client_keys: Keys, client_id: str) -> None:
    assertion = signed(assertion_claims(client_id), client_keys[client_id])
    assert (await ask(http, assertion)).status_code == 200
    assert refused(await ask(http, assertion), "invalid_client", 401)


async def test_of_ten_uses_at_once_one_succeeds(http: httpx.AsyncClient, client_keys: Keys) -> None:
    assertion = signed(assertion_claims(NORTH), client_keys[NORTH])
    answers = await asyncio.gather(*(ask(http, assertion) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200, *[401] * 9]


async def test_the_same_number_of_another_client_is_no_replay(http: httpx.AsyncClient, client_keys: Keys) -> None:
    for client_id, key in client_keys.items():
        assert (await ask(http, signed(assertion_claims(client_id, jti="same"), key))).status_code == 200


async def test_an_assertion_that_was_too_greedy_is_used_up_too(http: httpx.AsyncClient, client_keys: Keys) -> None:
    assertion = signed(assertion_claims(NORTH), client_keys[NORTH])
    assert refused(await ask(http, assertion, "system/*.cruds"), "invalid_scope", 400)
    assert refused(await ask(http, assertion), "invalid_client", 401)


async def test_expired_assertions_are_forgotten(
    http: httpx.AsyncClient, client_keys: Keys, clock: Clock, database: Database
) -> None:
    await ask(http, signed(assertion_claims(NORTH), client_keys[NORTH]))
    clock.now += 400
    await ask(http, signed(assertion_claims(NORTH, jti="later", exp=int(clock.now) + 300), client_keys[NORTH]))
    async with database.transaction("north") as connection:
        assert await connection.fetchval("SELECT count(*) FROM assertion_seen") == 1


async def test_an_unsigned_assertion_is_refused(http: httpx.AsyncClient, client_keys: Keys) -> None:
    kid = str(client_keys[NORTH].kid)
    assert refused(await ask(http, unsigned(assertion_claims(NORTH), kid)), "invalid_client", 401)


async def test_a_public_key_is_no_shared_secret(http: httpx.AsyncClient, client_keys: Keys) -> None:
    secret = OctKey.import_key(client_keys[NORTH].as_pem(private=False).hex())
    header = {"alg": "HS256", "kid": str(client_keys[NORTH].kid)}
    forged = jwt.encode(header, assertion_claims(NORTH), secret, algorithms=["HS256"])
    assert refused(await ask(http, forged), "invalid_client", 401)


async def test_an_algorithm_beside_the_two_is_refused(http: httpx.AsyncClient) -> None:
    weak = ECKey.generate_key("P-256", auto_kid=True)
    forged = jwt.encode({"alg": "ES256", "kid": weak.kid}, assertion_claims(NORTH), weak)
    assert refused(await ask(http, forged), "invalid_client", 401)


async def test_a_key_of_the_other_tenant_opens_nothing(http: httpx.AsyncClient, client_keys: Keys) -> None:
    assertion = signed(assertion_claims(NORTH), client_keys[SOUTH])
    assert refused(await ask(http, assertion), "invalid_client", 401)
    pretended = signed(assertion_claims(NORTH), client_keys[SOUTH], kid=client_keys[NORTH].kid)
    assert refused(await ask(http, pretended), "invalid_client", 401)


async def test_a_key_that_the_assertion_brings_along_is_not_used(http: httpx.AsyncClient) -> None:
    own = ec_key()
    for header in ({"jku": "https://evil.example/jwks.json"}, {"jwk": own.as_dict(private=False)}):
        assertion = signed(assertion_claims(NORTH), own, **header)
        assert refused(await ask(http, assertion), "invalid_client", 401)


async def test_a_registered_key_with_a_foreign_jku_is_refused(http: httpx.AsyncClient, client_keys: Keys) -> None:
    assertion = signed(assertion_claims(NORTH), client_keys[NORTH], jku="https://evil.example/jwks.json")
    assert refused(await ask(http, assertion), "invalid_client", 401)


@pytest.mark.parametrize("critical", [{"crit": ["b64"], "b64": True}, {"crit": ["b64"], "b64": False}], ids=str)
async def test_a_critical_extension_is_refused(
    http: httpx.AsyncClient, client_keys: Keys, critical: dict[str, Any]
) -> None:
    key = client_keys[NORTH]
    header = {"alg": "ES384", "kid": key.kid, "typ": "JWT", **critical}
    payload = json.dumps(assertion_claims(NORTH))
    assertion = jws.serialize_compact(header, payload, key, algorithms=["ES384"])
    assert refused(await ask(http, assertion), "invalid_client", 401)


async def test_an_access_token_is_no_assertion(http: httpx.AsyncClient, client_keys: Keys) -> None:
    assertion = signed(assertion_claims(NORTH), client_keys[NORTH], typ="at+jwt")
    assert refused(await ask(http, assertion), "invalid_client", 401)


async def test_a_changed_assertion_is_refused(http: httpx.AsyncClient, client_keys: Keys) -> None:
    header, _, signature = signed(assertion_claims(NORTH), client_keys[NORTH]).split(".")
    _, other, _ = signed(assertion_claims(NORTH, jti="other"), client_keys[NORTH]).split(".")
    assert refused(await ask(http, f"{header}.{other}.{signature}"), "invalid_client", 401)


@pytest.mark.parametrize("assertion", ["x", "a.b.c", "é.é.é", "e30.e30.", "x" * 20_000, "." * 50], ids=range(6))
async def test_nonsense_is_refused(http: httpx.AsyncClient, assertion: str) -> None:
    assert refused(await ask(http, assertion), "invalid_client", 401)


async def test_a_payload_nested_without_end_is_refused(http: httpx.AsyncClient, client_keys: Keys) -> None:
    key = client_keys[NORTH]
    deep = jws.serialize_compact({"alg": "ES384", "kid": key.kid}, "[" * 10_000, key, algorithms=["ES384"])
    assert refused(await ask(http, deep), "invalid_client", 401)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
        ({"client_assertion_type": "urn:other"}, "invalid_request"),
        ({"client_assertion": ""}, "invalid_request"),
    ],
)
async def test_another_kind_of_request_is_refused(
    http: httpx.AsyncClient, client_keys: Keys, changed: dict[str, str], code: str
) -> None:
    form = {**token_form(signed(assertion_claims(NORTH), client_keys[NORTH])), **changed}
    assert refused(await http.post(TOKEN_URL, data=form), code, 400)


async def test_a_client_id_of_somebody_else_is_refused(http: httpx.AsyncClient, client_keys: Keys) -> None:
    form = token_form(signed(assertion_claims(NORTH), client_keys[NORTH]), client_id=SOUTH)
    assert refused(await http.post(TOKEN_URL, data=form), "invalid_client", 401)


async def test_only_a_plain_form_is_read(http: httpx.AsyncClient, client_keys: Keys) -> None:
    form = token_form(signed(assertion_claims(NORTH), client_keys[NORTH]))
    encoded = httpx.Request("POST", TOKEN_URL, data=form).content
    plain = {"Content-Type": "application/x-www-form-urlencoded"}
    assert refused(await http.post(TOKEN_URL, json=form), "invalid_request", 400)
    assert refused(await http.post(TOKEN_URL, content=encoded + b"&scope=a", headers=plain), "invalid_request", 400)
    assert refused(await http.post(TOKEN_URL, content=b"\xff=\xff", headers=plain), "invalid_request", 400)
    assert refused(await http.post(TOKEN_URL, content=b"a=" + b"b" * 40_000, headers=plain), "invalid_request", 400)
    assert refused(
        await http.post(TOKEN_URL, data=form, headers={"Authorization": "Basic eDp5"}), "invalid_request", 400
    )


@pytest.mark.parametrize(
    "scope", ["system/Observation.sr", "openid", "system/*.rs", "system/Patient.cruds", "user/Patient.rs"]
)
async def test_more_scope_than_registered_is_refused(http: httpx.AsyncClient, client_keys: Keys, scope: str) -> None:
    response = await ask(http, signed(assertion_claims(NORTH), client_keys[NORTH]), scope)
    assert refused(response, "invalid_scope", 400)


async def test_a_database_that_is_away_is_said_to_be(
    issuer: Issuer, http: httpx.AsyncClient, client_keys: Keys
) -> None:
    class Away:
        def transaction(self, _tenant: str) -> None:
            raise ConnectionRefusedError

    object.__setattr__(issuer, "database", Away())
    response = await ask(http, signed(assertion_claims(NORTH), client_keys[NORTH]))
    assert refused(response, "temporarily_unavailable", 503)


@TENANTS
async def test_a_good_assertion_gets_a_token_for_its_own_tenant(
    http: httpx.AsyncClient, client_keys: Keys, issuer_key: ECKey, client_id: str
) -> None:
    response = await ask(http, signed(assertion_claims(client_id), client_keys[client_id]))
    answer = response.json()
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    assert (answer["token_type"], answer["expires_in"], answer["scope"]) == ("bearer", 300, "system/Patient.rs")
    token = jwt.decode(answer["access_token"], issuer_key, algorithms=["ES384"])
    number = token.claims.pop("jti")
    assert len(number) >= 20
    assert token.header == {"alg": "ES384", "kid": issuer_key.kid, "typ": "at+jwt"}
    assert token.claims == {
        "iss": ISSUER,
        "sub": client_id,
        "client_id": client_id,
        "aud": SERVICES,
        "iat": int(NOW),
        "nbf": int(NOW),
        "exp": int(NOW) + 300,
        "scope": "system/Patient.rs",
        "tenant": client_id.partition(".")[0],
        "roles": "service",
    }


async def test_without_a_scope_all_that_is_registered_is_granted(http: httpx.AsyncClient, client_keys: Keys) -> None:
    response = await ask(http, signed(assertion_claims(NORTH), client_keys[NORTH]), "")
    assert response.json()["scope"] == "system/Patient.rs system/Observation.cruds"


async def test_the_public_keys_hold_no_private_member(http: httpx.AsyncClient, issuer_key: ECKey) -> None:
    response = await http.get(f"{ISSUER}/jwks.json")
    [key] = response.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (key["kid"], key["alg"]) == (issuer_key.kid, "ES384")


async def test_a_client_with_an_rsa_key_signs_with_rs384(issuer: Issuer, http: httpx.AsyncClient) -> None:
    key = RSAKey.generate_key(2048, auto_kid=True)
    client = Client("south.rsa", Scopes.parse("system/Patient.rs"), jwks=public_key_set([key]))
    await register_client(issuer.database, client, datetime.now(UTC))
    assert (await ask(http, signed(assertion_claims("south.rsa"), key))).status_code == 200
    wrong_kind = signed(assertion_claims("south.rsa", jti="2"), ec_key(), kid=key.kid)
    assert refused(await ask(http, wrong_kind), "invalid_client", 401)
