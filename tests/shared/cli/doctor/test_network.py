"""What is wrong between services, issuers and this terminal is seen by what they answer."""

import asyncio
import json
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from stepwell_shared.auth.keys import make_private_key
from stepwell_shared.cli.doctor import network
from stepwell_shared.cli.doctor.findings import Finding, State
from stepwell_shared.openapi import VERSION

BASE, ISSUER = "http://127.0.0.1:8002/routing/fhir", "http://127.0.0.1:8001/screening/auth"

Answer = Callable[[httpx.Request], httpx.Response]


def service(version: str = VERSION, token_url: str = f"{ISSUER}/token", hours: int = 0) -> Answer:
    """Answers as a service does, with a clock that is some hours ahead."""
    date = (datetime.now(UTC) + timedelta(hours=hours)).strftime("%a, %d %b %Y %H:%M:%S GMT")

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/metadata"):
            return httpx.Response(200, json={"software": {"version": version}}, headers={"Date": date})
        return httpx.Response(200, json={"token_endpoint": token_url})

    return answer


def failing(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody there")


async def seen(answer: Answer, base: str = BASE) -> list[Finding]:
    """What is not good about one service."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        found = await network.examine(http, "routing", base, ISSUER)
    return [each for each in found if each.state is not State.GOOD]


async def test_a_service_that_is_away_or_something_else_is_told_from_one_that_is_well() -> None:
    (away,) = await seen(failing)
    assert (away.state, away.told) == (State.WRONG, "no answer: ConnectError")
    (other,) = await seen(lambda _: httpx.Response(200, text="<html>"))
    assert (other.state, other.told) == (State.WRONG, "200, and no FHIR service")
    assert await seen(service()) == []


async def test_another_release_another_issuer_and_another_hour_are_told() -> None:
    (release,) = await seen(service(version="9.9.9"))
    assert (release.state, "9.9.9 runs there" in release.told) == (State.LOOK, True)
    (issuer,) = await seen(service(token_url="https://elsewhere.example/token"))
    assert (issuer.subject, issuer.state) == ("issuer", State.WRONG)
    for hours in (1, -1):
        (clock,) = await seen(service(hours=hours))
        assert (clock.subject, clock.state) == ("clock", State.WRONG)


async def test_answers_of_people_without_tls_are_wrong_beyond_this_machine() -> None:
    (plain,) = await seen(service(), "http://care.example/routing/fhir")
    assert (plain.subject, plain.state) == ("TLS", State.WRONG)


async def test_a_certificate_that_nobody_vouches_for_is_not_believed(tmp_path: Path) -> None:
    """A real TLS server with a certificate of its own making."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = datetime.now(UTC) - timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=30))
    file = tmp_path / "tls.pem"
    file.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    with file.open("ab") as handle:
        form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        handle.write(key.private_bytes(serialization.Encoding.PEM, *form))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        found = await network.certificate("routing", "127.0.0.1", server.sockets[0].getsockname()[1])
    assert (found.state, "not believed" in found.told) == (State.WRONG, True)
    away = await network.certificate("routing", "127.0.0.1", 9)
    assert (away.state, away.told) == (State.OPEN, "no answer: ConnectionRefusedError")


async def asked(tmp_path: Path, answer: Answer) -> list[Finding]:
    """What a client that asks for a token sees."""
    key = tmp_path / "client.jwk"
    if not key.exists():
        make_private_key(key)
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        return await network.tokens(http, ISSUER, "north.ehr", key, {"routing": BASE})


def issuing(status: int) -> Answer:
    """Gives tokens; the service answers them with this status."""

    def answer(request: httpx.Request) -> httpx.Response:
        if str(request.url) == f"{ISSUER}/token":
            return httpx.Response(200, json={"access_token": "token", "expires_in": 300})
        return httpx.Response(status)

    return answer


async def test_a_token_that_is_not_given_or_not_taken_is_told_from_one_that_lacks_a_scope(tmp_path: Path) -> None:
    refusal = {"error": "invalid_client", "error_description": "unknown client"}
    (refused,) = await asked(tmp_path, lambda _: httpx.Response(401, json=refusal))
    assert (refused.state, "unknown client" in refused.told) == (State.WRONG, True)
    issued, untaken = await asked(tmp_path, issuing(401))
    assert (issued.state, untaken.state, untaken.place) == (State.GOOD, State.WRONG, "routing")
    assert {each.state for each in await asked(tmp_path, issuing(403))} == {State.GOOD}
    async with httpx.AsyncClient(transport=httpx.MockTransport(failing)) as http:
        (unknown,) = await network.tokens(http, ISSUER, "north.ehr", tmp_path / "none.jwk", {})
    assert (unknown.state, "--key-file" in unknown.to_do) == (State.OPEN, True)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (lambda _: httpx.Response(200, json={"keys": [{}]}), State.GOOD),
        (lambda _: httpx.Response(200, json={"keys": []}), State.WRONG),
        (lambda _: httpx.Response(404), State.WRONG),
        (lambda _: httpx.Response(200, text="<html>"), State.WRONG),
        (failing, State.WRONG),
    ],
)
async def test_an_issuer_outside_is_asked_for_its_keys(answer: Answer, state: State, tmp_path: Path) -> None:
    file = tmp_path / "issuers.json"
    issuer = {"name": "idp", "issuer": "https://idp.example", "jwks_url": "https://idp.example/keys", "tenant": "north"}
    file.write_text(json.dumps({"issuers": [issuer]}), encoding="utf-8")
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        (found,) = await network.external_issuers(http, file)
    assert (found.place, found.state) == ("issuer idp", state)


async def test_no_file_of_issuers_is_nothing_and_a_broken_one_is_wrong(tmp_path: Path) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(failing)) as http:
        assert await network.external_issuers(http, None) == []
        (found,) = await network.external_issuers(http, tmp_path / "none.json")
    assert (found.state, "cannot be read" in found.told) == (State.WRONG, True)
