"""The door of a service: which tokens are refused, and that good ones pass while the issuer is away."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from stepwell_shared.auth import verification
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.issuer_keys import REFRESH_SECONDS, RETRY_SECONDS, IssuerKeys
from stepwell_shared.auth.keys import public_key_set
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.auth.verification import TokenVerifier
from stepwell_shared.database.pool import Database
from stepwell_shared.fhir.outcome import Category, FhirError

from tests.shared.auth.parties import (
    ISSUER,
    NOW,
    ROUTING,
    SERVICES,
    Clock,
    access_claims,
    ask,
    assertion_claims,
    ec_key,
    signed,
)


class Issuer:
    """The pages of an issuer whose keys change, and which can be away."""

    def __init__(self, key: ECKey) -> None:
        self.keys = [key]
        self.asked = 0
        self.away = False

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.away:
            raise httpx.ConnectError("refused", request=request)
        assert request.url == f"{ISSUER}/jwks.json"
        return httpx.Response(200, json=public_key_set(self.keys))


@pytest.fixture
def pages(issuer_key: ECKey) -> Issuer:
    return Issuer(issuer_key)


@pytest.fixture
async def outside(pages: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(pages.answer)) as client:
        yield client


def verifier_of(database: Database, outside: httpx.AsyncClient, clock: Clock) -> TokenVerifier:
    keys = IssuerKeys(database, outside, ISSUER, clock=clock)
    return TokenVerifier(keys, issuer_url=ISSUER, audience=ROUTING, clock=clock)


@pytest.fixture
async def verifier(database: Database, outside: httpx.AsyncClient, clock: Clock) -> AsyncIterator[TokenVerifier]:
    made = verifier_of(database, outside, clock)
    yield made
    await made.close()


async def refusal(verifier: TokenVerifier, header: str | None) -> FhirError:
    with pytest.raises(FhirError) as refused:
        await verifier.authenticate(header)
    return refused.value


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic bm9ydGg6ZWhy", "token"])
async def test_without_a_bearer_token_nobody_comes_in(verifier: TokenVerifier, header: str | None) -> None:
    error = await refusal(verifier, header)
    assert (error.category, error.headers) == (Category.UNAUTHENTICATED, {"WWW-Authenticate": "Bearer"})


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": int(NOW) - 60},
        {"exp": None},
        {"exp": "never"},
        {"nbf": int(NOW) + 61},
        {"iat": int(NOW) + 61},
        {"aud": ["https://other-deployment.example/routing/fhir"]},
        {"aud": SERVICES[0]},
        {"aud": None},
        {"iss": "https://elsewhere.example/auth"},
        {"iss": None},
        {"tenant": None},
        {"tenant": ""},
        {"tenant": "North"},
        {"tenant": "north'--"},
        {"tenant": ["north"]},
        {"client_id": None},
        {"scope": None},
        {"jti": None},
    ],
    ids=str,
)
async def test_a_token_that_says_something_else_is_refused(
    verifier: TokenVerifier, issuer_key: ECKey, changed: dict[str, Any]
) -> None:
    token = signed(access_claims(**changed), issuer_key)
    error = await refusal(verifier, f"Bearer {token}")
    assert error.category is Category.UNAUTHENTICATED
    assert error.headers == {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    assert token not in str(error)


async def test_a_tampered_tenant_claim_is_refused(verifier: TokenVerifier, issuer_key: ECKey) -> None:
    header, _, signature = signed(access_claims("north"), issuer_key).split(".")
    _, south, _ = signed(access_claims("south"), issuer_key).split(".")
    assert (await refusal(verifier, f"Bearer {header}.{south}.{signature}")).category is Category.UNAUTHENTICATED


async def test_a_key_of_somebody_else_is_refused(verifier: TokenVerifier, issuer_key: ECKey) -> None:
    own = ec_key()
    for token in (signed(access_claims(), own), signed(access_claims(), own, kid=issuer_key.kid)):
        assert (await refusal(verifier, f"Bearer {token}")).category is Category.UNAUTHENTICATED


async def test_the_public_key_is_no_shared_secret(verifier: TokenVerifier, issuer_key: ECKey) -> None:
    secret = OctKey.import_key(issuer_key.as_pem(private=False).hex())
    forged = jwt.encode({"alg": "HS256", "kid": issuer_key.kid}, access_claims(), secret, algorithms=["HS256"])
    assert (await refusal(verifier, f"Bearer {forged}")).category is Category.UNAUTHENTICATED


@pytest.mark.parametrize("token", ["x", "a.b.c", "é.é.é", "eyJhbGciOiJub25lIn0.e30.", "." * 60_000], ids=range(5))
async def test_nonsense_is_refused(verifier: TokenVerifier, token: str) -> None:
    assert (await refusal(verifier, f"Bearer {token}")).category is Category.UNAUTHENTICATED


async def test_a_remembered_token_expires_too(verifier: TokenVerifier, issuer_key: ECKey, clock: Clock) -> None:
    header = f"Bearer {signed(access_claims(), issuer_key)}"
    await verifier.authenticate(header)
    clock.now += 359
    await verifier.authenticate(header)
    clock.now += 1
    assert (await refusal(verifier, header)).category is Category.UNAUTHENTICATED


async def test_unknown_keys_do_not_make_load_at_the_issuer(
    verifier: TokenVerifier, pages: Issuer, issuer_key: ECKey
) -> None:
    await verifier.authenticate(f"Bearer {signed(access_claims(), issuer_key)}")
    for _ in range(20):
        await refusal(verifier, f"Bearer {signed(access_claims(), ec_key())}")
    assert pages.asked == 1


async def test_while_the_issuers_keys_were_never_seen_the_answer_is_try_again(
    verifier: TokenVerifier, pages: Issuer, issuer_key: ECKey
) -> None:
    pages.away = True
    error = await refusal(verifier, f"Bearer {signed(access_claims(), issuer_key)}")
    assert (error.category, error.headers) == (Category.UNAVAILABLE, {"Retry-After": "5"})


@pytest.mark.parametrize("tenant", ["north", "south"])
async def test_a_good_token_is_its_caller(verifier: TokenVerifier, issuer_key: ECKey, tenant: str) -> None:
    claims = access_claims(tenant, roles="clinician", fhirUser="Practitioner/a")
    caller = await verifier.authenticate(f"bearer {signed(claims, issuer_key)}")
    expected = ("token-1", ("clinician",), "Practitioner/a", None)
    assert (caller.tenant, caller.client_id) == (tenant, f"{tenant}.ehr")
    assert (caller.token_id, caller.roles, caller.fhir_user, caller.patient) == expected
    caller.require("Observation", "read")


async def test_a_token_of_the_real_endpoint_opens_the_service(
    http: httpx.AsyncClient, database: Database, client_keys: dict[str, ECKey], clock: Clock
) -> None:
    verifier = verifier_of(database, http, clock)
    for client_id, key in client_keys.items():
        answer = await ask(http, signed(assertion_claims(client_id), key))
        caller = await verifier.authenticate(f"Bearer {answer.json()['access_token']}")
        assert (caller.tenant, caller.client_id) == (client_id.partition(".")[0], client_id)


async def test_a_token_is_verified_while_the_issuer_is_away_even_after_a_restart(
    verifier: TokenVerifier,
    pages: Issuer,
    issuer_key: ECKey,
    database: Database,
    outside: httpx.AsyncClient,
    clock: Clock,
) -> None:
    await verifier.authenticate(f"Bearer {signed(access_claims(), issuer_key)}")
    pages.away = True
    restarted = verifier_of(database, outside, clock)
    caller = await restarted.authenticate(f"Bearer {signed(access_claims('south'), issuer_key)}")
    assert caller.tenant == "south"


async def test_a_new_key_is_taken_at_its_first_token(
    verifier: TokenVerifier, pages: Issuer, issuer_key: ECKey, clock: Clock
) -> None:
    await verifier.authenticate(f"Bearer {signed(access_claims(), issuer_key)}")
    rotated = ec_key()
    pages.keys = [rotated, issuer_key]
    clock.now += RETRY_SECONDS
    await verifier.authenticate(f"Bearer {signed(access_claims(), rotated)}")
    await verifier.authenticate(f"Bearer {signed(access_claims('south'), issuer_key)}")


async def test_a_withdrawn_key_is_dropped_when_keys_are_refreshed(
    verifier: TokenVerifier, pages: Issuer, issuer_key: ECKey, clock: Clock
) -> None:
    await verifier.authenticate(f"Bearer {signed(access_claims(), issuer_key)}")
    pages.keys = [ec_key()]
    clock.now += REFRESH_SECONDS + 1

    async def use_the_old_key_for_ever() -> None:
        for number in itertools.count():
            claims = access_claims("south", jti=str(number), exp=int(clock.now) + 300)
            await verifier.authenticate(f"Bearer {signed(claims, issuer_key)}")
            await asyncio.sleep(0.01)

    with pytest.raises(FhirError, match="no such key"):
        await asyncio.wait_for(use_the_old_key_for_ever(), timeout=10)
    assert pages.asked == 2


async def test_the_memory_of_tokens_is_bounded(
    verifier: TokenVerifier, issuer_key: ECKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "TOKENS_REMEMBERED_MAX", 2)
    first, second, third = (f"Bearer {signed(access_claims(jti=number), issuer_key)}" for number in "123")
    callers = [await verifier.authenticate(header) for header in (first, second, third)]
    assert await verifier.authenticate(third) is callers[2]
    assert await verifier.authenticate(second) is callers[1]
    again = await verifier.authenticate(first)
    assert again == callers[0]
    assert again is not callers[0]


async def test_a_remembered_token_costs_microseconds(verifier: TokenVerifier, issuer_key: ECKey) -> None:
    header = f"Bearer {signed(access_claims(), issuer_key)}"
    caller = await verifier.authenticate(header)
    started = time.perf_counter()
    for _ in range(1000):
        assert await verifier.authenticate(header) is caller
    assert (time.perf_counter() - started) / 1000 < 0.000_1


async def test_consents_are_asked_on_every_request_of_who_acts_under_them_and_for_nobody_else(
    database: Database, outside: httpx.AsyncClient, clock: Clock, issuer_key: ECKey
) -> None:
    asked: list[str | None] = []

    async def narrow(caller: Caller) -> Caller:
        asked.append(caller.actor)
        return caller.narrowed_to(Scopes())

    keys = IssuerKeys(database, outside, ISSUER, clock=clock)
    made = TokenVerifier(keys, issuer_url=ISSUER, audience=ROUTING, clock=clock, narrow=narrow)
    related = f"Bearer {signed(access_claims(fhirUser='RelatedPerson/m'), issuer_key)}"
    plain = f"Bearer {signed(access_claims(), issuer_key)}"
    for _ in range(2):
        assert not list((await made.authenticate(related)).scopes)
        assert list((await made.authenticate(plain)).scopes)
    assert asked == ["RelatedPerson/m"] * 2
    await made.close()


async def test_a_service_that_keeps_no_consents_lets_nobody_act_under_them(
    verifier: TokenVerifier, issuer_key: ECKey
) -> None:
    caller = await verifier.authenticate(f"Bearer {signed(access_claims(fhirUser='Organization/o'), issuer_key)}")
    assert not caller.permits("Questionnaire", "read")
