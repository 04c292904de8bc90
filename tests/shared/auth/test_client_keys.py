"""Keys that a client publishes at its own URL: where we do not go, and how long we believe what we read."""

from collections.abc import AsyncIterator

import httpx
import pytest
from joserfc.jwk import ECKey
from stepwell_shared.auth.client_keys import RETRY_SECONDS, ClientKeys
from stepwell_shared.auth.clients import Client
from stepwell_shared.auth.fetching import BYTES_MAX, FetchError, fetch_json
from stepwell_shared.auth.keys import public_key_set
from stepwell_shared.auth.scopes import Scopes

from tests.shared.auth.parties import NORTH, SOUTH, Clock, ec_key

URL = "https://ehr.example/jwks.json"


class Publisher:
    """A client's key page, which counts its visitors."""

    def __init__(self) -> None:
        self.key: ECKey = ec_key()
        self.headers: dict[str, str] = {}
        self.content: bytes | None = None
        self.status = 200
        self.visitors: list[httpx.Request] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.visitors.append(request)
        if self.content is not None:
            return httpx.Response(self.status, content=self.content, headers=self.headers)
        return httpx.Response(self.status, json=public_key_set([self.key]), headers=self.headers)


@pytest.fixture
def publisher() -> Publisher:
    return Publisher()


@pytest.fixture
async def outside(publisher: Publisher) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(publisher.answer)) as client:
        yield client


def client_of(client_id: str, url: str = URL) -> Client:
    return Client(client_id, Scopes.parse("system/Patient.rs"), jwks_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "http://ehr.example/jwks.json",
        "ftp://ehr.example/jwks.json",
        "https://127.0.0.1/jwks.json",
        "https://localhost/jwks.json",
        "https://[::1]/jwks.json",
        "https://[::ffff:127.0.0.1]/jwks.json",
        "https://10.0.0.1/jwks.json",
        "https://169.254.169.254/latest/meta-data",
        "https://192.168.1.1:8443/",
        "https://0.0.0.0/",
        "https://2130706433/",
        "https://224.0.0.1/",
        "https://[fd00::1]/",
        "https://user:secret@8.8.8.8/",
        "https:///nowhere",
        "https://[broken/",
    ],
)
async def test_no_url_leads_into_our_own_network(outside: httpx.AsyncClient, publisher: Publisher, url: str) -> None:
    with pytest.raises(FetchError):
        await fetch_json(outside, url)
    assert publisher.visitors == []


async def test_the_address_that_was_checked_is_the_one_that_is_visited(
    outside: httpx.AsyncClient, publisher: Publisher
) -> None:
    fetched = await fetch_json(outside, "https://8.8.8.8:8443/keys?a=b#c")
    [visitor] = publisher.visitors
    assert (str(visitor.url), visitor.headers["host"]) == ("https://8.8.8.8:8443/keys?a=b", "8.8.8.8:8443")
    assert visitor.extensions["sni_hostname"] == "8.8.8.8"
    assert fetched.content == public_key_set([publisher.key])


@pytest.mark.parametrize(
    ("content", "status", "headers"),
    [
        (b"<html>", 200, {}),
        (b" " * (BYTES_MAX + 1), 200, {}),
        (b"{}", 404, {}),
        (b"", 302, {"location": "http://127.0.0.1/"}),
        (b"[" * 50_000, 200, {}),
        (b"{}", 200, {}),
    ],
    ids=["html", "large", "missing", "redirect", "deep", "no set"],
)
async def test_an_answer_that_is_no_key_set_is_refused(
    outside: httpx.AsyncClient, publisher: Publisher, content: bytes, status: int, headers: dict[str, str]
) -> None:
    publisher.content, publisher.status, publisher.headers = content, status, headers
    keys = ClientKeys(outside, guarded=False)
    with pytest.raises(FetchError):
        await keys.find(client_of(NORTH), "any", "ES384")
    assert len(publisher.visitors) == 1


async def test_unknown_key_ids_ask_once_in_a_while(outside: httpx.AsyncClient, publisher: Publisher) -> None:
    clock = Clock()
    keys = ClientKeys(outside, guarded=False, clock=clock)
    for _ in range(5):
        assert await keys.find(client_of(NORTH), "unknown", "ES384") is None
    assert len(publisher.visitors) == 1
    clock.now += RETRY_SECONDS
    assert await keys.find(client_of(NORTH), str(publisher.key.kid), "ES384") is not None


@pytest.mark.parametrize(
    ("cache_control", "seconds", "visits"),
    [("max-age=60", 59, 1), ("max-age=60", 60, 2), ("max-age=86400", 300, 2), ("no-store", 0, 2), ("", 299, 1)],
)
async def test_keys_are_kept_no_longer_than_their_owner_allows(
    outside: httpx.AsyncClient, publisher: Publisher, cache_control: str, seconds: int, visits: int
) -> None:
    clock = Clock()
    publisher.headers = {"cache-control": cache_control}
    keys = ClientKeys(outside, guarded=False, clock=clock)
    for _ in range(2):
        assert await keys.find(client_of(SOUTH), str(publisher.key.kid), "ES384") is not None
        clock.now += seconds
    assert len(publisher.visitors) == visits


async def test_a_rotated_key_is_found_at_its_first_use(outside: httpx.AsyncClient, publisher: Publisher) -> None:
    keys = ClientKeys(outside, guarded=False, clock=Clock())
    assert await keys.find(client_of(NORTH), str(publisher.key.kid), "ES384") is not None
    publisher.key = ec_key()
    assert await keys.find(client_of(NORTH), str(publisher.key.kid), "ES384") is not None
