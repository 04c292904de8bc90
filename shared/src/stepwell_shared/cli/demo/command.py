"""`stepwell demo`: a synthetic region in a running suite. A bar shows how far it is; it goes on where it was."""

import asyncio
import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stepwell_shared.auth.clients import Client
from stepwell_shared.auth.keys import load_private_keys, make_private_key, public_key_set
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.cli.access import AccessSettings, add_client, add_tenant
from stepwell_shared.cli.asking import PatientClient, Token
from stepwell_shared.cli.demo.playing import Player
from stepwell_shared.cli.demo.region import Region
from stepwell_shared.cli.demo.sending import NOBODY_ANSWERS, Sender
from stepwell_shared.cli.deployment import TENANT_HOOKS
from stepwell_shared.cli.errors import resumable
from stepwell_shared.cli.processes import ServiceProcesses, signals_as_interrupts
from stepwell_shared.cli.run import home_folder, local_deployment
from stepwell_shared.http_client import http_client
from stepwell_shared.settings import SERVICES

REQUESTS_AT_ONCE, PEOPLE_AT_ONCE = 16, 128
KEPT_EVERY_SECONDS = 0.5
# The practices' record system may make people, forms and orders; the places' desk moves what was asked of them.
EHR, DESK = "region-practices", "region-places"
UNTIL = "last day of the years: that of the earlier run, or yesterday"
ACTING = {DESK: "coordinator"}


class Kept(msgspec.Struct):
    """How far a region is: everybody before `people` is in the suite that `suite` names."""

    suite: str
    numbers: str
    last_day: date
    people: int = 0


@dataclass(frozen=True)
class Wanted:
    """The region that is asked for, and in whose data; without a last day it goes on with that of an earlier run."""

    seed: int
    patients: int
    tenant: str = "demo"
    last_day: date | None = None


def add_demo_command(app: typer.Typer) -> None:
    """Adds the command `demo`."""

    @app.command("demo")
    def command(
        patients: Annotated[int, typer.Option(min=1, max=9_999_999, help="how many people")] = 10_000,
        seed: Annotated[int, typer.Option(help="the same seed gives the same region")] = 1,
        until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help=UNTIL)] = None,
        tenant: Annotated[str, typer.Option(help="whose data they become; made where it is not there")] = "demo",
        embedded: Annotated[bool, typer.Option("--embedded", help="start the suite for as long as it takes")] = False,
        patience_seconds: Annotated[float, typer.Option(help="how long to wait for a service that is away")] = 120.0,
    ) -> None:
        """Fill a running suite with a synthetic region; stopped and started again, it goes on where it was.

        Nobody in it exists: names, identifiers and a tag say so. docs/demo.md has every number that it is drawn from.
        """
        console = Console()
        last_day = until.date() if until is not None else None
        with resumable(), signals_as_interrupts(), _suite(console, embedded=embedded) as settings:
            asyncio.run(demo(console, settings, Wanted(seed, patients, tenant, last_day), patience_seconds))


@contextmanager
def _suite(console: Console, *, embedded: bool) -> Iterator[AccessSettings]:
    """What reaches the suite: the one that is there, or one of this machine that is started and stopped again."""
    if not embedded:
        yield AccessSettings()
        return
    home = home_folder()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as stack:
        with console.status("Starting PostgreSQL and the four services ..."):
            deployment = stack.enter_context(local_deployment(home))
            asyncio.run(deployment.migrate())
            asyncio.run(deployment.reindex())
            deployment.write_settings()
            processes = stack.enter_context(ServiceProcesses(deployment.commands(), home / "logs"))
            processes.wait_until_ready()
        yield deployment.access()


