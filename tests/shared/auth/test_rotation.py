"""Keys are changed while requests come: nobody is refused, and the old key goes when its last token has."""

import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from joserfc.jwk import ECKey
from stepwell_shared.auth.clients import Client, register_client
from stepwell_shared.auth.endpoints import issuer_router
from stepwell_shared.auth.issuer import TOKEN_SECONDS, Issuer
from stepwell_shared.auth.issuer_keys import REFRESH_SECONDS, IssuerKeys
from stepwell_shared.auth.key_ring import (
    PUBLISHED_AFTER_SECONDS,
    PUBLISHED_BEFORE_SECONDS,
    KeyRing,
    rotate,
)
from stepwell_shared.auth.keys import KeyFileError, make_private_key, public_key_set, read_ring
from stepwell_shared.auth.verification import LEEWAY_SECONDS, TokenVerifier
from stepwell_shared.database.pool import Database
from stepwell_shared.fhir.outcome import FhirError

from tests.shared.auth.parties import (
    ISSUER,
    NORTH,
    NOW,
    REGISTERED,
    ROUTING,
    Clock,
    ask,
    assertion_claims,
    ec_key,
    signed,
)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "issuer.jwk"
    make_private_key(path)
    return path


def ids(ring: KeyRing) -> list[str]:
    return [str(key.kid) for key in ring.published()]


def test_times_are_longer_than_anybody_keeps_keys_and_any_token_lives() -> None:
    assert PUBLISHED_BEFORE_SECONDS >= REFRESH_SECONDS + 300  # of Cache-Control, one after the other
    assert PUBLISHED_AFTER_SECONDS > TOKEN_SECONDS + LEEWAY_SECONDS


def test_a_new_key_is_published_then_signs_and_the_old_one_goes(key_file: Path, clock: Clock) -> None:
    ring = KeyRing(key_file, clock)
    old, fresh = ring.signing(), ec_key()
    begins = rotate(key_file, fresh, clock.now)
    assert begins == NOW + PUBLISHED_BEFORE_SECONDS
    clock.now += 1
    assert (ring.signing().kid, set(ids(ring))) == (old.kid, {old.kid, fresh.kid})
    clock.now = begins
    assert (ring.signing().kid, set(ids(ring))) == (fresh.kid, {old.kid, fresh.kid})
    clock.now = begins + PUBLISHED_AFTER_SECONDS
    assert (ring.signing().kid, ids(ring)) == (fresh.kid, [fresh.kid])
    rotate(key_file, ec_key(), clock.now)
    assert [each.key.kid for each in read_ring(key_file)][1:] == [fresh.kid]
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert list(key_file.parent.iterdir()) == [key_file]


def test_a_rotation_waits_for_the_one_before_it(key_file: Path) -> None:
    rotate(key_file, ec_key(), NOW)
    before = key_file.read_bytes()
    with pytest.raises(KeyFileError, match="not begun"):
        rotate(key_file, ec_key(), NOW + 1)
    assert key_file.read_bytes() == before


def test_a_key_that_got_out_is_replaced_at_once(key_file: Path, clock: Clock) -> None:
    ring, fresh = KeyRing(key_file, clock), ec_key()
    assert rotate(key_file, fresh, clock.now, wait_seconds=0, overlap_seconds=0) == NOW
    clock.now += 1
    assert (ring.signing().kid, ids(ring)) == (fresh.kid, [fresh.kid])


@pytest.mark.parametrize("content", ["", "{}", '{"keys": []}', '{"keys": [{"kty": "EC", "nbf": "soon"}]}'])
def test_a_file_that_goes_bad_changes_nothing(key_file: Path, clock: Clock, content: str) -> None:
    ring = KeyRing(key_file, clock)
    before = ring.signing().kid
    key_file.write_text(content)
    clock.now += 1
    assert (ring.signing().kid, ids(ring)) == (before, [before])
    key_file.unlink()
    clock.now += 1
    assert ring.signing().kid == before


def test_without_any_key_of_now_there_is_one_still(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "late.jwk"
    key = ec_key()
    path.write_text(json.dumps({**key.as_dict(private=True), "nbf": NOW + 9, "exp": NOW + 10}))
    path.chmod(0o600)
    clock.now = NOW + 20
    assert (KeyRing(path, clock).signing().kid, ids(KeyRing(path, clock))) == (key.kid, [key.kid])


async def test_the_issuers_key_rotates_under_requests_and_nobody_is_refused(
    issuer: Issuer, database: Database, key_file: Path, clock: Clock, client_keys: dict[str, ECKey]
) -> None:
    """Every minute of an hour a client gets a token and uses it to its end, while the key changes twice."""
    object.__setattr__(issuer, "keys", KeyRing(key_file, clock))
    app = FastAPI()
    app.include_router(issuer_router(issuer, clock=clock), prefix="/screening/auth")
    rotations = {5: ec_key(), 30: ec_key()}
    signers: set[str] = set()
    refused = used = 0
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        keys = IssuerKeys(database, http, ISSUER, clock=clock)
        verifier = TokenVerifier(keys, issuer_url=ISSUER, audience=ROUTING, clock=clock)
        held: list[str] = []
        for minute in range(60):
            clock.now = NOW + 60 * minute
            if minute in rotations:
                rotate(key_file, rotations[minute], clock.now)
            claims = assertion_claims(NORTH, jti=str(minute), exp=int(clock.now) + 300)
            answer = await ask(http, signed(claims, client_keys[NORTH]))
            refused += answer.status_code != 200
            held = [*held, answer.json()["access_token"]][-5:]
            for token in held:
                used += 1
                try:
                    await verifier.authenticate(f"Bearer {token}")
                except FhirError:
                    refused += 1
            signers.add(str(issuer.keys.signing().kid))
        await verifier.close()
    assert (refused, used, len(signers)) == (0, 290, 3)
    assert [key["kid"] for key in issuer.public_keys["keys"]] == [rotations[30].kid]


async def test_a_clients_key_rotates_at_its_url_and_nobody_is_refused(
    issuer: Issuer, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = [ec_key()]
    fetched: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        fetched.append(str(request.url))
        return httpx.Response(200, json=public_key_set(published), headers={"Cache-Control": "max-age=300"})

    url = "https://ehr.example/jwks.json"
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as outside:
        monkeypatch.setattr(issuer.client_keys, "_http", outside)
        monkeypatch.setattr(issuer.client_keys, "_guarded", False)
        client = Client("north.web", REGISTERED, jwks_url=url)
        await register_client(issuer.database, client, datetime.fromtimestamp(NOW, UTC))
        for number in range(4):
            signing = published[-1]
            claims = assertion_claims("north.web", jti=str(number))
            assert (await ask(http, signed(claims, signing))).status_code == 200
            published.append(ec_key())  # a key that is published later than the last fetch signs next
        assert len(fetched) == 4
        strange = ec_key()
        for number in range(20):
            assert (
                await ask(http, signed(assertion_claims("north.web", jti=f"x{number}"), strange))
            ).status_code == 401
        assert len(fetched) == 5
