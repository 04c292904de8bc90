"""What one running service process holds, and what a service declares of itself.

Use cases take the Runtime as their first argument; it is filled when the process starts, so that tables,
routes and OpenAPI can be derived from a service's declarations without a database.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from stepwell_shared.database.follower import Follower
from stepwell_shared.database.pacing import Pacing
from stepwell_shared.database.pool import Database
from stepwell_shared.database.standby import Reader
from stepwell_shared.events.notification import ReceivedEvent as Received
from stepwell_shared.events.topics import Topic
from stepwell_shared.federation.exchange import Exchange as PartnerExchange
from stepwell_shared.fhir.identifiers import new_id
from stepwell_shared.fhir.indexing import localiser
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.registry import Registry
from stepwell_shared.fhir.store import Store
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.http_client import HttpClient
from stepwell_shared.settings import SERVICES, Settings
from stepwell_shared.telemetry.metrics import Metrics
from stepwell_shared.telemetry.requests import Watch

Handler = Callable[[Received, str], Awaitable[None]]
# What answers every request below an address that is not FHIR.
Page = Callable[[Exchange], Awaitable[None]]


@dataclass
class Runtime:
    """The parts of one process. They exist from its start on; asking earlier is a programming error."""

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_id: Callable[[], str] = new_id
    pacing: Pacing = field(default_factory=lambda: Pacing("outbox"))
    metrics: Metrics = field(default_factory=Metrics)
    watch: Watch = field(default_factory=Watch)
    _settings: Settings | None = None
    _engine: Engine | None = None
    _database: Database | None = None
    _reader: Reader | None = None
    _http: HttpClient | None = None
    # a standby that answers what clients search for, where there is one
    follower: Follower | None = None
    cache: dict[object, object] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        assert self._settings is not None, "the service has not started"
        return self._settings

    @property
    def engine(self) -> Engine:
        assert self._engine is not None, "the service has not started"
        return self._engine

    @property
    def database(self) -> Database:
        assert self._database is not None, "the service has not started"
        return self._database

    @property
    def reader(self) -> Reader:
        """For figures over many rows, which may be a little old: from a standby if there is one."""
        assert self._reader is not None, "the service has not started"
        return self._reader

    @property
    def http(self) -> HttpClient:
        """For calls to others; where they name the address, it is guarded by who calls."""
        assert self._http is not None, "the service has not started"
        return self._http

    @property
    def store(self) -> Store:
        return self.engine.store


# Pages for staff: the address or addresses that they are below, and what answers there to whoever a token names.
StaffPages = Callable[[Runtime, Callable[[str | None], Awaitable[Any]]], tuple[str | tuple[str, ...], Page]]


@dataclass(frozen=True)
class Service:
    """All that makes one service: what it serves, says, hears, keeps and ships."""

    name: str
    title: str
    description: str
    resources: Callable[[Runtime], Registry]
    topics: tuple[Topic, ...] = ()
    # (publishing service, topic name) -> what is done with each event
    listens: Callable[[Runtime], Mapping[tuple[str, str], Handler]] = lambda runtime: {}
    # filters of what it listens to, by the same keys, as a Subscription has them: the rest is never sent
    hears: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    # how the service exchanges with partner organisations, if it does
    exchange: Callable[[Runtime], PartnerExchange] | None = None
    # pages for people: the address that they are below, such as `/screening/forms/`, and what answers there
    pages: Callable[[Runtime], tuple[str, Page]] | None = None
    # what the OpenAPI document says of addresses beside FHIR: its `paths`, their `tags` and `securitySchemes`
    documented: Callable[[], Mapping[str, Any]] = dict
    # pages for bearers of a token, whom the second argument finds: their addresses and what answers there, as above
    staff_pages: StaffPages | None = None
    # `Type` or `Type/$operation` -> whether what is sent there is let in when others are turned away for want of room
    urgent: Callable[[Runtime], Mapping[str, Callable[[bytes], bool]]] = lambda runtime: {}
    # where the pages begin at which whatever is posted is let in then
    urgent_pages: str | None = None
    # puts what the service ships into a tenant; runs at every start and again changes nothing
    seed: Callable[[Runtime, str], Awaitable[None]] | None = None
    # loops beside the requests of every replica, such as timers; each publishes its figures in `runtime.metrics`
    loops: Callable[[Runtime], Sequence[Callable[[], Awaitable[None]]]] = lambda runtime: ()
    # the module that declares its own tables and their SQL functions (`schema.py`), which only migrations load
    schema: str = ""
    package: Path = Path()

    @property
    def migrations(self) -> Path:
        """The migrations: inside the package when installed, beside its `src` in a checkout."""
        inside = self.package / "migrations"
        return inside if inside.is_dir() else self.package.parents[1] / "migrations"


def base_urls(settings: Settings) -> Sequence[str]:
    """Public base URLs of the four services of this deployment."""
    return [settings.url_of(name) for name in SERVICES]


def attach(
    runtime: Runtime,
    service: Service,
    registry: Registry,
    database: Database,
    urls: Mapping[str, str],
    *,
    cursor_key: bytes,
    queue_max: int = 4096,
    bundle_entries_max: int = 1000,
    committed: Callable[[str, frozenset[str]], None] = lambda tenant, tables: None,
    follower: Follower | None = None,
) -> None:
    """Fills the runtime with an engine on this database. `urls` are the public base URLs by service name."""
    runtime._database, runtime._reader, runtime.follower = database, Reader(database), follower
    runtime._engine = Engine(
        registry=registry,
        store=Store(database, queue_max=queue_max, committed=committed, pacing=runtime.pacing, follower=follower),
        base_url=urls[service.name].rstrip("/"),
        localise=localiser(urls.values()),
        cursor_key=cursor_key,
        clock=runtime.clock,
        new_id=runtime.new_id,
        bundle_entries_max=bundle_entries_max,
    )


@asynccontextmanager
async def open_runtime(
    service: Service,
    registry: Registry,
    runtime: Runtime,
    settings: Settings,
    committed: Callable[[str, frozenset[str]], None] = lambda tenant, tables: None,
) -> AsyncIterator[Runtime]:
    """The runtime of a process, filled while the context lasts."""
    async with AsyncExitStack() as stack:

        async def opened(url: SecretStr) -> Database:
            opening = Database.open(url.get_secret_value(), connections_max=settings.database_connections_max)
            return await stack.enter_async_context(opening)

        runtime._settings = settings
        database = await opened(settings.database_url)
        standby = None if settings.read_database_url is None else await opened(settings.read_database_url)
        follower = None
        if standby is not None and settings.read_searches:
            follower = Follower(database, standby)
            stack.push_async_callback(follower.close)
        attach(
            runtime,
            service,
            registry,
            database,
            {name: settings.url_of(name) for name in SERVICES},
            cursor_key=sha256(b"search cursor\n" + settings.service_key_file.read_bytes()).digest(),
            queue_max=settings.write_queue_max,
            bundle_entries_max=settings.bundle_entries_max,
            committed=committed,
            follower=follower,
        )
        if standby is not None:
            runtime._reader = Reader(database, standby, settings.read_staleness_seconds_max)
        yield runtime
