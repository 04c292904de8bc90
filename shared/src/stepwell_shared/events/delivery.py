"""The delivery loop of one replica: finds subscriptions with something to send and serves each in a task.

Any number of replicas run it; a lease in the database gives every subscription one of them. It is woken by
`wake` in its own process, by NOTIFY from others, and by a slow poll that alone is enough. No transaction
is held open while a notification is under way.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import asyncpg

from stepwell_shared.database.connecting import Connector, WatchedConnection
from stepwell_shared.database.pacing import Pacing
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database
from stepwell_shared.events.courier import Courier, TokenProvider
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.events.outbox import CHANNEL
from stepwell_shared.events.progress import Progress
from stepwell_shared.events.sender import DeliveryPolicy, Matches, Sender
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.http_client import HttpClient

log = logging.getLogger(__name__)

TenantList = Callable[[], Awaitable[Sequence[str]]]

CLAIMS_MAX = 256
# Under load claims would follow each other without end; the senders that run find new events themselves.
CLAIM_PAUSE_SECONDS = 0.01
STOP_SECONDS = 5.0


class Delivery:
    """Delivers the events of all tenants of one service.

    `tenants` lists them; `listen_url` is a direct (not transaction-pooled) database URL for LISTEN, None to
    rely on the poll; `replica` names this process among all that serve the database; `changed` is told of
    a tenant in which a subscription has changed its status; `courier` takes the place of the usual one;
    `pacing` learns when one of our own services is behind.
    """

    def __init__(
        self,
        database: Database,
        client: HttpClient,
        *,
        base_url: str,
        tenants: TenantList,
        token: TokenProvider,
        matches: Matches,
        endpoints: EndpointPolicy,
        replica: str,
        listen_url: str | None = None,
        policy: DeliveryPolicy | None = None,
        changed: Callable[[str], None] = lambda tenant: None,
        jitter: Callable[[], float] = random.random,
        courier: Courier | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        self._database = database
        self._courier = courier or Courier(client, base_url, token, endpoints)
        self._matches = matches
        self._changed = changed
        self._tenants = tenants
        self._replica = replica
        self._listen_url = listen_url
        self._policy = policy or DeliveryPolicy()
        self._jitter = jitter
        self._pacing = pacing or Pacing("outbox")
        self._signal = asyncio.Event()
        self._woken: set[str] = set()
        self._senders: dict[tuple[str, str], Sender] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._finished = asyncio.Event()

    def wake(self, tenant: str, topic: str = "") -> None:
        """Call it after a commit that wrote outbox rows or subscriptions; naming the topic spares others a look."""
        for (sender_tenant, _), sender in self._senders.items():
            if sender_tenant == tenant and topic in ("", sender.topic):
                sender.wake()
        self._woken.add(tenant)
        self._signal.set()

    async def run(self) -> None:
        """Runs until `stop` or cancellation; every lease is given back then."""
        listening = asyncio.create_task(self._listen(self._listen_url)) if self._listen_url else None
        try:
            while not self._stopping:
                tenants = await self._due_tenants()
                await self._claim(tenants)
                await asyncio.sleep(CLAIM_PAUSE_SECONDS)
        finally:
            if listening is not None:
                listening.cancel()
                with suppress(asyncio.CancelledError):
                    await listening
            await self._drain()
            self._finished.set()

    async def stop(self) -> None:
        """Finishes the notifications in flight, or abandons them after a few seconds; then `run` returns."""
        self._stopping = True
        self._signal.set()
        await self._finished.wait()

    async def _due_tenants(self) -> Sequence[str]:
        """Tenants that were woken, or all of them when nobody called for as long as a poll may wait."""
        try:
            async with asyncio.timeout(self._policy.poll_seconds):
                await self._signal.wait()
        except TimeoutError:
            return await self._all_tenants()
        self._signal.clear()
        woken, self._woken = sorted(self._woken), set()
        return woken

    async def _all_tenants(self) -> Sequence[str]:
        try:
            return await self._tenants()
        except UNAVAILABLE_ERRORS as error:
            log.warning("delivery waits for the database: %s", type(error).__name__)
            return ()

    async def _claim(self, tenants: Sequence[str]) -> None:
        if not tenants or self._stopping:
            return
        try:
            rows = await self._database.fetch(
                "SELECT tenant, subscription_id, topic FROM claim_subscriptions($1, $2, $3, $4)",
                list(tenants),
                self._replica,
                self._policy.lease_seconds,
                CLAIMS_MAX,
            )
        except (*UNAVAILABLE_ERRORS, asyncpg.PostgresError) as error:
            log.warning("delivery waits for the database: %s", type(error).__name__)
            await asyncio.sleep(self._policy.poll_seconds)
            return
        for row in rows:
            self._serve(row["tenant"], row["subscription_id"], row["topic"])

    def _serve(self, tenant: str, subscription_id: str, topic: str) -> None:
        key = (tenant, subscription_id)
        if key in self._senders:
            # This process slept through its own lease and has just taken it again: the same task goes on.
            self._senders[key].wake()
            return
        progress = Progress(
            self._database,
            tenant=tenant,
            subscription_id=subscription_id,
            owner=self._replica,
            lease_seconds=self._policy.lease_seconds,
        )
        sender = Sender(
            progress,
            self._courier,
            self._policy,
            topic=topic,
            matches=self._matches,
            changed=lambda: self._changed(tenant),
            moves=lambda behind: self._pacing.moves(tenant, subscription_id, behind=behind),
            jitter=self._jitter,
        )
        self._senders[key] = sender
        task = asyncio.create_task(self._run(key, sender, progress))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, key: tuple[str, str], sender: Sender, progress: Progress) -> None:
        tenant, subscription_id = key
        try:
            await sender.run()
        except (*UNAVAILABLE_ERRORS, FhirError) as error:
            # The lease runs out by itself, which is as long as it makes sense to wait.
            log.warning("delivery of subscription %s interrupted: %s", subscription_id, type(error).__name__)
        except asyncio.CancelledError:
            with suppress(*UNAVAILABLE_ERRORS):
                await progress.release()
            raise
        except Exception:
            log.exception("delivery of subscription %s failed", subscription_id)
        finally:
            self._pacing.moves(tenant, subscription_id, behind=False)
            del self._senders[key]
            if sender.woken.is_set() and not self._stopping:
                self.wake(tenant)

    async def _drain(self) -> None:
        for sender in self._senders.values():
            sender.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self, url: str) -> None:
        """Hears the notices of other replicas, for ever; a lost connection is made again."""
        connector = Connector(url)
        while True:
            try:
                connection = await connector.connect(timeout=10, connection_class=WatchedConnection)
                closed = asyncio.Event()
                connection.add_termination_listener(lambda *_, closed=closed: closed.set())
                try:
                    await connection.add_listener(CHANNEL, self._heard)
                    await closed.wait()
                finally:
                    await asyncio.shield(connection.close(timeout=2))
            except UNAVAILABLE_ERRORS as error:
                log.warning("listening for events interrupted: %s", type(error).__name__)
            await asyncio.sleep(self._policy.poll_seconds)

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        replica, tenant, topic = payload.split(" ")
        if replica != self._replica:
            self.wake(tenant, topic)
