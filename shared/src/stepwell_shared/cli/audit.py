"""`stepwell audit`: whether anybody has changed what is on record, at the terminal."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from stepwell_shared.auth.audit_chain import Verified, verify
from stepwell_shared.auth.break_glass import NUMBER_PREFIX
from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.audit_exporting import add_audit_export_command
from stepwell_shared.cli.errors import SetupError, database_told_plainly, told_plainly
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database
from stepwell_shared.settings import SERVICES

# The Patient is said where the token was asked for, and wherever it was read itself.
_BROKEN = """SELECT min(recorded) AS first, client_id, fhir_user,
  max(resource_id) FILTER (WHERE resource_type = 'Patient') AS patient,
  split_part(token_id, '.', 2) AS reason, count(*) FILTER (WHERE interaction <> '$break-glass') AS accesses
  FROM audit WHERE tenant = $1 AND recorded >= $2 AND token_id LIKE $3
  GROUP BY token_id, client_id, fhir_user ORDER BY first"""

Noted = tuple[str, str, int, str]


class Broken(NamedTuple):
    """One token by which the glass was broken, and what came of it in one service."""

    first: datetime
    client_id: str
    fhir_user: str | None
    patient: str | None
    reason: str
    accesses: int


def noted_seal(text: str) -> Noted:
    """Service, tenant, number and digest of `service/tenant/number:digest`. Raises SetupError."""
    place, _, digest = text.partition(":")
    service, _, rest = place.partition("/")
    tenant, _, number = rest.partition("/")
    if service not in SERVICES or not tenant or not number.isdecimal() or len(digest) != 64:
        raise SetupError(
            f"'{text}' is no seal; the log and `stepwell audit verify` say them as service/tenant/1:4f8a..."
        )
    return service, tenant, int(number), digest.lower()


async def verify_service(
    settings: AccessSettings, service: str, tenants: Sequence[str], noted: Sequence[Noted]
) -> dict[str, Verified]:
    """The chain of each tenant in one service. Raises SetupError when its database cannot be asked."""
    try:
        async with Database.open(settings.text(f"{service}_database_url"), connections_max=2) as database:
            found = tenants or await list_tenants(database)
            return {
                tenant: await verify(database, tenant, [each[2:] for each in noted if each[:2] == (service, tenant)])
                for tenant in found
            }
    except UNAVAILABLE_ERRORS as error:
        raise SetupError(f"the database of {service} does not answer: {type(error).__name__}") from error


def add_audit_commands(app: typer.Typer) -> None:
    """Adds the commands of `stepwell audit`."""
    group = typer.Typer(help="Who saw and did what, and whether the record of it is whole.", no_args_is_help=True)
    app.add_typer(group, name="audit")
    add_audit_export_command(group)

    @group.command("verify")
    def command(
        service: Annotated[str | None, typer.Argument(help="one service; else all four")] = None,
        tenant: Annotated[list[str] | None, typer.Option(help="one tenant, or several; else all")] = None,
        seal: Annotated[list[str] | None, typer.Option(help="a seal noted elsewhere: service/tenant/7:4f8a...")] = None,
    ) -> None:
        """Compute the seals of every audit again. Exit code 1: an entry was changed, removed or added."""
        with told_plainly(LookupError):
            settings, noted = AccessSettings(), [noted_seal(each) for each in seal or ()]
            found = {
                name: asyncio.run(verify_service(settings, name, tenant or (), noted))
                for name in ([service] if service else SERVICES)
            }
        if not show(Console(), found):
            raise typer.Exit(1)

    @group.command("broken-glass")
    def broken(
        tenant: Annotated[str, typer.Argument()],
        days: Annotated[int, typer.Option(min=1, help="how far back")] = 30,
    ) -> None:
        """List who read somebody's data in an emergency, whatever Consents say: when, whose, why and how much."""
        with database_told_plainly():
            settings = AccessSettings()
            since = datetime.now(UTC) - timedelta(days=days)
            found = {name: asyncio.run(broken_in(settings, name, tenant, since)) for name in SERVICES}
        show_broken(Console(), found)


async def broken_in(settings: AccessSettings, service: str, tenant: str, since: datetime) -> list[Broken]:
    """Each time that the glass was broken, as one service saw it. Raises SetupError."""
    async with (
        Database.open(settings.text(f"{service}_database_url"), connections_max=1) as database,
        database.transaction(tenant) as connection,
    ):
        rows = await connection.fetch(_BROKEN, tenant, since, f"{NUMBER_PREFIX}%")
    return [Broken(*row) for row in rows]


def show_broken(console: Console, found: Mapping[str, Sequence[Broken]]) -> None:
    """Prints a line for each time and service, the newest first."""
    table = Table("when", "who", "for", "whose data", "why", "service", "accesses", box=None, header_style="bold")
    lines = [(each, service) for service, times in found.items() for each in times]
    for each, service in sorted(lines, key=lambda line: line[0].first, reverse=True):
        who = (each.client_id, each.fhir_user or "", f"Patient/{each.patient}" if each.patient else "", each.reason)
        table.add_row(f"{each.first:%Y-%m-%d %H:%M}", *who, service, str(each.accesses))
    console.print(table if lines else "Nobody has broken the glass.", soft_wrap=True)


def show(console: Console, found: dict[str, dict[str, Verified]]) -> bool:
    """Prints a line for each chain, its newest seal and each fault; whether all chains hold."""
    table = Table("service", "tenant", "entries sealed", "not yet", "", box=None, header_style="bold")
    seals, faults = [], []
    for service, chains in found.items():
        for tenant, chain in chains.items():
            word = "[red]broken[/red]" if chain.faults else "whole"
            table.add_row(service, tenant, f"{chain.entries:,}", f"{chain.unsealed:,}", word)
            seals += [f"{service}/{tenant}/{chain.seals}:{chain.head}"] if chain.seals else []
            faults += [f"{service}, {tenant}, seal {fault.number}: {fault.text}" for fault in chain.faults]
    console.print(table)
    if seals:
        console.print("\nThe newest seals; noted elsewhere, they hold this record to what it is now (--seal):")
        console.print("\n".join(seals), soft_wrap=True, highlight=False)
    for fault in faults:
        console.print(fault, style="red", markup=False, soft_wrap=True)
    return not faults
