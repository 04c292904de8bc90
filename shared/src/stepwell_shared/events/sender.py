"""Serves one subscription while this replica holds its lease.

Why no crash loses or renumbers an event: below the horizon (the oldest transaction still running) the order of
the outbox is final, so that the events after the cursor, and with them their numbers, are the same whoever
takes them. A number is only worked out when its event is sent; the cursor, the next number and the
record of the numbers then move in one commit.

- crash before the answer: the cursor has not moved; the next leaseholder sends the same numbers again;
- crash between the answer and that commit: the same; the receiver knows the number and the focus;
- crash after it: nothing to do again;
- an event that fails on its own has its number in that commit, as `waiting`, and keeps it until it is sent
  or parked; later events of its subject line up behind it, those of other subjects go on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from time import monotonic

from stepwell_shared.events.answers import Answer, Verdict, backoff_seconds
from stepwell_shared.events.courier import Courier
from stepwell_shared.events.filters import ask_for_content
from stepwell_shared.events.progress import Disposition, Numbered, PendingEvent, Progress, Subscription

log = logging.getLogger(__name__)

# Whether an event passes the filters of a subscription; whatever is no subject filter needs the search engine.
Matches = Callable[[Subscription, PendingEvent], Awaitable[bool]]

LINGER_SECONDS = 5.0
HELD_BACK_SECONDS = 0.001
ERROR_AFTER_ATTEMPTS = 3
HANDSHAKE_ATTEMPTS_MAX = 8
# A peer of our own comes back at any moment and is cheap to ask; a foreign one is asked daily at last.
BACKOFF_INTERNAL_SECONDS_MAX = 30.0
# So many events at once are a queue; fewer are what came while the batch before was on its way.
BEHIND_FROM = 32
NEVER_SECONDS = 100 * 365.25 * 86_400


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """How much at once, how often, how long: the numbers of one delivery loop."""

    poll_seconds: float = 1.0
    lease_seconds: float = 10.0
    batch_max: int = 64
    batch_bytes_max: int = 524_288
    park_after_attempts: int = 5
    backoff_seconds_max: float = 86_400.0


class Step(Enum):
    """What one look at the subscription led to."""

    AGAIN = "something was done, there may be more"
    IDLE = "nothing to do"
    HELD_BACK = "an older transaction still runs"
    STOP = "the lease is given up"


class LeaseLostError(Exception):
    """Another replica serves the subscription now; whatever was being done is left to it."""


class Sender:
    """One subscription's deliverer; one notification is in flight at any time."""

    def __init__(
        self,
        progress: Progress,
        courier: Courier,
        policy: DeliveryPolicy,
        *,
        topic: str,
        matches: Matches,
        changed: Callable[[], None],
        moves: Callable[[bool], None],
        jitter: Callable[[], float],
    ) -> None:
        """`changed` is called when the subscription has another status than before, `moves` whenever one of our own
        services takes events without a fault: with whether more than a batch is waiting."""
        self.topic = topic
        self._matches = matches
        self._changed = changed
        self._moves = moves
        self.woken = asyncio.Event()
        self._progress = progress
        self._courier = courier
        self._policy = policy
        self._jitter = jitter
        self._stopping = False

    def wake(self) -> None:
        """There may be something new."""
        self.woken.set()

    def stop(self) -> None:
        """Ends after the notification that is in flight."""
        self._stopping = True
        self.woken.set()

    async def run(self) -> None:
        """Delivers until there was nothing to do for a while, then gives the lease back."""
        quiet_since = monotonic()
        held_back_seconds = HELD_BACK_SECONDS
        while not self._stopping:
            self.woken.clear()
            step = await self._step()
            if step is Step.STOP:
                return
            if step is Step.AGAIN:
                quiet_since, held_back_seconds = monotonic(), HELD_BACK_SECONDS
            elif step is Step.HELD_BACK:
                await self._pause(held_back_seconds)
                held_back_seconds = min(2 * held_back_seconds, self._policy.poll_seconds)
            elif monotonic() - quiet_since > LINGER_SECONDS:
                break
            else:
                await self._pause(self._policy.poll_seconds)
        await self._progress.release()

    async def _pause(self, seconds: float) -> None:
        if self._stopping:
            return
        try:
            async with asyncio.timeout(seconds):
                await self.woken.wait()
        except TimeoutError:
            return

    async def _step(self) -> Step:
        taken = await self._progress.take(self._policy.batch_max)
        if taken is None:
            return Step.STOP
        subscription, events = taken
        if subscription.internal:
            self._moves(subscription.attempts == 0 and len(events) >= max(self._policy.batch_max, BEHIND_FROM))
        try:
            return await self._serve(subscription, events)
        except LeaseLostError:
            return Step.STOP

    async def _serve(self, subscription: Subscription, events: Sequence[PendingEvent]) -> Step:
        if subscription.status == "requested":
            return await self._handshake(subscription)
        step = Step.HELD_BACK if subscription.held_back else Step.IDLE
        if subscription.waiting_due:
            step = await self._retry_waiting(subscription)
        if events and step is not Step.STOP:
            step = await self._deliver(subscription, events)
        elif subscription.heartbeat_due and not subscription.waiting_due:
            step = await self._heartbeat(subscription)
        return step

    async def _heartbeat(self, subscription: Subscription) -> Step:
        answer = await self._send(subscription, [], kind="heartbeat")
        if answer.verdict is not Verdict.DELIVERED:
            return await self._back_off(subscription, answer, subscription.attempts + 1)
        return self._went_well(subscription, held=await self._progress.heartbeat_answered())

    def _went_well(self, subscription: Subscription, *, held: bool) -> Step:
        if held and subscription.status == "error":
            self._changed()
        return _next(held)

    async def _handshake(self, subscription: Subscription) -> Step:
        answer = await self._send(subscription, [], kind="handshake")
        if answer.verdict is Verdict.DELIVERED:
            activated = await self._progress.activate()
            self._changed()
            return _next(activated)
        attempts = subscription.attempts + 1
        if attempts >= HANDSHAKE_ATTEMPTS_MAX:
            await self._progress.back_off("error", NEVER_SECONDS, answer.reason)
            self._changed()
        else:
            await self._progress.back_off("requested", self._delay(subscription, attempts), answer.reason)
        return Step.STOP

    async def _deliver(self, subscription: Subscription, taken: Sequence[PendingEvent]) -> Step:
        events, numbered = await self._batch(subscription, taken)
        sendable = [n for n in numbered if not n.event.behind]
        if not sendable:
            return await self._settle(subscription, events[-1], [_sent_or_behind(n) for n in numbered])
        answer = await self._send(subscription, sendable)
        if answer.verdict is Verdict.DELIVERED:
            return await self._settle(subscription, events[-1], [_sent_or_behind(n) for n in numbered])
        if answer.verdict is Verdict.UNAVAILABLE:
            return await self._back_off(subscription, answer, subscription.attempts + 1)
        return await self._one_by_one(subscription, events, numbered, answer if len(sendable) == 1 else None)

    async def _batch(
        self, subscription: Subscription, taken: Sequence[PendingEvent]
    ) -> tuple[Sequence[PendingEvent], list[Numbered]]:
        """The longest run of events that one notification may hold, and those of them that pass the filters."""
        limit = min(subscription.max_count or self._policy.batch_max, self._policy.batch_max)
        passing = await self._passing(subscription, taken, limit + 1)
        events = await self._with_content(subscription, [event for _, event in passing[:limit]])
        size_bytes = 0
        numbered: list[Numbered] = []
        for (index, _), event in zip(passing, events, strict=False):
            size_bytes += event.size_bytes
            if numbered and size_bytes > self._policy.batch_bytes_max:
                return taken[:index], numbered
            numbered.append(Numbered(subscription.next_event_number + len(numbered), event))
        return taken[: passing[limit][0]] if len(passing) > limit else taken, numbered

    async def _passing(
        self, subscription: Subscription, taken: Sequence[PendingEvent], most: int
    ) -> list[tuple[int, PendingEvent]]:
        """The first events that pass the filters, with their places."""
        if not subscription.filters:
            return list(enumerate(taken[:most]))
        if ask_for_content(subscription.filters):
            taken = await self._progress.completed(taken, focus_only=True)
        passing: list[tuple[int, PendingEvent]] = []
        for index, event in enumerate(taken):
            if await self._matches(subscription, event):
                passing.append((index, event))
                if len(passing) == most:
                    break
        return passing

    async def _with_content(self, subscription: Subscription, events: list[PendingEvent]) -> list[PendingEvent]:
        """The events with as much as this subscription is sent."""
        return await self._progress.completed(events) if subscription.content == "full-resource" else events

    async def _one_by_one(
        self,
        subscription: Subscription,
        events: Sequence[PendingEvent],
        numbered: Sequence[Numbered],
        answer_to_only: Answer | None,
    ) -> Step:
        """Finds out which events are the trouble: they are set aside, the others are delivered.

        As long as every answer is a fault, the receiver itself may be ill: after the second subject,
        or when it was already failing, nothing is set aside and the whole subscription waits.
        """
        alive = False
        done: list[Disposition] = []
        troubled: set[str] = set()
        for n in numbered:
            if n.event.behind or n.event.subject in troubled:
                done.append(Disposition(n, "waiting", 0))
                continue
            answer = answer_to_only or await self._send(subscription, [n])
            alive = alive or answer.verdict in (Verdict.DELIVERED, Verdict.REFUSED)
            ill = not alive and (bool(troubled) or subscription.attempts > 0)
            if answer.verdict is Verdict.UNAVAILABLE or ill:
                return await self._stop_at(subscription, done if alive else [], answer)
            if answer.verdict is not Verdict.DELIVERED:
                troubled.add(n.event.subject)
            done.append(self._disposition(subscription, n, answer))
        return await self._settle(subscription, events[-1], done, attempts=0 if alive else 1)

    async def _stop_at(self, subscription: Subscription, done: list[Disposition], answer: Answer) -> Step:
        attempts = subscription.attempts + 1
        if done:
            attempts = 1
            if await self._settle(subscription, done[-1].numbered.event, done) is Step.STOP:
                return Step.STOP
        return await self._back_off(subscription, answer, attempts)

    async def _retry_waiting(self, subscription: Subscription) -> Step:
        waiting = await self._progress.waiting(self._policy.batch_max)
        events = await self._with_content(subscription, [n.event for n in waiting])
        for n in (replace(n, event=event) for n, event in zip(waiting, events, strict=True)):
            answer = await self._send(subscription, [n])
            if answer.verdict is Verdict.UNAVAILABLE:
                return await self._back_off(subscription, answer, subscription.attempts + 1)
            if not await self._progress.settle_waiting(self._disposition(subscription, n, answer)):
                return Step.STOP
            if answer.verdict is Verdict.DELIVERED:
                self._went_well(subscription, held=True)
        return Step.AGAIN

    def _disposition(self, subscription: Subscription, n: Numbered, answer: Answer) -> Disposition:
        tried = n.tried + 1
        if answer.verdict is Verdict.DELIVERED:
            return Disposition(n, "sent", tried)
        if answer.verdict is Verdict.REFUSED and tried >= self._policy.park_after_attempts:
            log.warning("event parked: subscription %s number %d", subscription.subscription_id, n.number)
            return Disposition(n, "parked", tried, 0.0, answer.reason)
        return Disposition(n, "waiting", tried, self._delay(subscription, tried), answer.reason)

    async def _settle(
        self, subscription: Subscription, last: PendingEvent, dispositions: Sequence[Disposition], *, attempts: int = 0
    ) -> Step:
        settled = await self._progress.settle(subscription.cursor, last.cursor, dispositions, attempts=attempts)
        return self._went_well(subscription, held=settled) if attempts == 0 else _next(settled)

    async def _back_off(self, subscription: Subscription, answer: Answer, attempts: int) -> Step:
        status = "error" if attempts >= ERROR_AFTER_ATTEMPTS else subscription.status
        await self._progress.back_off(status, self._delay(subscription, attempts), answer.reason)
        if status != subscription.status:
            self._changed()
        return Step.STOP

    def _delay(self, subscription: Subscription, attempts: int) -> float:
        seconds_max = self._policy.backoff_seconds_max
        if subscription.internal:
            seconds_max = min(seconds_max, BACKOFF_INTERNAL_SECONDS_MAX)
        return backoff_seconds(attempts, seconds_max, self._jitter())

    async def _send(
        self, subscription: Subscription, numbered: Sequence[Numbered], *, kind: str = "event-notification"
    ) -> Answer:
        """One notification, the lease renewed while the answer is awaited; LeaseLostError when it is not ours."""
        if not await self._progress.hold():
            raise LeaseLostError
        total = max([subscription.next_event_number - 1, *(n.number for n in numbered)])
        sending = asyncio.create_task(self._courier.send(subscription, kind, numbered, total))
        try:
            while not sending.done():
                await asyncio.wait({sending}, timeout=self._policy.lease_seconds / 4)
                if not sending.done() and not await self._progress.hold():
                    raise LeaseLostError
            return sending.result()
        finally:
            sending.cancel()


def _next(held: bool) -> Step:
    return Step.AGAIN if held else Step.STOP


def _sent_or_behind(n: Numbered) -> Disposition:
    return Disposition(n, "waiting", 0) if n.event.behind else Disposition(n, "sent", 1)
