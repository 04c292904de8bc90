"""The door: what is refused before anything looks at it, what it costs, and what is never refused."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from stepwell_shared.door import Guard, Limits
from stepwell_shared.marks import BODY_IS_HERE, WHOLE_ANSWER
from stepwell_shared.urgent import Test

NO_MARKS: Mapping[str, object] = {}
LIMITS = Limits(
    body_bytes_max=100, body_seconds_max=0.1, in_flight_max=2, reserve=1, reserved=frozenset({"/notifications"})
)


def help_at_in(method: str, path: str) -> Test | None:
    """A call for help cannot wait, at one address."""
    return (lambda body: body == b"help") if (method, path) == ("POST", "/in") else None


class Client:
    """One request spoken in ASGI messages. Without parts that end, it keeps the server waiting."""

    def __init__(self, *parts: tuple[bytes, bool], marks: Mapping[str, object] = NO_MARKS) -> None:
        self.parts = list(parts)
        self.marks = marks  # of the connection, in the scope
        self.taken = 0
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if not self.parts:
            await asyncio.sleep(60)
        body, more = self.parts.pop(0)
        self.taken += len(body)
        return {"type": "http.request", "body": body, "more_body": more}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def ask(
        self, guard: Guard, method: str = "POST", path: str = "/x", query: bytes = b"", **headers: str
    ) -> None:
        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query}
        await guard({**scope, **self.marks, "headers": pairs}, self.receive, self.send)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    def header(self, name: str) -> str:
        found: bytes = dict(self.sent[0]["headers"]).get(name.encode(), b"")
        return found.decode()

    def outcome(self) -> dict[str, Any]:
        """The refusal; it is FHIR and has a request id."""
        outcome: dict[str, Any] = json.loads(b"".join(each.get("body", b"") for each in self.sent[1:]))
        assert outcome["resourceType"] == "OperationOutcome"
        assert self.header("x-request-id")
        return outcome


def notes(found: list[bool]) -> ASGIApp:
    """An application that notes whether it may answer with one message, and answers with two."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(WHOLE_ANSWER in scope)
        await reads_nothing(scope, receive, send)

    return application


async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that reads its body and says how long it was."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


async def reads_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 401, "headers": [(b"connection", b"keep-alive")]})
    await send({"type": "http.response.body", "body": b"no"})


def waits_for(opened: asyncio.Event) -> Callable[[Scope, Receive, Send], Any]:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await opened.wait()
        await reads_nothing(scope, receive, send)

    return application


