"""`stepwell deliveries` and `stepwell topics`: who is told of what, what could not be delivered, what to do then.

Works on the databases that the environment or `stepwell.env` names, like the access commands.
"""

import asyncio
import sys
from collections.abc import Coroutine, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from stepwell_shared.auth import tenants
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.errors import SetupError, database_told_plainly
from stepwell_shared.database.pool import Database
from stepwell_shared.events.documentation import topics_page
from stepwell_shared.events.standing import Standing, Unsent, leave_numbers, resolve_parked, standing, unsent
from stepwell_shared.installed import service_named
from stepwell_shared.settings import SERVICES

Answer = TypeVar("Answer")
UNSENT_SHOWN_MAX = 100
WIDTH_OF_FILES = 400

Service = Annotated[str, typer.Argument(help=f"who announces: one of {', '.join(SERVICES)}")]
Tenant = Annotated[str, typer.Argument(help="whose events")]
SubscriptionId = Annotated[
    str, typer.Argument(metavar="SUBSCRIPTION", help="id as `stepwell deliveries list` shows it")
]
Numbers = Annotated[list[int] | None, typer.Argument(help="event numbers; all that are parked when left out")]

commands = typer.Typer(no_args_is_help=True)


def add_delivery_commands(app: typer.Typer) -> None:
    """Adds the commands `deliveries` and `topics`."""
    app.add_typer(commands, name="deliveries", help="Events on their way: who gets them, what waits, what is parked.")
    app.command("topics")(_topics)


def _topics() -> None:
    """Print the page about all topics (docs/topics.md)."""
    typer.echo(all_topics(), nl=False)


def all_topics() -> str:
    """The page about the topics of all services, as Markdown."""
    return topics_page((name, service_named(name).topics) for name in SERVICES)


@commands.command("list")
def list_subscriptions(
    service: Annotated[str | None, typer.Option(help="only of this service")] = None,
    tenant: Annotated[str | None, typer.Option(help="only of this tenant")] = None,
    trouble: Annotated[bool, typer.Option("--trouble", help="only where something waits, is parked or fails")] = False,
) -> None:
    """List subscriptions with what they are owed."""
    found = _run(_standings(AccessSettings(), [service] if service else list(SERVICES), tenant))
    shown = [(name, each) for name, each in found if not trouble or _is_trouble(each)]
    if not shown:
        typer.echo("Nothing waits, is parked or fails." if trouble else "There are no subscriptions.")
        return
    _print(_subscriptions(shown, datetime.now(UTC)))


@commands.command("show")
def show(service: Service, tenant: Tenant, subscription: SubscriptionId) -> None:
    """Show one subscription with the events that wait or are parked, and why."""
    each, events = _run(_details(AccessSettings(), service, tenant, subscription))
    now = datetime.now(UTC)
    _print(_subscriptions([(service, each)], now))
    if each.last_error:
        typer.echo(f"Last error: {each.last_error}. Next attempt: {_when(each.next_attempt_at, now)}.")
    if events:
        _print(_events(events, now))
    else:
        typer.echo("No event waits or is parked.")


@commands.command("replay")
def replay(service: Service, tenant: Tenant, subscription: SubscriptionId, numbers: Numbers = None) -> None:
    """Send parked events again, and try a silent subscriber now."""
    resolved = _run(_resolve(AccessSettings(), service, tenant, subscription, numbers, ""))
    typer.echo(f"{_count(resolved, 'parked event')} will be sent again; the subscriber is tried now.")


@commands.command("skip")
def skip(
    service: Service,
    tenant: Tenant,
    subscription: SubscriptionId,
    numbers: Numbers = None,
    reason: Annotated[str, typer.Option(help="why they need not be sent; kept with them")] = "skipped by an operator",
) -> None:
    """Give up parked events: they are never sent, and kept no longer than delivered ones."""
    resolved = _run(_resolve(AccessSettings(), service, tenant, subscription, numbers, reason))
    typer.echo(f"{_count(resolved, 'parked event')} skipped.")


@commands.command("restored")
def restored(
    numbers: Annotated[
        int, typer.Option(min=1, help="more than any subscription had events since the moment")
    ] = 1_000_000,
) -> None:
    """After a restore from a backup, before the services start: give no number to two events."""
    counted = _run(_leave_numbers(AccessSettings(), numbers))
    typer.echo(f"The next events of {_count(counted, 'subscription')} have numbers that are higher by {numbers}.")


