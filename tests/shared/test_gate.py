"""The gate: who is refused before the application is entered, how that is said, and who is let in all the same."""

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.auth.shares import Shares
from stepwell_shared.connections import BoundedProtocol, Standing
from stepwell_shared.door import Guard, Limits
from stepwell_shared.gate import ROOM_MIN, TURN_SECONDS_MAX, Gate
from stepwell_shared.urgent import Urgent

from tests.shared.test_connections import Wire

LIMITS = Limits(
    body_bytes_max=1_000_000,
    body_seconds_max=5,
    in_flight_max=100,
    reserved=frozenset({"/notifications"}),
    urgent=Urgent("/fhir", {"Form": lambda body: b"help" in body}),
    urgent_max=1,
)
CALLER = Caller("north", "north.ehr", Scopes.parse("system/*.cruds"), "token")


class Flowing(Wire):
    """A wire whose reading can be held, and whose end can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Event()

    def pause_reading(self) -> None:
        return None

    def close(self) -> None:
        super().close()
        self.ended.set()


class Served:
    """One connection to a process with a gate. The application notes what it is asked: method, path, bytes."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.entered: list[tuple[str, str, int]] = []
        self.guard = Guard(self._application, limits)
        self.gate = Gate(self.guard)
        self.shares = Shares(1_000, 50)
        self.gate.open_for(self.shares, 0.5, "/fhir/", ["/fhir/metadata"])
        config = uvicorn.Config(self.guard, http=BoundedProtocol, lifespan="off", log_config=None, ws="none")
        config.load()
        self.standing, self.wire = Standing(), Flowing()
        self.standing.gate = self.gate
        self.protocol = BoundedProtocol(config, self.standing, {})
        self.protocol.connection_made(self.wire)  # type: ignore[arg-type]  # as much of a transport as it uses

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        self.entered.append((scope["method"], scope["path"], size))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def fill(self) -> None:
        """From now on there is no room."""
        self.guard.in_flight = self.guard.limits.in_flight_max

    async def ask(self, *parts: bytes) -> list[int]:
        """Sends these bytes; the statuses of what was answered to them."""
        self.wire.writes.clear()
        for part in parts:
            self.protocol.data_received(part)
        async with asyncio.timeout(20):
            await asyncio.gather(*self.standing.tasks)
        return [int(each[9:12]) for each in self.wire.writes if each.startswith(b"HTTP/1.1 ")]


