"""Asks senders for the numbers that never came (`$events`), and handles them as if they had been pushed.

Notifications are retried until they are answered, so that a gap that stays means that one side lost its memory, such
as after a restore from a backup.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from time import monotonic

import asyncpg

from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database
from stepwell_shared.events.courier import TokenProvider
from stepwell_shared.events.delivery import TenantList
from stepwell_shared.events.notification import QUERIED_KINDS, Notification, parse_notification
from stepwell_shared.events.receiver import Receiver
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.http_client import HttpClient, HttpError

log = logging.getLogger(__name__)

ANSWER_BYTES_MAX = 16 * 1024 * 1024
NUMBERS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class CatchUpPolicy:
    """A number is asked for when it has been missing for `grace_seconds`; a sender that fails is left alone a while."""

    poll_seconds: float = 15.0
    grace_seconds: float = 5.0
    retry_seconds: float = 60.0


class CatchUp:
    """Closes the gaps of one service. `may_ask` says whether a subscription's URL is one of a known sender."""

    def __init__(
        self,
        database: Database,
        client: HttpClient,
        receiver: Receiver,
        *,
        tenants: TenantList,
        token: TokenProvider,
        may_ask: Callable[[str], bool],
        policy: CatchUpPolicy | None = None,
    ) -> None:
        self._database = database
        self._client = client
        self._receiver = receiver
        self._tenants = tenants
        self._token = token
        self._may_ask = may_ask
        self._policy = policy or CatchUpPolicy()
        self._not_before: dict[tuple[str, str], float] = {}

    async def run(self) -> None:
        """Runs until it is cancelled. A gap is looked at when its numbers have had time to come by themselves."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._policy.poll_seconds):
                    await self._receiver.gap.wait()
                    self._receiver.gap.clear()
                    await asyncio.sleep(self._policy.grace_seconds)
            try:
                await self.ask(await self._tenants())
            except (*UNAVAILABLE_ERRORS, asyncpg.PostgresError) as error:
                log.warning("catching up waits for the database: %s", type(error).__name__)

    async def ask(self, tenants: Sequence[str]) -> None:
        """Asks once for everything that has been missing for long enough."""
        rows = await self._database.fetch(
            "SELECT * FROM missing_events($1, $2, $3)", list(tenants), self._policy.grace_seconds, NUMBERS_MAX
        )
        for (tenant, subscription), group in groupby(rows, key=lambda row: (row["tenant"], row["subscription"])):
            numbers = [row["event_number"] for row in group]
            if monotonic() < self._not_before.get((tenant, subscription), 0.0) or not self._may_ask(subscription):
                continue
            try:
                await self._close_gap(tenant, subscription, numbers)
            except (FhirError, HttpError, TimeoutError) as error:
                self._not_before[tenant, subscription] = monotonic() + self._policy.retry_seconds
                log.warning("subscription %s: its missing numbers cannot be had: %s", subscription, _why(error))

    async def _close_gap(self, tenant: str, subscription: str, numbers: Sequence[int]) -> None:
        """Handles what the sender still has; what it does not have any more is noted as gone."""
        wanted = set(numbers)
        since, until = min(wanted), max(wanted)
        while since <= until:
            answer = await self._events(tenant, subscription, since, until)
            told = [event for event in answer.events if since <= event.number <= until]
            here = [event for event in told if event.number in wanted]
            if here:
                await self._receiver.handle(
                    tenant, Notification(subscription, answer.topic, "event-notification", here)
                )
            reached = max((event.number for event in told), default=until)
            gone = [n for n in wanted if since <= n <= reached and n not in {event.number for event in told}]
            if gone:
                await self._note_gone(tenant, subscription, gone)
            since = reached + 1

    async def _events(self, tenant: str, subscription: str, since: int, until: int) -> Notification:
        body = bytearray()
        async with self._client.stream(
            "GET",
            f"{subscription}/$events",
            params={"eventsSinceNumber": str(since), "eventsUntilNumber": str(until), "content": "full-resource"},
            headers={"Authorization": f"Bearer {await self._token(tenant)}", "Accept": "application/fhir+json"},
        ) as response:
            if response.status_code != 200:
                raise HttpError(f"HTTP {response.status_code}")
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    raise HttpError("the answer is too large")
        answer = parse_notification(bytes(body), QUERIED_KINDS)
        if answer.subscription != subscription:
            raise HttpError("the answer is about another subscription")
        return answer

    async def _note_gone(self, tenant: str, subscription: str, numbers: Sequence[int]) -> None:
        log.error("subscription %s: %d numbers are lost at their sender", subscription, len(numbers))
        nothing = [None] * len(numbers)
        await self._database.fetch(
            "SELECT record_events($1, $2, $3, $4, $5, $6)",
            *(tenant, subscription, list(numbers), nothing, nothing, ["gone"] * len(numbers)),
        )


def _why(error: Exception) -> str:
    return str(error) if type(error) is HttpError else type(error).__name__
