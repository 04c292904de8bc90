"""A real HTTP subscriber that keeps what it is told and answers as a test wants, and what a test announces to it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import uvicorn
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import Database
from stepwell_shared.events.outbox import Entry, decode_payload, event
from stepwell_shared.events.topics import Topic

from tests.support.waiting import until

BASE_URL = "http://screening.test/screening/fhir"
SCORES = Topic("score-finalized", ("QuestionnaireResponse",), ("patient",), "a response was scored")
ALERTS = Topic("safety-alert", ("Task",), (), "a safety item needs a person")
RECORDED = datetime(2026, 11, 21, 20, 54, tzinfo=UTC)

Answering = Callable[["Told"], Awaitable[tuple[int, bytes]]]


@dataclass(frozen=True)
class Told:
    """One POST as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def bundle(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    def value(self, name: str) -> str:
        """A value of the subscription status."""
        parameters = self.bundle["entry"][0]["resource"]["parameter"]
        parameter = next(p for p in parameters if p["name"] == name)
        return str(next(value for key, value in parameter.items() if key.startswith("value")))

    @property
    def events(self) -> list[tuple[int, str]]:
        """Number and focus id of each event, in order."""
        events = []
        for parameter in self.bundle["entry"][0]["resource"]["parameter"]:
            if parameter["name"] == "notification-event":
                parts = {part["name"]: part for part in parameter["part"]}
                focus = parts["focus"]["valueReference"]["reference"]
                events.append((int(parts["event-number"]["valueString"]), focus.rpartition("/")[2]))
        return events


def refusal(told: Told) -> tuple[int, bytes]:
    """A 422 that points at the event."""
    issue = {"severity": "error", "code": "business-rule", "expression": ["Bundle.entry[1]"], "diagnostics": "no"}
    return 422, json.dumps({"resourceType": "OperationOutcome", "issue": [issue]}).encode()


class Subscriber:
    """Where notifications arrive; `answering` decides each answer."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.in_flight = 0
        self.in_flight_max = 0
        self.answering: Answering = self.accept
        # Bound from the start, so that connections are refused while it is away and nobody else takes the port.
        # asyncio sends at once (TCP_NODELAY) only where the protocol is named; else every answer takes 40 ms.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Gives the port back; whoever was never up must be closed."""
        self._socket.close()

    @staticmethod
    async def accept(_told: Told) -> tuple[int, bytes]:
        return 200, b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/notifications"

    @property
    def events(self) -> list[tuple[int, str]]:
        """Every event that arrived, also in notifications that were refused."""
        return [event for told in self.told for event in told.events]

    async def heard(self, count: int, seconds: float = 60) -> list[tuple[int, str]]:
        """Waits until so many events arrived."""
        await until(lambda: len(self.events) >= count, seconds)
        return self.events

    @asynccontextmanager
    async def up(self) -> AsyncIterator["Subscriber"]:
        """Listening on its port while the context lasts, once."""
        config = uvicorn.Config(self._app, interface="asgi3", lifespan="off", ws="none", log_level="critical")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve([self._socket]))
        try:
            yield self
        finally:
            server.should_exit = server.force_exit = True
            await serving

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        told = Told(scope["path"], headers, body)
        self.told.append(told)
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        try:
            status, answer = await self.answering(told)
        finally:
            self.in_flight -= 1
        with contextlib.suppress(Exception):  # the caller may have gone
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": answer})


def scored(response_id: str, patient: str, *, topic: Topic = SCORES, body: bytes | None = None) -> Effect:
    """An event about one questionnaire response of a patient."""
    resource = (
        body
        or json.dumps(
            {"resourceType": "QuestionnaireResponse", "id": response_id, "subject": {"reference": f"Patient/{patient}"}}
        ).encode()
    )
    focus = f"QuestionnaireResponse/{response_id}"
    return event(topic.canonical, f"Patient/{patient}", focus, [(f"{BASE_URL}/{focus}", resource)], RECORDED)


def entries_of(effect: Effect) -> Sequence[Entry]:
    """What lies in the payload of an event."""
    payload = effect.values[3]
    assert isinstance(payload, bytes)
    return decode_payload(payload)


async def write(connection: Any, tenant: str, effect: Effect) -> None:
    """Stores an effect the way the write path does."""
    arrays = [[value] for value in effect.values]
    places = ", ".join(f"${n}" for n in range(2, len(arrays) + 2))
    await connection.fetch(f"SELECT insert_{effect.table}($1, {places})", tenant, *arrays)


async def announce(database: Database, tenant: str, *effects: Effect) -> None:
    """Each effect in a transaction of its own."""
    for effect in effects:
        await write(database, tenant, effect)