def request(
    method: str = "GET", path: str = "/fhir/Patient", body: bytes = b"", *headers: str, version: str = "1.1"
) -> bytes:
    lines = [
        f"{method} {path} HTTP/{version}",
        "Host: x",
        *headers,
        *([f"Content-Length: {len(body)}"] if body else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def test_beyond_its_room_nothing_is_entered_and_the_refusal_is_a_whole_outcome() -> None:
    served = Served()
    assert await served.ask(request()) == [200]
    served.fill()
    assert await served.ask(request("GET", "/fhir/Patient", b"", "X-Request-Id: abc-1")) == [503]
    head, _, body = served.wire.writes[0].partition(b"\r\n\r\n")
    lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert lines[b"x-request-id"] == b"abc-1"
    assert lines[b"retry-after"] == b"1"
    assert lines[b"content-length"] == str(len(body)).encode()
    outcome: dict[str, Any] = json.loads(body)
    assert (outcome["resourceType"], outcome["issue"][0]["code"]) == ("OperationOutcome", "transient")
    served.guard.in_flight = 0
    assert await served.ask(request()) == [200]  # the connection goes on
    assert [path for _, path, _ in served.entered] == ["/fhir/Patient"] * 2
    assert served.guard.refused == {"unavailable": 1}


async def test_each_of_several_requests_in_one_read_is_refused_and_head_gets_no_body() -> None:
    served = Served()
    served.fill()
    assert await served.ask(request("PUT", "/fhir/Patient/1", b"{}") + request("HEAD")) == [503, 503]
    assert served.wire.writes[0].endswith(b"}")
    assert served.wire.writes[1].endswith(b"\r\n\r\n")
    assert not served.wire.is_closed


@pytest.mark.parametrize(("headers", "version"), [(["Connection: close"], "1.1"), ([], "1.0")])
async def test_a_client_that_does_not_stay_is_let_go(headers: Sequence[str], version: str) -> None:
    served = Served()
    served.fill()
    assert await served.ask(request("GET", "/fhir/Patient", b"", *headers, version=version)) == [503]
    assert b"\r\nconnection: close\r\n" in served.wire.writes[0]
    assert served.wire.is_closed


async def test_health_what_services_tell_each_other_and_odd_addresses_are_for_the_guard() -> None:
    served = Served()
    served.fill()
    for path in ("/livez", "/readyz", "/notifications"):
        assert await served.ask(request("POST", path, b"{}")) == [200]
    assert await served.ask(request("POST", "/fhir/%46orm", b"help")) == [200]
    assert await served.ask(request("POST", "/fhir/Form", b"x" * 100_000)) == [503]
    assert len(served.entered) == 4


@pytest.mark.parametrize("cut", [0, 5, 60, 101])
async def test_what_cannot_wait_is_let_in_however_its_bytes_arrive(cut: int) -> None:
    served = Served()
    served.fill()
    whole = request("POST", "/fhir/Form", b"please help")
    assert await served.ask(whole[: cut % len(whole)], whole[cut % len(whole) :]) == [200]
    assert served.entered == [("POST", "/fhir/Form", 11)]
    assert b"connection: close" not in served.wire.writes[0]
    assert await served.ask(request("POST", "/fhir/Form", b"no hurry")) == [503]
    assert await served.ask(request("PUT", "/fhir/Form/1", b"no hurry")) == [503]
    assert await served.ask(request("PUT", "/fhir/Patient/1", b"please help")) == [503]
    assert await served.ask(request("GET", "/fhir/Form/1", b"please help")) == [503]
    assert (served.guard.urgent, served.guard.urgent_bytes, served.guard.entering) == (0, 0, 0)


async def test_what_cannot_wait_is_let_in_however_it_is_sent() -> None:
    served = Served()
    served.fill()
    calm, urgent = (
        json.dumps({"entry": [{"resource": {"resourceType": "Form", "text": text}}]}).encode()
        for text in ("no hurry", "help")
    )
    for base in ("/fhir", "/fhir/"):
        assert await served.ask(request("POST", base, calm)) == [503]
        assert await served.ask(request("POST", base, urgent)) == [200]
    for method, path in (("PUT", "/fhir/Form/1"), ("PUT", "/fhir/Form?identifier=1"), ("PATCH", "/fhir/Form/1")):
        assert await served.ask(request(method, path, b"help")) == [200]
    assert len(served.entered) == 5
    assert (served.guard.urgent, served.guard.urgent_bytes, served.guard.entering) == (0, 0, 0)


@pytest.mark.parametrize("limits", [replace(LIMITS, urgent_max=0), replace(LIMITS, urgent_bytes_max=10)])
async def test_beyond_the_memory_for_it_what_cannot_wait_has_to_come_again_too(limits: Limits) -> None:
    served = Served(limits)
    served.fill()
    assert await served.ask(request("POST", "/fhir/Form", b"please help")) == [503]
    assert served.entered == []


async def test_a_body_that_stays_away_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepwell_shared.connections.HEAD_SECONDS_MAX", 0.02)
    served = Served()
    served.fill()
    await served.ask(request("POST", "/fhir/Form", b"please help")[:-3])
    async with asyncio.timeout(20):
        await served.wire.ended.wait()
    assert [each[9:12] for each in served.wire.writes] == [b"408"]
    assert served.entered == []


async def test_who_is_refused_again_and_again_keeps_the_connection_and_who_falls_silent_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stepwell_shared.connections.HEAD_SECONDS_MAX", 0.2)
    served = Served()
    served.fill()
    for _ in range(40):
        assert await served.ask(request()) == [503]
        await asyncio.sleep(0.01)
    async with asyncio.timeout(20):
        await served.wire.ended.wait()


async def test_a_client_beyond_its_share_is_refused_here_once_the_door_knows_who_it_is() -> None:
    served = Served()
    asked = request("GET", "/fhir/Patient", b"", "Authorization: Bearer a")
    assert await served.ask(asked) == [200]
    held = [served.shares.take(CALLER) for _ in range(50)]
    assert None not in held
    served.shares.refusal(CALLER, "Bearer a")
    assert await served.ask(asked) == [429]
    assert b"\r\nretry-after: 1\r\n" in served.wire.writes[0]
    assert await served.ask(request("POST", "/fhir/Form", b"help", "Authorization: Bearer a")) == [200]
    assert await served.ask(request("GET", "/fhir/metadata", b"", "Authorization: Bearer a")) == [200]
    assert await served.ask(request("GET", "/fhir/Patient", b"", "Authorization: Bearer b")) == [200]
    assert await served.ask(request()) == [200]
    assert served.guard.refused == {"throttled": 1}
    held[0].give_back()  # type: ignore[union-attr]  # there is none that is None
    assert await served.ask(asked) == [200]


async def test_while_the_loop_turns_slowly_fewer_are_worked_on_and_later_as_many_as_before() -> None:
    served = Served()
    gate, guard = served.gate, served.guard
    for _ in range(20):
        gate.turned(2 * TURN_SECONDS_MAX)
    assert guard.room == ROOM_MIN
    assert served.shares.at_work_max == ROOM_MIN // 2
    gate.turned(TURN_SECONDS_MAX * 0.7)
    assert guard.room == ROOM_MIN
    for _ in range(20):
        gate.turned(0.001)
    assert guard.room == LIMITS.in_flight_max
    assert served.shares.at_work_max == LIMITS.in_flight_max // 2
    guard.room = ROOM_MIN
    gate.shrank_at = -math.inf
    guard.in_flight = ROOM_MIN
    assert await served.ask(request()) == [200]
    assert guard.room == LIMITS.in_flight_max


async def test_the_turn_of_the_loop_in_which_somebody_is_refused_is_measured_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = Served()
    served.fill()
    told: list[float] = []
    monkeypatch.setattr(served.gate, "turned", told.append)
    await served.ask(request())
    for _ in range(4):
        await asyncio.sleep(0)
    assert len(told) == 1
    await asyncio.sleep(0.01)
    assert len(told) == 1  # nothing goes on turning
