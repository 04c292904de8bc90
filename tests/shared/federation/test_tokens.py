"""Promises of our tokens at partners: whatever the clocks say, and never sent where the partner is not."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest
from stepwell_shared.auth.keys import make_private_key
from stepwell_shared.auth.signatures import read_unverified
from stepwell_shared.federation.tokens import PartnerTokens
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.http_client import guarded_client

from tests.shared.federation.pairs import hub

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0


class IssuerOfHub:
    """The hub's token endpoint: takes assertions that are young by its own clock."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.asked = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        (assertion,) = parse_qs(request.content.decode())["client_assertion"]
        claims = read_unverified(assertion).claims
        headers = {"Date": format_datetime(datetime.fromtimestamp(self.now, UTC), usegmt=True)}
        if not self.now - 30 <= claims["exp"] <= self.now + 330:
            return httpx.Response(401, json={"error": "invalid_client"}, headers=headers)
        return httpx.Response(200, json={"access_token": f"token-{self.asked}", "expires_in": 300}, headers=headers)


def tokens_of(
    answer: Callable[[httpx.Request], httpx.Response], folder: Path, clock: Callable[[], float] = lambda: 1000.0
) -> PartnerTokens:
    key_file = folder / "key.jwk"
    make_private_key(key_file)
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return PartnerTokens(http, key_file, wall_clock=lambda: NOW, clock=clock)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(401, json={"error": "invalid_client"}),
        httpx.Response(401, json={"error": "invalid_client"}, headers={"Date": "yesterday"}),
        httpx.Response(200, text="<html>sign in to this network</html>"),
        httpx.Response(503),
    ],
)
async def test_no_token_is_something_that_passes(answer: httpx.Response, tmp_path: Path) -> None:
    with pytest.raises(FhirError) as none:
        await tokens_of(lambda request: answer, tmp_path).token_for(hub())
    assert none.value.category is Category.UNAVAILABLE


async def test_a_guarded_client_calls_nobody_inside_a_network() -> None:
    async with guarded_client(lambda url: False) as http:
        for url in ("http://127.0.0.1:9/token", "https://127.0.0.1:9/token", "https://localhost/token"):
            with pytest.raises(httpx.TransportError, match=r"public internet|must be an https URL"):
                await http.post(url)


async def test_a_guarded_client_calls_what_is_configured() -> None:
    async with guarded_client(lambda url: url.startswith("http://127.0.0.1:9/")) as http:
        with pytest.raises(httpx.ConnectError):
            await http.post("http://127.0.0.1:9/token")


@pytest.mark.parametrize("skew_days", [-3, -0.01, 0, 0.01, 3])
async def test_a_clock_that_is_days_off_costs_one_more_question(skew_days: float, tmp_path: Path) -> None:
    issuer = IssuerOfHub(NOW + skew_days * DAY)
    tokens = tokens_of(issuer, tmp_path)
    assert await tokens.token_for(hub()) == f"token-{issuer.asked}"
    asked = issuer.asked
    assert asked == (2 if abs(skew_days) > 0.005 else 1)
    assert await tokens.token_for(hub()) == f"token-{asked}"
    tokens.forget(hub())
    assert await tokens.token_for(hub()) == f"token-{asked + 1}"
    assert issuer.asked == asked + 1


async def test_a_token_in_hand_is_used_to_its_end_when_the_issuer_is_away(tmp_path: Path) -> None:
    moments = iter([0.0, 0.0, 250.0, 250.0, 301.0, 301.0])
    issuer = IssuerOfHub(NOW)
    is_away = False

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503) if is_away else issuer(request)

    tokens = tokens_of(answer, tmp_path, lambda: next(moments))
    assert await tokens.token_for(hub()) == "token-1"
    is_away = True
    assert await tokens.token_for(hub()) == "token-1"
    with pytest.raises(FhirError):
        await tokens.token_for(hub())
