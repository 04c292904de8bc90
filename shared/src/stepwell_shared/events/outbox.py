"""Announcing: an event as an outbox row that commits with its write, and the coalesced notice after the commit."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database

CHANNEL = "stepwell_outbox"
# A notice need not survive a crash, so that nothing waits for the disk.
NOTIFY = (
    "SELECT pg_notify($1, n) FROM set_config('synchronous_commit', 'off', true) AS quick, unnest($2::text[]) AS n"
    " WHERE quick IS NOT NULL"
)
PAUSE_SECONDS = 0.02

Resource = bytes | dict[str, Any]


class StoredEntry(msgspec.Struct, rename={"full_url": "fullUrl"}):
    """One resource of an event as it lies in the payload: its bytes are sent on without being parsed."""

    full_url: str
    resource: msgspec.Raw


_payload = msgspec.json.Decoder(list[StoredEntry])
_json = msgspec.json.Encoder(decimal_format="number")


def event(
    topic: str,
    subject: str,
    focus: str,
    entries: Iterable[tuple[str, Resource]],
    recorded: datetime,
    traceparent: str | None = None,
) -> Effect:
    """The outbox row of one event, to be handed over with the unit of work that causes it.

    `topic` is the canonical URL; `subject` the patient reference that keeps events in order; `focus` the
    relative reference of the resource that the event is about; `entries` (fullUrl, resource as bytes or
    dict) have the focus first. `recorded` is timezone-aware.
    """
    stored = [StoredEntry(full_url, _raw(resource)) for full_url, resource in entries]
    if not stored or not stored[0].full_url.endswith(f"/{focus}"):
        raise ValueError("the first entry of an event is its focus")
    return Effect("outbox", (topic, subject, focus, _json.encode(stored), traceparent, recorded))


def decode_payload(payload: bytes) -> Sequence[StoredEntry]:
    """The entries of an outbox row, focus first, resources still as bytes."""
    return _payload.decode(payload)


def _raw(resource: Resource) -> msgspec.Raw:
    return msgspec.Raw(resource if isinstance(resource, bytes) else _json.encode(resource))


class OutboxNotifier:
    """Tells the delivery loops of all replicas, after a commit, that a tenant has new events.

    The first goes at once; those that come soon after go together in the next, because NOTIFY serialises commits.
    A notice that fails is dropped: the slow poll finds the event.
    """

    def __init__(self, database: Database, replica: str) -> None:
        self._database = database
        self._replica = replica
        self._pending: set[str] = set()
        self._sender: asyncio.Task[None] | None = None

    def notify(self, tenant: str, topic: str = "") -> None:
        """Call it after the commit; naming the topic spares the tenant's other subscriptions a look."""
        self._pending.add(f"{self._replica} {tenant} {topic}")
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())

    async def close(self) -> None:
        """Waits until what was asked for is sent."""
        if self._sender is not None:
            await self._sender

    async def _send(self) -> None:
        while self._pending:
            notices, self._pending = list(self._pending), set()
            try:
                await self._database.fetch(NOTIFY, CHANNEL, notices)
            except UNAVAILABLE_ERRORS:
                return
            await asyncio.sleep(PAUSE_SECONDS)