class TestBodies:
    async def test_bytes_are_counted_whatever_the_headers_say(self) -> None:
        client = Client(*[(b"x" * 40, True)] * 1000)
        await client.ask(Guard(reads_all, replace(LIMITS, body_seconds_max=5)), content_length="10")
        assert client.status == 413
        assert client.outcome()["issue"][0]["code"] == "too-long"
        assert client.header("connection") == "close"

    @pytest.mark.parametrize(
        ("size", "is_left"), [(0, True), (100, True), (101, False), (None, False)], ids=["none", "most", "more", "late"]
    )
    async def test_an_answer_is_one_message_where_nothing_of_the_body_is_left_to_read(
        self, size: int | None, *, is_left: bool
    ) -> None:
        here = {} if size is None else {BODY_IS_HERE: size}
        client, found = Client((b"", False), marks={WHOLE_ANSWER: True, **here}), list[bool]()
        await client.ask(Guard(notes(found), LIMITS))
        assert (client.status, found) == (401, [is_left])

    @pytest.mark.parametrize("marks", [{}, {BODY_IS_HERE: 101}], ids=["late", "here"])
    async def test_a_body_that_is_here_is_counted_too(self, marks: dict[str, object]) -> None:
        client = Client((b"x" * 101, False), marks=marks)
        await client.ask(Guard(reads_all, LIMITS), transfer_encoding="chunked")
        assert client.status == 413

    @pytest.mark.parametrize("length", ["101", "9" * 400])
    async def test_an_announced_length_beyond_the_limit_is_refused_unseen(self, length: str) -> None:
        client = Client((b"", False))
        await client.ask(Guard(reads_all, LIMITS), content_length=length)
        assert client.status == 413

    async def test_a_path_has_its_own_limit(self) -> None:
        client = Client((b"x" * 200, False))
        await client.ask(Guard(reads_all, replace(LIMITS, body_bytes_max_at={"/x": 200})), content_length="200")
        assert client.status == 200

    async def test_a_body_that_trickles_ends_at_the_deadline_however_often_it_moves(self) -> None:
        class Trickle(Client):
            async def receive(self) -> Message:
                await asyncio.sleep(0.03)
                return {"type": "http.request", "body": b"x", "more_body": True}

        client = Trickle()
        started = asyncio.get_running_loop().time()
        await client.ask(Guard(reads_all, LIMITS), transfer_encoding="chunked")
        assert client.status == 408
        assert client.outcome()["issue"][0]["code"] == "timeout"
        assert client.header("connection") == "close"
        assert asyncio.get_running_loop().time() - started < 5

    async def test_a_cancelled_request_is_cancelled_and_not_late(self) -> None:
        task = asyncio.create_task(Client().ask(Guard(reads_all, LIMITS), transfer_encoding="chunked"))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    @pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "x-anything", "gzip, identity"])
    async def test_a_packed_body_is_not_unpacked(self, encoding: str) -> None:
        client = Client((b"x", False))
        await client.ask(Guard(reads_all, LIMITS), content_encoding=encoding, content_length="1")
        assert client.status == 415
        assert client.header("accept-encoding") == "identity"

    async def test_two_ways_to_say_where_a_body_ends_are_refused(self) -> None:
        client = Client((b"x", False))
        await client.ask(Guard(reads_all, LIMITS), content_length="1", transfer_encoding="chunked")
        assert client.status == 400

    async def test_half_bodies_of_all_clients_together_are_bounded(self) -> None:
        guard = Guard(reads_all, replace(LIMITS, partial_bytes_max=100, body_seconds_max=5))
        first = Client((b"x" * 60, True))
        waiting = asyncio.create_task(first.ask(guard, transfer_encoding="chunked"))
        await asyncio.sleep(0.01)
        second = Client((b"x" * 60, True), (b"", False))
        await second.ask(guard, transfer_encoding="chunked")
        assert second.status == 503
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert guard.partial_bytes == 0


