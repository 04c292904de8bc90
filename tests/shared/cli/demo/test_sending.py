"""The demo's sender: it waits when it is asked to, says what to do when nobody answers, and stops at a refusal."""

import asyncio
from collections.abc import Callable, Iterator

import httpx
import pytest
from stepwell_shared.cli.asking import PatientClient
from stepwell_shared.cli.demo.sending import JSON_PATCH, NOBODY_ANSWERS, Sender
from stepwell_shared.cli.errors import SetupError

REFUSAL = {"issue": [{"details": {"text": "say the status"}, "expression": ["Task.status"]}]}

Answering = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, without waiting."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return found


def _sender(answering: Answering, *, patience_seconds: float = 60.0) -> Sender:
    async def token() -> str:
        return "t"

    http = httpx.AsyncClient(transport=httpx.MockTransport(answering))
    urls = {"referral": "http://here/referral/fhir"}
    return Sender(PatientClient(http, token, patience_seconds, asyncio.Semaphore(2), NOBODY_ANSWERS), urls)


def _in_turn(*answers: httpx.Response) -> Answering:
    left: Iterator[httpx.Response] = iter(answers)
    return lambda _: next(left)


def _nobody(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


async def test_nobody_there_is_a_sentence_that_says_how_to_start_a_suite() -> None:
    with pytest.raises(SetupError, match=r"stepwell run.*stepwell demo --embedded"):
        await _sender(_nobody).send("GET", "referral", "Task")


async def test_a_refusal_is_told_with_its_place_and_not_tried_again() -> None:
    sender = _sender(lambda _: httpx.Response(422, json=REFUSAL))
    with pytest.raises(SetupError, match=r"say the status \(Task.status\)"):
        await sender.send("POST", "referral", "Task", {})
    assert sender.client.requests == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_client_that_may_not_is_told_so_at_once(status: int) -> None:
    sender = _sender(lambda _: httpx.Response(status, json=REFUSAL))
    with pytest.raises(SetupError, match="does not let this client in"):
        await sender.send("GET", "referral", "Task")
    assert sender.client.requests == 1


async def test_a_service_that_says_later_for_too_long_is_left_for_another_run(slept: list[float]) -> None:
    sender = _sender(lambda _: httpx.Response(503), patience_seconds=0.0)
    with pytest.raises(SetupError, match="Run the same command again later"):
        await sender.send("GET", "referral", "Task")


async def test_it_comes_again_when_the_service_asks_it_to(slept: list[float]) -> None:
    later = httpx.Response(503, headers={"Retry-After": "7"})
    sender = _sender(_in_turn(later, httpx.Response(429), httpx.Response(200)))
    assert (await sender.send("GET", "referral", "Task")).status_code == 200
    assert slept[0] == 7
    assert slept[1] < 7
    assert sender.client.asked_to_wait == 2


async def test_a_status_that_the_caller_expects_is_an_answer() -> None:
    sender = _sender(lambda _: httpx.Response(422, json=REFUSAL))
    answer = await sender.send("POST", "referral", "", {}, allowed=frozenset({422}))
    assert answer.status_code == 422


async def test_a_patch_says_that_it_is_one() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["content-type"])
        return httpx.Response(200)

    await _sender(answer).send("PATCH", "referral", "Task/1", [])
    assert seen == [JSON_PATCH]
