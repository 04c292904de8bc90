"""Wherever others give us an address, no spelling, name, redirect or change of mind leads into our own network."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from stepwell_shared.auth.fetching import FetchError, fetch_json
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.events.subscriptions import check_subscription
from stepwell_shared.federation.cards import CardError, partner_of
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.http_client import AddressError, HttpError, guarded_client, http_client, public_target

from tests.shared.events.conftest import SubjectFilters
from tests.shared.events.test_subscriptions import TOPICS, subscription
from tests.shared.federation.pairs import hub_card

INSIDE = (
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "192.0.0.192", "168.63.129.16"),
    *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1"),
    # An address of version 4 inside of one of version 6: mapped, compatible, translated, NAT64, 6to4, Teredo.
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::10.0.0.1"),
    *("64:ff9b::169.254.169.254", "64:ff9b:1::10.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::"),
)
OUTSIDE = ("8.8.8.8", "2606:4700:4700::1111", "64:ff9b::8.8.8.8")
# Spellings that some resolver or some reader of URLs takes for a host inside.
SPELLED = (
    *("127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "localhost.", "a.localhost", "printer.local"),
    *("metadata.internal", "intranet", "127.0.0.1:8001", "user@127.0.0.1", "8.8.8.8@127.0.0.1", "[::ffff:7f00:1]"),
)
PUBLIC = EndpointPolicy()


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Names lead to one number after the other, each time that somebody looks; the names that were looked up."""

    def answer(*rounds: tuple[str, ...]) -> list[str]:
        asked: list[str] = []

        async def getaddrinfo(_loop: object, host: str, port: int, **_: Any) -> list[Any]:
            asked.append(host)
            numbers = rounds[min(len(asked), len(rounds)) - 1]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port)) for number in numbers]

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
        return asked

    return answer


async def _endpoint(url: str) -> None:
    if issues := check_subscription(subscription(endpoint=url), TOPICS, PUBLIC, SubjectFilters()):
        raise FhirError(Category.BUSINESS_RULE, issues)


async def _card(url: str) -> None:
    card = replace(hub_card(), notifications_url=url)
    agreed: dict[str, Any] = {"refers_here": True, "referred_to": True, "shared": frozenset()}
    partner_of(card, "north", "hub", endpoints=PUBLIC, **agreed)


async def _keys(url: str) -> None:
    async with http_client(timeout_seconds=5) as http:
        await fetch_json(http, url)


async def _partner(url: str) -> None:
    async with guarded_client(PUBLIC.is_configured) as http:
        await http.post(url, json={})


async def _delivery(url: str) -> None:
    await public_target(url)


PLACES: dict[str, Callable[[str], Awaitable[None]]] = {
    "a Subscription": _endpoint,
    "a partner's card": _card,
    "a client's key page": _keys,
    "a partner": _partner,
    "a delivery": _delivery,
}
REFUSED = (FhirError, CardError, FetchError, AddressError, HttpError, httpx.InvalidURL)


@pytest.mark.parametrize("place", PLACES)
async def test_no_spelling_of_a_host_inside_is_taken_or_called(place: str) -> None:
    hosts = [*SPELLED, *(f"[{each}]" if ":" in each else each for each in INSIDE)]
    taken = []
    for host in hosts:
        for url in (f"https://{host}/x", f"http://{host}/x"):
            try:
                await PLACES[place](url)
            except REFUSED:
                continue
            taken.append(url)
    assert taken == []


@pytest.mark.parametrize("scheme", ["file", "ftp", "gopher", "javascript", "data", "unix", "ldap"])
@pytest.mark.parametrize("place", PLACES)
async def test_no_other_scheme_than_https_is_taken(place: str, scheme: str) -> None:
    with pytest.raises(REFUSED):
        await PLACES[place](f"{scheme}://ehr.example.org/x")


@pytest.mark.parametrize("number", INSIDE)
async def test_a_public_name_that_leads_inside_is_not_called(resolve: Callable[..., list[str]], number: str) -> None:
    for numbers in ((number,), ("8.8.8.8", number), (number, "8.8.8.8")):
        resolve(numbers)
        with pytest.raises(AddressError):
            await public_target("https://ehr.example.org/x")


@pytest.mark.parametrize("number", OUTSIDE)
async def test_a_public_number_is_called_whatever_version_it_has(
    resolve: Callable[..., list[str]], number: str
) -> None:
    resolve((number,))
    host = f"[{number}]" if ":" in number else number
    assert (await public_target("https://ehr.example.org/x")).url.startswith(f"https://{host.split('.8')[0][:8]}")


async def test_a_name_that_answers_differently_the_second_time_is_looked_up_once(
    resolve: Callable[..., list[str]],
) -> None:
    """DNS rebinding: what was judged is what is connected to."""
    asked = resolve(("8.8.8.8",), ("127.0.0.1",))
    target = await public_target("https://ehr.example.org/x")
    assert (target.url, asked) == ("https://8.8.8.8:443/x", ["ehr.example.org"])


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[tuple[str, list[bytes], Path]]:
    """A server on this machine that leads everybody to itself again, by a certificate that it made itself."""
    certificate = _self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        seen.append(line)
        writer.write(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"https://localhost:{port}/first", seen, certificate


async def test_a_certificate_that_nobody_vouches_for_is_refused(inside: tuple[str, list[bytes], Path]) -> None:
    url, seen, _ = inside
    async with http_client() as plain, guarded_client(lambda url: True) as guarded:
        for client in (plain, guarded):
            with pytest.raises(HttpError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(url)
    assert seen == []


async def test_an_answer_that_leads_elsewhere_is_where_it_ends(
    inside: tuple[str, list[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, seen, certificate = inside
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr("stepwell_shared.http_client._trust", httpx.create_ssl_context)  # not what the process has read
    async with guarded_client(lambda url: True) as guarded:
        assert (await guarded.get(url)).status_code == 307
    assert [line.split()[1] for line in seen] == [b"/first"]


def _self_signed(folder: Path) -> Path:
    """Key and certificate of localhost in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "localhost.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
