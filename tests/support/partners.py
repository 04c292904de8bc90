"""Organisations that refer to each other: each is one service (referral, or measurement where figures go), its own
issuer, database and line to the world.

What the other services of an organisation would announce, a test announces itself.
"""

import secrets
import sys
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import orjson
from stepwell_routing import builders as routing
from stepwell_shared.auth import tenants
from stepwell_shared.auth.clients import Client, register_client
from stepwell_shared.auth.keys import load_private_key, make_private_key, public_key_set
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.auth.service_tokens import read_token, token_form
from stepwell_shared.canonical import topic
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.cli.partners import add_partner, our_card
from stepwell_shared.cli.processes import Command, ServiceProcesses, free_port
from stepwell_shared.database.pool import Database
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.events.notification import Addressee, NumberedEvent, notification
from stepwell_shared.events.outbox import decode_payload, event
from stepwell_shared.events.standing import Standing, standing
from stepwell_shared.federation.cards import write_card
from stepwell_shared.federation.terms import ANY_REFERRAL, Terms
from stepwell_shared.http_client import HttpClient, HttpResponse, http_client
from stepwell_shared.settings import SERVICES

from tests.services.routing.rules.shipped import decided
from tests.support import postgres
from tests.support.cable import cable
from tests.support.consents import opt_in
from tests.support.lines import Line, Lines

FHIR_JSON = "application/fhir+json"
CLINICIAN = "https://ehr.example/fhir/Practitioner/dr-1"
# Who else comes to a service: client, role, person.
EXTRA_CLIENTS = {
    "measurement": (("service-referral", "service", None), ("analyst", "analyst", None)),
}
Resource = dict[str, Any]


