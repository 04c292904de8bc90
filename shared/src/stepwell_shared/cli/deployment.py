"""A whole suite on one machine: databases, keys, settings and processes. For `stepwell run` and the journey tests."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from stepwell_shared.auth.keys import make_private_key
from stepwell_shared.cli.access import AccessSettings, Deployment, add_tenant
from stepwell_shared.cli.bootstrap import RUNTIME_ROLE, DatabaseUrls
from stepwell_shared.cli.processes import Command
from stepwell_shared.cli.reindexing import reindex_service
from stepwell_shared.events.subscriptions import Peer, subscribe_internally
from stepwell_shared.fhir.copies import ship
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.installed import service_named
from stepwell_shared.migrations import migrate
from stepwell_shared.runtime import Runtime, attach
from stepwell_shared.settings import SERVICES

HOST = "127.0.0.1"
FIRST_PORT = 8001
ISSUER = "screening"


def ports_from(first_port: int) -> dict[str, int]:
    """Four ports in a row, by service."""
    return {name: first_port + offset for offset, name in enumerate(SERVICES)}


@dataclass(frozen=True)
class LocalDeployment:
    """Four services on loopback with their databases. `home` keeps keys and settings, readable by us alone."""

    home: Path
    databases: Mapping[str, DatabaseUrls]
    ports: Mapping[str, int] = field(default_factory=lambda: ports_from(FIRST_PORT))
    extra_environment: Mapping[str, str] = field(default_factory=dict)

    def url_of(self, service: str) -> str:
        """The public base URL of a service."""
        return f"http://{HOST}:{self.ports[service]}/{service}/fhir"

    @property
    def issuer_url(self) -> str:
        return f"http://{HOST}:{self.ports[ISSUER]}/{ISSUER}/auth"

    @property
    def site_file(self) -> Path:
        """What the site says of itself to people, such as whom to turn to in a crisis."""
        return self.home / "site.json"

    async def migrate(self) -> None:
        """Brings every database to the newest schema."""
        for name in SERVICES:
            await migrate(name, self.databases[name].owner, RUNTIME_ROLE)

    async def reindex(self) -> None:
        """Gives what is stored the search values of this release; at once where it has them."""
        for name in SERVICES:
            await reindex_service(self.access(), name)

    def write_settings(self) -> None:
        """Makes the keys that are missing and writes `stepwell.env`, from which the other commands read.

        Where there is no `site.json` yet, it gets crisis contacts that are obviously nobody's.
        """
        keys = self.home / "keys"
        keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ["issuer", *(f"service-{service}" for service in SERVICES)]:
            path = keys / f"{name}.jwk"
            if not path.exists():
                make_private_key(path)
        lines = [f"STEPWELL_{service.upper()}_URL={self.url_of(service)}" for service in SERVICES]
        lines += [f"STEPWELL_{s.upper()}_DATABASE_URL={self.databases[s].runtime}" for s in SERVICES]
        lines.append(f"STEPWELL_ISSUER_URL={self.issuer_url}")
        if not self.site_file.exists():
            self.site_file.write_bytes((files("stepwell_shared.cli") / "demo_site.json").read_bytes())
        path = self.home / "stepwell.env"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def environment(self, service: str) -> dict[str, str]:
        """The variables of one service process."""
        variables = {
            "STEPWELL_DATABASE_URL": self.databases[service].runtime,
            "STEPWELL_SERVICE_KEY_FILE": str(self.home / "keys" / f"service-{service}.jwk"),
            "STEPWELL_ISSUER_URL": self.issuer_url,
            "STEPWELL_SITE_FILE": str(self.site_file),
            **{f"STEPWELL_{name.upper()}_URL": self.url_of(name) for name in SERVICES},
            **self.extra_environment,
        }
        if service == ISSUER:
            variables["STEPWELL_ISSUER_SIGNING_KEY_FILE"] = str(self.home / "keys" / "issuer.jwk")
        return variables

    def commands(self) -> list[Command]:
        """How to start each service."""
        return [
            Command(
                name=name,
                argv=[sys.executable, "-m", "stepwell_shared.cli.main", "serve", name, "--port", str(self.ports[name])],
                port=self.ports[name],
                environment=self.environment(name),
            )
            for name in SERVICES
        ]

    def access(self) -> AccessSettings:
        """What the access commands need, without reading the environment of whoever calls."""
        addresses: dict[str, object] = {"home": self.home, "issuer_url": self.issuer_url}
        for name in SERVICES:
            addresses[f"{name}_url"] = self.url_of(name)
            addresses[f"{name}_database_url"] = self.databases[name].runtime
        return AccessSettings.model_validate(addresses)

    async def add_tenant(self, tenant: str) -> None:
        """Makes a tenant in every service; doing it again changes nothing."""
        await add_tenant(self.access(), tenant, TENANT_HOOKS)


async def subscribe(deployment: Deployment, tenant: str) -> None:
    """Subscribes every service to the topics that it listens to. Peers may be down."""
    for name in SERVICES:
        notification_url = deployment.urls[name].removesuffix("/fhir") + "/notifications"
        listener = service_named(name)
        for publisher, topic_name in listener.listens(Runtime()):
            topic = next(topic for topic in service_named(publisher).topics if topic.name == topic_name)
            database, base_url = deployment.databases[publisher], deployment.urls[publisher]
            peers = [Peer(topic, name, notification_url, listener.hears.get((publisher, topic_name), ()))]
            for subscription in await subscribe_internally(database, tenant, base_url, peers):
                await ship(_engine(deployment, publisher), tenant, subscription)


async def ship_defaults(deployment: Deployment, tenant: str) -> None:
    """Puts what each service ships into the tenant."""
    for name in SERVICES:
        seed = service_named(name).seed
        if seed is not None:
            await seed(_runtime(deployment, name), tenant)


def _runtime(deployment: Deployment, name: str) -> Runtime:
    """A service's runtime outside its process: for what ships, not for answering requests."""
    runtime, service = Runtime(), service_named(name)
    registry = service.resources(runtime)
    attach(runtime, service, registry, deployment.databases[name], deployment.urls, cursor_key=b"no pages here")
    return runtime


def _engine(deployment: Deployment, name: str) -> Engine:
    return _runtime(deployment, name).engine


TENANT_HOOKS = (subscribe, ship_defaults)