async def _leave_numbers(settings: AccessSettings, numbers: int) -> int:
    counted = 0
    for name in SERVICES:
        async with _database(settings, name) as database:
            for tenant in await tenants.list_tenants(database):
                counted += await leave_numbers(database, tenant, numbers)
    return counted


async def _standings(
    settings: AccessSettings, services: Sequence[str], tenant: str | None
) -> list[tuple[str, Standing]]:
    found: list[tuple[str, Standing]] = []
    for name in services:
        async with _database(settings, name) as database:
            names = [tenant] if tenant else await tenants.list_tenants(database)
            found += [(name, each) for each in await standing(database, names)]
    return found


async def _details(
    settings: AccessSettings, service: str, tenant: str, subscription_id: str
) -> tuple[Standing, list[Unsent]]:
    async with _database(settings, service) as database:
        each = await _known(database, tenant, subscription_id)
        events: list[Unsent] = []
        for status in ("parked", "waiting"):
            events += await unsent(database, tenant, subscription_id, status, UNSENT_SHOWN_MAX)
        return each, events


async def _resolve(
    settings: AccessSettings,
    service: str,
    tenant: str,
    subscription_id: str,
    numbers: Sequence[int] | None,
    skip_reason: str,
) -> int:
    async with _database(settings, service) as database:
        await _known(database, tenant, subscription_id)
        resolved = await resolve_parked(
            database, tenant, subscription_id, list(numbers) if numbers else None, skip_reason=skip_reason
        )
        if numbers and resolved < len(set(numbers)):
            typer.echo(f"Only {resolved} of the {len(set(numbers))} numbers were parked.", err=True)
        return resolved


async def _known(database: Database, tenant: str, subscription_id: str) -> Standing:
    found = await standing(database, [tenant], [subscription_id])
    if not found:
        raise SetupError(f"The tenant {tenant} has no subscription {subscription_id}: see `stepwell deliveries list`.")
    return found[0]


def _database(settings: AccessSettings, service: str) -> Any:
    if service not in SERVICES:
        raise SetupError(f"There is no service {service}: use {', '.join(SERVICES)}.")
    return Database.open(settings.text(f"{service}_database_url"), connections_max=1)


def _is_trouble(each: Standing) -> bool:
    return bool(each.waiting or each.parked or each.last_error or each.status == "error")


def _subscriptions(found: Iterable[tuple[str, Standing]], now: datetime) -> Table:
    table = _table("service", "tenant", "subscription", "topic", "to", "status")
    for name in ("events", "waiting", "parked", "oldest owed"):
        table.add_column(name, justify="right")
    for service, each in found:
        table.add_row(
            *(service, each.tenant, each.subscription_id, each.topic.rpartition("/")[2]),
            urlsplit(each.endpoint).netloc,
            each.status,
            *(str(number) for number in (each.events_total, each.waiting, each.parked)),
            _duration(now - each.oldest) if each.oldest else "",
        )
    return table


def _events(events: Iterable[Unsent], now: datetime) -> Table:
    table = _table("number", "about", "recorded", "status", "attempts", "next attempt", "reason")
    for event in events:
        due = _when(event.next_attempt_at, now) if event.status == "waiting" else ""
        recorded = event.recorded.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        table.add_row(str(event.number), event.focus, recorded, event.status, str(event.attempts), due, event.reason)
    return table


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name == "subscription")
    return table


def _print(table: Table) -> None:
    # Ids are there to be copied: where no person looks, no line is folded.
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_FILES)
    console.print(table, highlight=False, markup=False)


def _when(moment: datetime, now: datetime) -> str:
    if moment <= now:
        return "now"
    wait = moment - now
    return "when the client or an operator asks for it" if wait > timedelta(days=3650) else f"in {_duration(wait)}"


def _duration(length: timedelta) -> str:
    """A length of time in its largest unit."""
    seconds = max(0, int(length.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """The work's answer; what went wrong is one sentence on stderr and exit code 1."""
    with database_told_plainly():
        return asyncio.run(work)