@dataclass
class Organisation:
    """One organisation under the name of its only tenant. The world reaches it over `line`, its own people directly.

    `registry` is the database of referral where another service runs.
    """

    tenant: str
    home: Path
    urls: DatabaseUrls
    port: int
    line: Line
    http: HttpClient
    service: str = "referral"
    registry: DatabaseUrls | None = None
    extra_environment: dict[str, str] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return f"{self.line.host}:{self.line.port}"

    @property
    def inside(self) -> str:
        """Where its own people reach it."""
        return f"http://{self.line.inside}:{self.port}"

    @property
    def base_url(self) -> str:
        """The public one."""
        return f"http://{self.host}/{self.service}/fhir"

    @property
    def issuer_url(self) -> str:
        return f"http://{self.host}/{self.service}/auth"

    def url_of(self, service: str) -> str:
        return self.base_url if service == self.service else f"http://{self.tenant}.example/{service}/fhir"

    def access(self) -> AccessSettings:
        """What its operator's commands work on."""
        return AccessSettings.model_validate(
            {
                "home": self.home,
                "issuer_url": self.issuer_url,
                "issuer_database_url": self.urls.runtime,
                f"{self.service}_database_url": self.urls.runtime,
                "referral_database_url": (self.registry or self.urls).runtime,
                **{f"{name}_url": self.url_of(name) for name in SERVICES},
            }
        )

    def command(self, hosts_allowed: Sequence[str]) -> Command:
        """How to start its service, with clocks in which hours are seconds."""
        environment = {
            "STEPWELL_DATABASE_URL": self.urls.runtime,
            "STEPWELL_SERVICE_KEY_FILE": str(self.home / "keys" / f"service-{self.service}.jwk"),
            "STEPWELL_ISSUER_URL": self.issuer_url,
            "STEPWELL_ISSUER_SIGNING_KEY_FILE": str(self.home / "keys" / "issuer.jwk"),
            "STEPWELL_SUBSCRIPTION_HOSTS_ALLOWED": orjson.dumps(list(hosts_allowed)).decode(),
            "STEPWELL_DELIVERY_POLL_SECONDS": "0.05",
            "STEPWELL_DELIVERY_BACKOFF_SECONDS_MAX": "0.2",
            **{f"STEPWELL_{name.upper()}_URL": self.url_of(name) for name in SERVICES},
            **self.extra_environment,
        }
        argv = [sys.executable, "-m", "stepwell_shared.cli.main", "serve", self.service, "--port", str(self.port)]
        argv = [*self.line.within, *argv, "--host", self.line.listens]
        return Command(self.tenant, argv, self.port, environment, host=self.line.inside)

    async def populate(self) -> None:
        """Its tenant, its people and its other services."""
        for name in dict.fromkeys(("issuer", "service-referral", f"service-{self.service}", "clients")):
            make_private_key(self.home / "keys" / f"{name}.jwk")
        jwks = public_key_set([self._key()])
        now = datetime.now(UTC)
        if self.registry is not None:
            async with Database.open(self.registry.runtime, connections_max=1) as database:
                await tenants.add_tenant(database, self.tenant, now)
        async with Database.open(self.urls.runtime, connections_max=1) as database:
            await tenants.add_tenant(database, self.tenant, now)
            for name, role, person in (
                ("service-routing", "service", None),
                ("service-screening", "service", None),
                ("coordinator", "coordinator", "Practitioner/coordinator"),
                ("clinician", "clinician", "Practitioner/clinician"),
                *EXTRA_CLIENTS.get(self.service, ()),
            ):
                client = Client(f"{self.tenant}.{name}", ROLES[role], jwks=jwks, roles=(role,), fhir_user=person)
                await register_client(database, client, now)

    def _key(self) -> Any:
        return load_private_key(self.home / "keys" / "clients.jwk")

    async def token(self, name: str, key: Any = None) -> str:
        """The token of one of its clients, asked for inside its own network."""
        if name not in self._tokens:
            form = token_form(f"{self.issuer_url}/token", f"{self.tenant}.{name}", key or self._key(), now=time.time())
            answer = await self.http.post(f"{self.inside}/{self.service}/auth/token", data=form)
            self._tokens[name] = read_token(answer).text
        return self._tokens[name]

    async def call(
        self, method: str, path: str, resource: Resource | None = None, *, by: str = "coordinator", **parameters: str
    ) -> HttpResponse:
        """One FHIR request of one of its clients."""
        headers = {"Authorization": f"Bearer {await self.token(by)}", "Content-Type": FHIR_JSON}
        url = f"{self.inside}/{self.service}/fhir{f'/{path}' if path else ''}"
        return await self.http.request(method, url, json=resource, params=parameters or None, headers=headers)

    async def search(self, resource_type: str, *, by: str = "coordinator", **parameters: str) -> list[Resource]:
        answer = await self.call("GET", resource_type, None, by=by, _count="200", **parameters)
        assert answer.status_code == 200, answer.text
        return [entry["resource"] for entry in answer.json().get("entry", [])]

    async def referrals(self) -> dict[str, Resource]:
        """Its referral Tasks by the value of their identifier."""
        found = await self.search("Task")
        return {each["identifier"][0]["value"]: each for each in found if "referral" in str(each["code"])}

    async def move(self, task: Resource, **changed: Any) -> None:
        """A coordinator changes a Task."""
        answer = await self.call("PUT", f"Task/{task['id']}", {**task, **changed})
        assert answer.status_code == 200, answer.text

    async def announce(self, service: str, topic_name: str, focus: Resource, url: str = "") -> HttpResponse:
        """What another service of the organisation tells its referral service."""
        url = url or f"{self.url_of(service)}/{focus['resourceType']}/{focus['id']}"
        return await self.announce_all(service, topic_name, [(url, focus)])

    async def announce_all(self, service: str, topic_name: str, told: Sequence[tuple[str, Resource]]) -> HttpResponse:
        """The same of several resources at once, each by its address."""
        first = self._numbers.get(service, 0) + 1
        number = self._numbers[service] = first + len(told) - 1
        now, events = datetime.now(UTC), []
        for place, (url, focus) in enumerate(told):
            payload = event(topic(topic_name), "x", "/".join(url.rsplit("/", 2)[-2:]), [(url, focus)], now).values[3]
            assert isinstance(payload, bytes)
            events.append(NumberedEvent(first + place, now, decode_payload(payload)))
        addressee = Addressee(f"{self.url_of(service)}/Subscription/s1", topic(topic_name), "active", "full-resource")
        body = notification(
            addressee,
            "event-notification",
            events,
            events_total=number,
            sent=now,
        )
        headers = {"Authorization": f"Bearer {await self.token(f'service-{service}')}", "Content-Type": FHIR_JSON}
        return await self.http.post(f"{self.inside}/{self.service}/notifications", content=body, headers=headers)

    async def person(self, id_: str, **more: Any) -> None:
        """Screening has a patient."""
        patient = {
            "resourceType": "Patient",
            "id": id_,
            "meta": {"versionId": "1"},
            "name": [{"family": "Example", "given": [id_]}],
            "telecom": [{"system": "phone", "value": "+49 30 0"}],
            "address": [{"city": "Berlin"}],
            "birthDate": "1980-02-03",
            **more,
        }
        assert (await self.announce("screening", "patient-changed", patient)).status_code == 200
        assert (await self.consent(id_)).status_code == 200

    async def consent(self, person: str, *, version: int = 1, **changed: Any) -> HttpResponse:
        """Screening has this person's Consent to sharing with whoever treats them."""
        consent = {**opt_in(person), **changed, "meta": {"versionId": str(version)}}
        return await self.announce("screening", "consent-changed", consent)

    async def assign(self, request_id: str, person: str, *, version: int = 1, **changed: Any) -> HttpResponse:
        """Routing has an accepted tier assignment for this person, in this version."""
        proposal = routing.tier_assignment(
            decided(phq9=16),
            resource_id=request_id,
            identifier=request_id,
            subject={"reference": f"{self.url_of('screening')}/Patient/{person}"},
            questionnaire_response=f"{self.url_of('screening')}/QuestionnaireResponse/r1",
        )
        plan = routing.accepted_assignment(proposal, practitioner=CLINICIAN, accepted_at=datetime.now(UTC))
        resource = {**plan, **changed, "meta": {"versionId": str(version)}}
        return await self.announce("routing", "tier-assigned", resource)

    async def ask_at(self, partner: str, place_url: str) -> None:
        """Tier 3 is given at a partner's place from now on, and nowhere else."""
        default = (await self.call("GET", "HealthcareService/default-tier-3")).json()
        place = {
            **{name: value for name, value in default.items() if name not in ("id", "meta")},
            "identifier": [{"system": "urn:ietf:rfc:3986", "value": place_url}],
            "providedBy": {"reference": f"Organization/partner-{partner}"},
            "name": "The hub",
        }
        assert (await self.call("POST", "HealthcareService", place)).status_code == 201
        closed = await self.call("PUT", "HealthcareService/default-tier-3", {**default, "active": False})
        assert closed.status_code == 200

    async def standings(self) -> list[Standing]:
        """How delivery stands."""
        async with Database.open(self.urls.runtime, connections_max=1) as database:
            return await standing(database, [self.tenant])


