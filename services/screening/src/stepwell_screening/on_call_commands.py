"""`stepwell oncall`: who is told when a tenant's safety alerts wait, and how soon."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.errors import SetupError, told_plainly
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database

from stepwell_screening import data
from stepwell_screening.rules.escalation import parse_on_call
from stepwell_screening.timers import on_call_document, set_on_call
from stepwell_screening.use_cases.on_call import checked_on_call

Tenant = Annotated[str, typer.Argument(help="whose safety alerts")]

commands = typer.Typer(no_args_is_help=True)


def add_commands(app: typer.Typer) -> None:
    """Adds the command `oncall`."""
    app.add_typer(commands, name="oncall", help="Who is told when a safety alert waits, in which order and when.")


@commands.command("set")
def put(
    tenant: Tenant,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON as `stepwell oncall show` prints it")],
) -> None:
    """Set who is on call. It holds within seconds, for alerts that are open as well."""
    try:
        document = checked_on_call(file.read_text(encoding="utf-8"))
        asyncio.run(store(AccessSettings(), tenant, document))
    except (OSError, ValueError, SetupError) as error:
        typer.echo(f"Nothing was changed: {error}", err=True)
        raise typer.Exit(1) from error
    on_call = parse_on_call(json.loads(document))
    told = ", then ".join(role.display for role in (*on_call.roles, on_call.last_resort))
    typer.echo(f"Safety alerts of {tenant} go to {told}.")


@commands.command("show")
def show(tenant: Tenant) -> None:
    """Print who is on call: what the site has set, else the default that ships."""
    with told_plainly():
        document = asyncio.run(read(AccessSettings(), tenant))
    content = data.on_call() if document is None else json.loads(document)
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False))


async def store(settings: AccessSettings, tenant: str, document: str) -> None:
    """Keeps a checked document; raises SetupError for a tenant that there is none of."""
    try:
        async with Database.open(settings.text("screening_database_url"), connections_max=1) as database:
            if tenant not in await list_tenants(database):
                raise SetupError(f"there is no tenant {tenant}; `stepwell tenant add {tenant}` makes one")
            await set_on_call(database, tenant, document, datetime.now(UTC))
    except UNAVAILABLE_ERRORS as error:
        raise SetupError("screening's database does not answer; try again when it runs") from error


async def read(settings: AccessSettings, tenant: str) -> str | None:
    """What the tenant has set; None where the default holds."""
    try:
        async with Database.open(settings.text("screening_database_url"), connections_max=1) as database:
            return await on_call_document(database, tenant)
    except UNAVAILABLE_ERRORS as error:
        raise SetupError("screening's database does not answer; try again when it runs") from error