async def demo(console: Console, settings: AccessSettings, wanted: Wanted, patience_seconds: float) -> None:
    """Fills the suite that the settings name with the region. Raises SetupError with what to do next."""
    urls = {service: settings.text(f"{service}_url").rstrip("/") for service in SERVICES}
    await add_tenant(settings, wanted.tenant, TENANT_HOOKS)
    clients = [await _registered(settings, f"{wanted.tenant}.{name}") for name in (EHR, DESK)]
    path = settings.home / f"demo-{wanted.tenant}-{wanted.seed}.json"
    kept = _earlier(path, urls["screening"], wanted.last_day)
    region = Region(wanted.seed, wanted.patients, kept.last_day)
    async with http_client(timeout_seconds=60, connections_max=REQUESTS_AT_ONCE) as http:
        turns = asyncio.Semaphore(REQUESTS_AT_ONCE)
        tokens = [Token(settings, each).text for each in clients]
        asking = [PatientClient(http, token, patience_seconds, turns, NOBODY_ANSWERS) for token in tokens]
        senders = [Sender(each, urls) for each in asking]
        player = Player(region, senders[0], senders[1])
        started = time.monotonic()
        await player.set_up()
        await _people(console, player, path, kept)
    _tell(console, player, time.monotonic() - started)


async def _registered(settings: AccessSettings, client_id: str) -> str:
    """A client with a key of its own on this machine; doing it again changes nothing."""
    key_file = settings.key_file(client_id)
    keys = load_private_keys(key_file) if key_file.exists() else (make_private_key(key_file),)
    role = ACTING.get(client_id.partition(".")[2])
    client = Client(client_id, Scopes.parse("system/*.crus"), jwks=public_key_set(keys))
    if role is not None:
        client = replace(client, scopes=ROLES[role], roles=(role,), fhir_user=f"Practitioner/synthetic-{role}")
    await add_client(settings, client, replace=True)
    return client_id


async def _people(console: Console, player: Player, path: Path, kept: Kept) -> None:
    """Everybody who is not there yet, so many at once, in their order."""
    region = player.region
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        first = min(kept.people, region.patients)
        bar = progress.add_task("people", total=region.patients, completed=first, pace="")
        started = saved = time.monotonic()
        waiting: list[asyncio.Task[None]] = []

        async def take() -> None:
            nonlocal saved
            await waiting.pop(0)
            kept.people += 1
            now = time.monotonic()
            pace = f"{(kept.people - first) / (now - started):,.1f} people a second"
            progress.update(bar, completed=kept.people, pace=pace)
            if now - saved > KEPT_EVERY_SECONDS:
                _keep(path, kept)
                saved = now

        try:
            for person in region.people(first):
                waiting.append(asyncio.create_task(player.play(person)))
                if len(waiting) >= PEOPLE_AT_ONCE:
                    await take()
            while waiting:
                await take()
        finally:
            _keep(path, kept)
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


def _keep(path: Path, kept: Kept) -> None:
    path.write_bytes(msgspec.json.encode(kept))


def _earlier(path: Path, suite: str, last_day: date | None) -> Kept:
    """How far an earlier run came; from the start in another suite, with other numbers or another last day."""
    digest = hashlib.sha256((files(__package__) / "region.toml").read_bytes()).hexdigest()
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    except (FileNotFoundError, msgspec.DecodeError):
        kept = None
    if kept is not None and (kept.suite, kept.numbers) == (suite, digest) and last_day in {None, kept.last_day}:
        return kept
    return Kept(suite, digest, last_day or (datetime.now(UTC) - timedelta(days=1)).date())


def _tell(console: Console, player: Player, seconds: float) -> None:
    clients = (player.ehr.client, player.desk.client)
    requests, later = sum(each.requests for each in clients), sum(each.asked_to_wait for each in clients)
    region = player.region
    console.print(
        f"{region.patients:,} people of seed {region.seed} until {region.last_day} are there."
        f" {requests:,} requests in {seconds:,.0f} s, {later:,} of them asked to come again later."
    )
    console.print("What follows from them arrives in the other services within seconds of each.")
