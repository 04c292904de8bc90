"""A database with the event tables and its runtime login, and delivery loops on it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import asyncpg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex, CreateTable
from stepwell_shared.cli.bootstrap import RUNTIME_ROLE, DatabaseUrls
from stepwell_shared.database.pool import Database
from stepwell_shared.database.table_functions import insert_function, security_statements
from stepwell_shared.events.delivery import Delivery
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.events.filters import Filter, concerning, passes_subject
from stepwell_shared.events.functions import event_functions
from stepwell_shared.events.progress import PendingEvent, Subscription
from stepwell_shared.events.sender import DeliveryPolicy
from stepwell_shared.events.subscriptions import Peer, subscribe_internally
from stepwell_shared.events.tables import Outbox, ReceivedEvent, SubscriptionEvent, SubscriptionState
from stepwell_shared.events.topics import Topic
from stepwell_shared.http_client import http_client

from tests.conftest import DatabaseOf
from tests.shared.events.subscriber import BASE_URL, SCORES, Subscriber
from tests.support.postgres import EMPTY, Preparation

TABLES = [
    model.metadata.tables[str(model.__tablename__)]
    for model in (Outbox, SubscriptionState, SubscriptionEvent, ReceivedEvent)
]
TENANTS = ("clinic-a", "clinic-b")
QUICK = DeliveryPolicy(poll_seconds=0.05, lease_seconds=1.0, park_after_attempts=2)

# Every subscriber of these tests listens on loopback, which a deployment has to allow.
LOOPBACK = EndpointPolicy(["127.0.0.1"])

Subscribe = Callable[..., Awaitable[str]]
Start = Callable[..., Awaitable[Delivery]]


class SubjectFilters:
    """Filters on the person; what needs the search engine is tested with one."""

    def problem(self, _criterion: Filter) -> str:
        return ""

    async def __call__(self, subscription: Subscription, event: PendingEvent) -> bool:
        return passes_subject(concerning(subscription.filters, event.focus), event.subject, str)


def schema() -> list[str]:
    dialect = make_url("postgresql+asyncpg://").get_dialect()()
    statements = [str(CreateTable(table).compile(dialect=dialect)) for table in TABLES]
    statements += [str(CreateIndex(index).compile(dialect=dialect)) for table in TABLES for index in table.indexes]
    statements += [insert_function(table) for table in TABLES]
    return [*statements, *event_functions(), *security_statements(TABLES, RUNTIME_ROLE)]


async def _make_event_tables(urls: DatabaseUrls) -> None:
    connection = await asyncpg.connect(urls.owner)
    try:
        for statement in schema():
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def urls(database_of: DatabaseOf) -> DatabaseUrls:
    """URLs of a database with the event tables: the owner's and the runtime login's."""
    return await database_of(EMPTY, Preparation("events", _make_event_tables))


@pytest.fixture
async def database(urls: DatabaseUrls) -> AsyncIterator[Database]:
    async with Database.open(urls.runtime) as opened:
        yield opened


@pytest.fixture
async def subscriber() -> AsyncIterator[Subscriber]:
    async with Subscriber().up() as listening:
        yield listening


@pytest.fixture
def away() -> Iterator[Subscriber]:
    """A subscriber whose port refuses every connection."""
    silent = Subscriber()
    yield silent
    silent.close()


@pytest.fixture
def subscribe(database: Database) -> Subscribe:
    """Makes an internal subscription of a tenant and returns its id."""

    async def make(subscriber: Subscriber, tenant: str = TENANTS[0], topic: Topic = SCORES, name: str = "peer") -> str:
        made = await subscribe_internally(database, tenant, BASE_URL, [Peer(topic, name, subscriber.url)])
        return str(made[0]["id"])

    return make


@pytest.fixture
async def start(database: Database) -> AsyncIterator[Start]:
    """Starts a delivery loop; all are stopped at the end."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(http_client())

        async def token(tenant: str) -> str:
            return f"token-of-{tenant}"

        async def tenants() -> tuple[str, ...]:
            return TENANTS

        async def begin(
            replica: str = "replica-1",
            listen_url: str | None = None,
            policy: DeliveryPolicy = QUICK,
            through: Database = database,
            endpoints: EndpointPolicy = LOOPBACK,
            changed: Callable[[str], None] = lambda tenant: None,
        ) -> Delivery:
            delivery = Delivery(
                through,
                client,
                base_url=BASE_URL,
                tenants=tenants,
                token=token,
                matches=SubjectFilters(),
                endpoints=endpoints,
                changed=changed,
                replica=replica,
                listen_url=listen_url,
                policy=policy,
                jitter=lambda: 0.02,
            )
            running = asyncio.create_task(delivery.run())

            async def end() -> None:
                await delivery.stop()
                await running

            stack.push_async_callback(end)
            return delivery

        yield begin


async def as_owner_of_rows(database: Database, tenant: str, statement: str) -> list[asyncpg.Record]:
    """Rows as this tenant sees them."""
    async with database.transaction(tenant) as connection:
        rows: list[asyncpg.Record] = await connection.fetch(statement)
        return rows


async def rows_once(
    database: Database,
    tenant: str,
    statement: str,
    condition: Callable[[list[asyncpg.Record]], bool],
    seconds: float = 60,
) -> list[asyncpg.Record]:
    """The rows as soon as they are so; fails unless that comes true in time."""
    async with asyncio.timeout(seconds):
        while True:
            rows = await as_owner_of_rows(database, tenant, statement)
            if condition(rows):
                return rows
            await asyncio.sleep(0.02)
