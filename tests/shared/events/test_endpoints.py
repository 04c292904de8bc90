"""At every send an endpoint is looked up; only public addresses and configured hosts are called."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from stepwell_shared.database.pool import Database
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.events.subscriptions import state_of
from stepwell_shared.http_client import AddressError, public_target

from tests.shared.events.conftest import TENANTS, Start, rows_once
from tests.shared.events.subscriber import Subscriber, write
from tests.shared.events.test_subscriptions import STATE, subscription

A, _ = TENANTS


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes every name lead to these numbers."""

    def answer(*numbers: str) -> None:
        async def getaddrinfo(_loop: object, _host: str, port: int, **_: Any) -> list[Any]:
            if not numbers:
                raise socket.gaierror
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port)) for number in numbers]

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)

    return answer


@pytest.mark.parametrize(
    "numbers",
    [
        ("127.0.0.1",),
        ("10.0.0.1",),
        ("169.254.169.254",),
        ("224.0.0.1",),
        ("::1",),
        ("fe80::1%eth0",),
        ("::ffff:10.0.0.1",),
        ("93.184.215.14", "10.0.0.1"),
        (),
    ],
)
async def test_a_name_that_leads_inside_is_refused(resolve: Callable[..., None], numbers: tuple[str, ...]) -> None:
    resolve(*numbers)
    with pytest.raises(AddressError):
        await public_target("https://ehr.example.org/n")


@pytest.mark.parametrize(
    "url", ["http://ehr.example.org/n", "https://user:secret@ehr.example.org/n", "https://[/n", "x"]
)
async def test_an_address_that_is_no_plain_https_url_is_refused(resolve: Callable[..., None], url: str) -> None:
    resolve("93.184.215.14")
    with pytest.raises(AddressError):
        await public_target(url)


async def test_the_number_that_was_checked_is_the_one_that_is_called(resolve: Callable[..., None]) -> None:
    resolve("93.184.215.14")
    target = await public_target("https://ehr.example.org/n?a=b#c")
    assert target.url == "https://93.184.215.14:443/n?a=b"
    assert target.headers["Host"] == "ehr.example.org"
    assert target.extensions == {"sni_hostname": "ehr.example.org"}


async def test_an_endpoint_that_came_to_lead_inside_is_never_called(
    database: Database, subscriber: Subscriber, start: Start, resolve: Callable[..., None]
) -> None:
    endpoint = f"https://ehr.example.org:{subscriber.port}/n"
    await write(database, A, state_of(subscription(endpoint=endpoint)).effect())
    resolve("127.0.0.1")
    await start(endpoints=EndpointPolicy())
    rows = await rows_once(database, A, STATE, lambda rows: rows[0]["attempts"] > 0)
    assert rows[0]["last_error"] == "the endpoint is not an address on the public internet"
    assert subscriber.told == []