class TestConnections:
    async def test_a_body_that_had_arrived_is_forgotten_and_the_connection_stays(self) -> None:
        client = Client((b"xxxxx", False))
        await client.ask(Guard(reads_nothing, LIMITS), content_length="5")
        assert client.header("connection") == "keep-alive"

    async def test_an_answer_before_the_body_closes_the_connection_after_a_while(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("stepwell_shared.door.LINGER_SECONDS", 0.05)
        client = Client((b"x", True))
        await client.ask(Guard(reads_nothing, LIMITS), content_length="50")
        assert [value for name, value in client.sent[0]["headers"] if name == b"connection"] == [b"close"]
        # The whole answer is out before we linger, and the last message ends it.
        assert [(each["body"], each.get("more_body", False)) for each in client.sent[1:]] == [
            (b"no", True),
            (b"", False),
        ]

    async def test_lingering_for_a_client_that_never_stops_has_an_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("stepwell_shared.door.LINGER_BYTES_MAX", 1_000_000)
        client = Client(*[(b"x" * 1000, True)] * 5000)
        await client.ask(Guard(reads_nothing, LIMITS), transfer_encoding="chunked")
        assert client.taken < 1_200_000


class TestHeads:
    async def test_too_many_headers_are_refused(self) -> None:
        client = Client()
        await client.ask(Guard(reads_all, LIMITS), "GET", "/x", b"", **{f"x_{number}": "1" for number in range(101)})
        assert client.status == 431

    async def test_headers_too_long_are_refused(self) -> None:
        client = Client()
        await client.ask(Guard(reads_all, LIMITS), "GET", x="y" * 40_000)
        assert client.status == 431
        assert client.outcome()["issue"][0]["code"] == "too-long"

    @pytest.mark.parametrize(("path", "query"), [("/" + "a" * 20_000, b""), ("/x", b"a=" + b"b" * 20_000)])
    async def test_an_address_too_long_is_refused(self, path: str, query: bytes) -> None:
        client = Client()
        await client.ask(Guard(reads_all, LIMITS), "GET", path, query)
        assert client.status == 414
        assert "_search" in client.outcome()["issue"][0]["diagnostics"]

    @pytest.mark.parametrize(("given", "is_kept"), [("abc-1", True), ("a b", False), ("x" * 65, False)])
    async def test_a_request_id_is_echoed_if_it_is_one(self, given: str, *, is_kept: bool) -> None:
        client = Client()
        await client.ask(Guard(reads_all, LIMITS), "GET", query=b"a" * 20_000, x_request_id=given)
        assert (client.header("x-request-id") == given) is is_kept

    async def test_a_refusal_of_head_has_no_body(self) -> None:
        client = Client()
        await client.ask(Guard(reads_all, LIMITS), "HEAD", query=b"a" * 20_000)
        assert client.sent[1]["body"] == b""


class TestRoom:
    async def test_1_6_beyond_its_room_a_process_says_so_at_once(self) -> None:
        opened = asyncio.Event()
        guard = Guard(waits_for(opened), LIMITS)
        inside = [asyncio.create_task(Client().ask(guard, "GET")) for _ in range(2)]
        await asyncio.sleep(0)
        turned_away = Client()
        await turned_away.ask(guard, "GET")
        assert turned_away.status == 503
        assert turned_away.header("retry-after")
        assert turned_away.outcome()["issue"][0]["code"] == "transient"
        opened.set()
        await asyncio.gather(*inside)
        assert guard.in_flight == 0

    async def test_health_and_notifications_are_let_in_when_others_are_not(self) -> None:
        opened = asyncio.Event()
        guard = Guard(waits_for(opened), LIMITS)
        asked = [asyncio.create_task(Client().ask(guard, "GET")) for _ in range(2)]
        await asyncio.sleep(0)
        clients = [Client(), Client(), Client((b"", False))]
        paths = ["/livez", "/readyz", "/notifications"]
        asked += [asyncio.create_task(each.ask(guard, path=path)) for each, path in zip(clients, paths, strict=True)]
        await asyncio.sleep(0)
        another = Client((b"", False))
        await another.ask(guard, path="/notifications")
        opened.set()
        await asyncio.gather(*asked)
        assert [each.status for each in clients] == [401] * 3
        assert another.status == 503  # the reserve has an end too

    async def test_what_cannot_wait_is_let_in_when_there_is_no_room_and_has_an_end_too(self) -> None:
        opened = asyncio.Event()
        limits = replace(LIMITS, urgent=help_at_in, urgent_max=1)

        async def reads_then_waits(scope: Scope, receive: Receive, send: Send) -> None:
            answer: list[Message] = []

            async def keep(message: Message) -> None:
                answer.append(message)

            await reads_all(scope, receive, keep)
            await opened.wait()
            for message in answer:
                await send(message)

        guard = Guard(reads_then_waits, limits)
        inside = [Client((b"x", False)), Client((b"x", False))]
        asked = [asyncio.create_task(each.ask(guard, path="/in", content_length="1")) for each in inside]
        await asyncio.sleep(0)
        other, urgent, late = Client((b"x", False)), Client((b"he", True), (b"lp", False)), Client((b"help", False))
        await other.ask(guard, path="/in", content_length="1")
        asked.append(asyncio.create_task(urgent.ask(guard, path="/in", content_length="4")))
        await asyncio.sleep(0.01)
        await late.ask(guard, path="/in", content_length="4")
        opened.set()
        await asyncio.gather(*asked)
        assert (other.status, urgent.status, late.status) == (503, 200, 503)
        assert urgent.sent[1]["body"] == b"4"  # the application got all of it
        assert (guard.in_flight, guard.urgent, guard.partial_bytes) == (0, 0, 0)

    async def test_waiting_for_slow_clients_takes_no_room(self) -> None:
        guard = Guard(reads_all, replace(LIMITS, body_seconds_max=5))
        slow = [asyncio.create_task(Client((b"x", True)).ask(guard, transfer_encoding="chunked")) for _ in range(50)]
        await asyncio.sleep(0.01)
        assert guard.in_flight == 0
        other = Client((b"x", False))
        await other.ask(guard, content_length="1")
        assert other.status == 200
        for each in slow:
            each.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        assert (guard.in_flight, guard.partial_bytes) == (0, 0)

    async def test_a_failing_application_gives_its_room_back(self) -> None:
        async def fails(scope: Scope, receive: Receive, send: Send) -> None:
            raise RuntimeError

        guard = Guard(fails, LIMITS)
        with pytest.raises(RuntimeError):
            await Client().ask(guard, "GET")
        assert guard.in_flight == 0
