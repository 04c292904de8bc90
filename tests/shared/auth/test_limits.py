"""How often tokens may be asked for: a flood costs the issuer little and a good client nothing."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from joserfc.jwk import ECKey
from stepwell_shared.auth import client_authentication, clients, signatures
from stepwell_shared.auth.addresses import address_of, networks
from stepwell_shared.auth.endpoints import issuer_router
from stepwell_shared.auth.issuer import Issuer
from stepwell_shared.auth.limits import (
    REFUSALS_OF_A_CLIENT_PER_MINUTE,
    REFUSALS_OF_AN_ADDRESS_PER_MINUTE,
    TOKENS_PER_MINUTE,
    Buckets,
    ClientLimits,
    TooManyError,
)

from tests.shared.auth.parties import NORTH, NOW, TOKEN_URL, Clock, assertion_claims, ec_key, signed, token_form

Keys = dict[str, ECKey]
ATTACKER, HOSPITAL = "203.0.113.9", "198.51.100.7"


def limits() -> ClientLimits:
    return ClientLimits(Buckets(TOKENS_PER_MINUTE))


def test_a_bucket_holds_a_minutes_worth_and_fills_again_at_that_rate() -> None:
    buckets = Buckets(60)
    for _ in range(60):
        buckets.check("a", NOW)
        buckets.take("a", NOW)
    with pytest.raises(TooManyError) as refused:
        buckets.check("a", NOW)
    assert refused.value.seconds == 1
    buckets.check("b", NOW)
    buckets.check("a", NOW + 1)
    buckets.take("a", NOW + 1)
    with pytest.raises(TooManyError):
        buckets.check("a", NOW + 1)
    buckets.check("a", NOW + 10_000)


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    buckets = Buckets(1)
    buckets.take("a", NOW)
    with pytest.raises(TooManyError):
        buckets.check("a", NOW - 3600)


def test_names_that_are_invented_do_not_fill_the_memory() -> None:
    buckets = Buckets(1, keys_max=100)
    for number in range(10_000):
        buckets.take(number, NOW)
    assert len(buckets) == 100


def test_nobody_uses_up_what_a_client_has_by_using_its_name_from_elsewhere() -> None:
    shared = limits()
    for _ in range(REFUSALS_OF_A_CLIENT_PER_MINUTE):
        shared.begin(ATTACKER, NORTH, NOW)
    with pytest.raises(TooManyError) as refused:
        shared.begin(ATTACKER, NORTH, NOW)
    assert 1 <= refused.value.seconds <= 60
    shared.succeeded(shared.begin(HOSPITAL, NORTH, NOW))


def test_names_that_change_with_each_attempt_are_stopped_by_their_address() -> None:
    shared = limits()
    for number in range(REFUSALS_OF_AN_ADDRESS_PER_MINUTE):
        shared.begin(ATTACKER, f"north.guess-{number}", NOW)
    with pytest.raises(TooManyError):
        shared.begin(ATTACKER, "north.another", NOW)


def test_a_good_client_is_bounded_by_its_own_number_and_its_successes_are_no_refusals() -> None:
    shared = limits()
    for _ in range(TOKENS_PER_MINUTE):
        shared.succeeded(shared.begin(HOSPITAL, NORTH, NOW))
    with pytest.raises(TooManyError):
        shared.begin(HOSPITAL, NORTH, NOW)
    shared.succeeded(shared.begin(HOSPITAL, "north.other", NOW))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "192.0.2.1, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "192.0.2.1, 198.51.100.7, 10.9.9.9", "198.51.100.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "unknown", "unknown"),
        ("10.0.0.1", "x" * 500, "x" * 64),
        ("", "198.51.100.7", ""),
        ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::"),
        ("::ffff:203.0.113.9", "", "203.0.113.9"),
    ],
)
def test_a_proxy_of_ours_is_believed_and_nobody_else(peer: str, forwarded: str, address: str) -> None:
    assert address_of(peer, forwarded, networks(("10.0.0.0/8",))) == address


async def test_a_flood_of_bad_assertions_is_refused_unseen_and_a_good_client_gets_its_token(
    issuer: Issuer, clock: Clock, client_keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    looked_up: list[str] = []

    def counting(token: str, *given: object) -> dict[str, object]:
        verified.append(token)
        return signatures.verify(token, *given)  # type: ignore[arg-type]  # passed on as they came

    async def finding(database: object, client_id: str) -> object:
        looked_up.append(client_id)
        return await clients.find_client(database, client_id)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(client_authentication, "verify", counting)
    monkeypatch.setattr(client_authentication, "find_client", finding)
    app = FastAPI()
    app.include_router(issuer_router(issuer, clock=clock), prefix="/screening/auth")
    forged = signed(assertion_claims(NORTH), ec_key(), kid=client_keys[NORTH].kid)
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(ATTACKER, 1))) as attacker,
        httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(HOSPITAL, 1))) as hospital,
    ):
        flood = [attacker.post(TOKEN_URL, data=token_form(forged)) for _ in range(400)]
        good = [
            hospital.post(
                TOKEN_URL, data=token_form(signed(assertion_claims(NORTH, jti=str(number)), client_keys[NORTH]))
            )
            for number in range(5)
        ]
        answers = await asyncio.gather(*flood, *good)
    statuses = [answer.status_code for answer in answers]
    assert statuses[400:] == [200] * 5
    assert statuses[:400].count(401) == REFUSALS_OF_A_CLIENT_PER_MINUTE
    assert statuses[:400].count(429) == 400 - REFUSALS_OF_A_CLIENT_PER_MINUTE
    assert verified.count(forged) == REFUSALS_OF_A_CLIENT_PER_MINUTE
    assert len(looked_up) == REFUSALS_OF_A_CLIENT_PER_MINUTE + 5
    turned_away = next(answer for answer in answers if answer.status_code == 429)
    assert 1 <= int(turned_away.headers["retry-after"]) <= 60
    assert turned_away.json()["error"] == "slow_down"
    assert turned_away.headers["cache-control"] == "no-store"


async def test_what_is_not_the_clients_fault_does_not_count(issuer: Issuer, http: httpx.AsyncClient) -> None:
    class Away:
        def transaction(self, _tenant: str) -> None:
            raise ConnectionRefusedError

    database = issuer.database
    key = ec_key()
    object.__setattr__(issuer, "database", Away())
    form = token_form(signed(assertion_claims(NORTH), key))
    for _ in range(REFUSALS_OF_A_CLIENT_PER_MINUTE + 1):
        assert (await http.post(TOKEN_URL, data=form)).status_code == 503
    object.__setattr__(issuer, "database", database)
    assert (await http.post(TOKEN_URL, data=form)).status_code == 401
