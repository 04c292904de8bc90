"""Announcing: an event as an outbox row that commits with its write, and the coalesced notice after the commit.

What is stored here is named by its version and read when it is sent: versions never change, so that the write does
not pay for a second copy. Only what this service does not store travels in the row itself.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import orjson

from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.telemetry.tracing import traceparent_now

CHANNEL = "stepwell_outbox"
# A notice need not survive a crash, so that nothing waits for the disk.
NOTIFY = (
    "SELECT pg_notify($1, n) FROM set_config('synchronous_commit', 'off', true) AS quick, unnest($2::text[]) AS n"
    " WHERE quick IS NOT NULL"
)
PAUSE_SECONDS = 0.02


class Version(NamedTuple):
    """One version that this service stores, or that the same unit of work brings."""

    resource_type: str
    id: str
    number: int


# A version that is stored here, or a resource that is not: as bytes or as a dict.
Content = Stored | Version | bytes | dict[str, Any]


class Entry(msgspec.Struct, rename={"full_url": "fullUrl"}):
    """One resource of an event: its bytes, sent on without being parsed, or the stored version to read them from.

    The version is that of the type and id at the end of `full_url`.
    """

    full_url: str
    resource: msgspec.Raw = msgspec.Raw()
    version: int = 0

    @property
    def key(self) -> tuple[str, str, int]:
        """Type, id and version."""
        resource_type, id_ = self.full_url.rsplit("/", 2)[-2:]
        return resource_type, id_, self.version

    @property
    def is_complete(self) -> bool:
        """Whether the resource itself is here."""
        return bool(memoryview(self.resource))


_payload = msgspec.json.Decoder(list[Entry])


def event(
    topic: str,
    subject: str,
    focus: str,
    entries: Iterable[tuple[str, Content]],
    recorded: datetime,
) -> Effect:
    """The outbox row of one event, to be handed over with the unit of work that causes it.

    `topic` is the canonical URL; `subject` the patient reference that keeps events in order; `focus` the
    relative reference of the resource that the event is about; `entries` (fullUrl, content) have the focus first.
    A version among them is stored already or by the same unit of work. `recorded` is timezone-aware. The trace of what
    is being done goes along, so that whatever follows goes on with it, after a crash as well.
    """
    written: list[bytes] = []
    for full_url, content in entries:
        if not written and not full_url.endswith(f"/{focus}"):
            break
        written.append(_written(full_url, content))
    if not written:
        raise ValueError("the first entry of an event is its focus")
    return Effect("outbox", (topic, subject, focus, b"[%b]" % b",".join(written), traceparent_now(), recorded))


def decode_payload(payload: bytes) -> list[Entry]:
    """The entries of an outbox row, focus first."""
    return _payload.decode(payload)


def _written(full_url: str, content: Content) -> bytes:
    url = orjson.dumps(full_url)
    if isinstance(content, dict):
        return b'{"fullUrl":%b,"resource":%b}' % (url, encode(content))
    if isinstance(content, bytes):
        return b'{"fullUrl":%b,"resource":%b}' % (url, content)
    if isinstance(content, Stored):
        if content.body is None:
            raise ValueError("an event carries no deletion")
        number = content.version
    else:
        number = content.number
    if not full_url.endswith(f"/{content.resource_type}/{content.id}"):
        raise ValueError("a version is named by an address that ends in its type and id")
    return b'{"fullUrl":%b,"version":%d}' % (url, number)


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
