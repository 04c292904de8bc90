"""One leaseholder's view of one subscription: what to send next, and the record of what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from typing import Any

import orjson

from stepwell_shared.database.pool import Database
from stepwell_shared.events.bodies import completed
from stepwell_shared.events.outbox import Entry, decode_payload

Cursor = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as it stood when its events were taken; `cursor` is (transaction, position)."""

    tenant: str
    subscription_id: str
    topic: str
    endpoint: str
    content: str
    headers: tuple[str, ...]
    filters: tuple[str, ...]
    timeout_seconds: int | None
    max_count: int | None
    internal: bool
    status: str
    cursor: Cursor
    next_event_number: int
    attempts: int
    waiting_due: bool
    held_back: bool
    heartbeat_due: bool = False
    actor: str = ""


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An outbox row to deliver, focus first; `behind` when an earlier event of its subject still waits."""

    cursor: Cursor
    subject: str
    focus: str
    entries: Sequence[Entry]
    traceparent: str | None
    recorded: datetime
    behind: bool = False

    @property
    def size_bytes(self) -> int:
        """How much its resources weigh, as far as they are here."""
        return sum(len(memoryview(entry.resource)) for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event under the number of this subscription, tried so many times before."""

    number: int
    event: PendingEvent
    tried: int = 0


@dataclass(frozen=True, slots=True)
class Disposition:
    """What became of one number: sent, waiting (due again after `delay_seconds`) or parked."""

    numbered: Numbered
    status: str
    tried: int
    delay_seconds: float = 0.0
    reason: str = ""


class Progress:
    """The statements of a leaseholder. Every one does nothing when the lease has gone to another replica."""

    def __init__(
        self, database: Database, *, tenant: str, subscription_id: str, owner: str, lease_seconds: float
    ) -> None:
        self._database = database
        self._key = (tenant, subscription_id, owner)
        self._lease_seconds = lease_seconds
        self._held_until = monotonic()

    async def take(self, limit: int) -> tuple[Subscription, list[PendingEvent]] | None:
        """The subscription and its next events in order; None when the lease is lost or nothing is owed any more."""
        started = monotonic()
        rows = await self._database.fetch(
            "SELECT * FROM take_events($1, $2, $3, $4, $5)", *self._key, self._lease_seconds, limit
        )
        if not rows:
            return None
        self._held_until = started + self._lease_seconds / 2
        events = [
            _pending(r, transaction=r["transaction"], behind=r["behind"]) for r in rows if r["position"] is not None
        ]
        return self._subscription(rows[0]), events

    def _subscription(self, row: Any) -> Subscription:
        tenant, subscription_id, _ = self._key
        return Subscription(
            tenant=tenant,
            subscription_id=subscription_id,
            headers=tuple(orjson.loads(row["headers"])),
            filters=tuple(orjson.loads(row["filters"])),
            cursor=(row["cursor_transaction"], row["cursor_position"]),
            **{name: row[name] for name in _STATE},
        )

    async def completed(self, events: Sequence[PendingEvent], *, focus_only: bool = False) -> list[PendingEvent]:
        """The same events with the resources that they refer to, or with those that they are about."""
        tenant, *_ = self._key
        named = [event.entries[:1] if focus_only else event.entries for event in events]
        found = await completed(self._database, tenant, named)
        return [
            replace(event, entries=[*entries, *event.entries[len(entries) :]])
            for event, entries in zip(events, found, strict=True)
        ]

    async def settle(
        self, before: Cursor, after: Cursor, dispositions: Sequence[Disposition], *, attempts: int
    ) -> bool:
        """Moves the cursor and writes the numbers down in one commit; False when somebody else did."""
        columns = [
            [d.numbered.number for d in dispositions],
            [d.numbered.event.cursor[1] for d in dispositions],
            [d.numbered.event.subject for d in dispositions],
            [d.numbered.event.focus for d in dispositions],
            [d.numbered.event.recorded for d in dispositions],
            [d.status for d in dispositions],
            [d.tried for d in dispositions],
            [d.delay_seconds for d in dispositions],
            [d.reason for d in dispositions],
        ]
        parameters = (*self._key, *before, *after, attempts, *columns)
        return await self._call("settle_events", *parameters)

    async def waiting(self, limit: int) -> list[Numbered]:
        """Events that were set aside and are due again, the oldest of each subject."""
        rows = await self._database.fetch("SELECT * FROM waiting_events($1, $2, $3, $4)", *self._key, limit)
        return [Numbered(r["event_number"], _pending(r, transaction=0, behind=False), r["tried"]) for r in rows]

    async def settle_waiting(self, disposition: Disposition) -> bool:
        """Records another attempt at an event that was set aside."""
        d = disposition
        return await self._call(
            "settle_waiting", *self._key, d.numbered.number, d.status, d.tried, d.delay_seconds, d.reason
        )

    async def activate(self) -> bool:
        """The handshake was answered."""
        return await self._call("activate_subscription", *self._key)

    async def heartbeat_answered(self) -> bool:
        """The subscriber is there, though nothing happened."""
        return await self._call("heartbeat_answered", *self._key)

    async def back_off(self, status: str, delay_seconds: float, reason: str) -> bool:
        """Gives the lease back; nobody tries again before the delay is over."""
        return await self._call("back_off_subscription", *self._key, status, delay_seconds, reason)

    async def release(self) -> bool:
        """Gives the lease back, so that any replica can go on at once."""
        return await self._call("release_lease", *self._key)

    async def hold(self) -> bool:
        """Whether the lease is ours for at least a third of its length from now, renewed if need be."""
        started = monotonic()
        if self._held_until - started > self._lease_seconds / 3:
            return True
        held = await self._call("renew_lease", *self._key, self._lease_seconds)
        self._held_until = started + self._lease_seconds
        return held

    async def _call(self, function: str, *arguments: object) -> bool:
        places = ", ".join(f"${n}" for n in range(1, len(arguments) + 1))
        rows = await self._database.fetch(f"SELECT {function}({places})", *arguments)
        return bool(rows[0][0])


_STATE = (
    *("topic", "endpoint", "content", "timeout_seconds", "max_count", "internal", "status"),
    *("next_event_number", "attempts", "waiting_due", "held_back", "heartbeat_due", "actor"),
)


def _pending(row: Any, *, transaction: int, behind: bool) -> PendingEvent:
    return PendingEvent(
        cursor=(transaction, row["position"]),
        subject=row["subject"],
        focus=row["focus"],
        entries=decode_payload(row["payload"]),
        traceparent=row["traceparent"],
        recorded=row["recorded"],
        behind=behind,
    )
