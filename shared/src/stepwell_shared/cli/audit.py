"""`stepwell audit`: whether anybody has changed what is on record, at the terminal."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from stepwell_shared.auth.audit_chain import Verified, verify
from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.errors import SetupError, told_plainly
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database
from stepwell_shared.settings import SERVICES

Noted = tuple[str, str, int, str]


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

    @group.callback()
    def _group() -> None:
        """Keeps `verify` a command of its own."""

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