async def introduce(
    guest: Organisation,
    host: Organisation,
    shared: Collection[str] = ("contact", "reasons", "notes"),
    *,
    taken: Terms = ANY_REFERRAL,
    **agreed: bool,
) -> None:
    """`host` adds `guest` by its card; what is agreed is said from the host's side.

    `taken` is what whoever is referred to takes from the other.
    """
    told, takes = (None, taken) if agreed.get("refers_here") else (taken, ANY_REFERRAL)
    await add_by_card(guest, host, shared, told=told, takes=takes, **agreed)


async def add_by_card(
    guest: Organisation,
    host: Organisation,
    shared: Collection[str],
    *,
    told: Terms | None,
    takes: Terms,
    **agreed: bool,
) -> None:
    """`host`, which `takes` this, adds `guest` by its card, which says what the guest takes (`told`)."""
    card = write_card(our_card(guest.access(), guest.tenant, host.tenant, f"The {guest.tenant}", taken=told))
    await add_partner(
        host.access(),
        host.tenant,
        guest.tenant,
        card,
        refers_here=agreed.get("refers_here", False),
        referred_to=agreed.get("referred_to", False),
        shared=frozenset(shared),
        endpoints=EndpointPolicy([urlsplit(guest.url_of(each)).netloc for each in SERVICES]),
        taken=takes,
    )


@asynccontextmanager
async def loopback(port: int) -> AsyncIterator[Line]:
    """The line to an organisation whose service listens on this port of loopback."""
    async with cable(free_port(), port) as line:
        yield line


@asynccontextmanager
async def organisations(
    folder: Path, *names: str, lines: Lines = loopback, service: str = "referral"
) -> AsyncIterator[list[Organisation]]:
    """The organisations, each running by itself; nobody knows another yet. `lines` makes the line to each."""
    async with hired(folder, *names, lines=lines, service=service) as (found, processes):
        for each in found:
            processes.start_one(each.tenant)
        processes.wait_until_ready()
        yield found


@asynccontextmanager
async def hired(
    folder: Path, *names: str, lines: Lines = loopback, service: str = "referral"
) -> AsyncIterator[tuple[list[Organisation], ServiceProcesses]]:
    """The organisations with everything but their processes running, and what starts these."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(http_client(timeout_seconds=30))
        found = []
        for name in names:
            databases = {each: await postgres.create_database(each) for each in dict.fromkeys((service, "referral"))}
            for database, _ in databases.values():
                stack.callback(postgres.drop_database, database)
            registry = None if service == "referral" else databases["referral"][1]
            port = free_port()
            line = await stack.enter_async_context(lines(port))
            urls = databases[service][1]
            organisation = Organisation(name, folder / name, urls, port, line, http, service, registry)
            await organisation.populate()
            found.append(organisation)
        hosts = [each.host for each in found]
        processes = ServiceProcesses([each.command(hosts) for each in found], folder / "logs")
        processes.log_folder.mkdir()
        stack.callback(processes.stop)
        yield found, processes


def unique(text: str) -> str:
    """An id that no other test uses."""
    return f"{text}-{secrets.token_hex(4)}"


async def rows(organisation: Organisation, statement: str) -> list[asyncpg.Record]:
    """What its database says inside its tenant."""
    async with (
        Database.open(organisation.urls.runtime, connections_max=1) as database,
        database.transaction(organisation.tenant) as connection,
    ):
        return list(await connection.fetch(statement))


async def statement(organisation: Organisation, text: str, *arguments: object) -> None:
    """Something that its operator does to its database, inside its tenant."""
    async with (
        Database.open(organisation.urls.runtime, connections_max=1) as database,
        database.transaction(organisation.tenant) as connection,
    ):
        await connection.execute(text, *arguments)
