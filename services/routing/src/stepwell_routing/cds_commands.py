"""`stepwell cds`: which EHRs may ask for cards, and what clinicians do with them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from stepwell_shared.auth.keys import KeyFileError
from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database

from stepwell_routing.cds.clients import CdsClient, list_cds_clients, register_cds_client, remove_cds_client
from stepwell_routing.cds.feedback import feedback_rates

Answer = TypeVar("Answer")
Tenant = Annotated[str, typer.Argument(help="the tenant that the client is answered from")]
Issuer = Annotated[str, typer.Argument(help="the `iss` of its tokens")]
Organisation = Annotated[str, typer.Option(help="the claim `tenant` of its tokens, where one issuer acts for several")]

commands = typer.Typer(no_args_is_help=True)


def add_commands(app: typer.Typer) -> None:
    """Adds the command `cds`."""
    app.add_typer(commands, name="cds", help="EHRs that ask for CDS Hooks cards, and what becomes of the cards.")


@commands.command("add")
def add(
    tenant: Tenant,
    issuer: Issuer,
    jwks_file: Annotated[Path | None, typer.Option(help="file with the client's public JWK set")] = None,
    jwks_url: Annotated[
        str | None, typer.Option(help="where the client publishes it; the only jku that is taken")
    ] = None,
    organisation: Organisation = "",
    patient_system: Annotated[
        str | None, typer.Option(help="identifier system of its patients; without it their ids are Stepwell's")
    ] = None,
    app_url: Annotated[str | None, typer.Option(help="SMART launch address that cards link to")] = None,
) -> None:
    """Let an EHR ask for cards, or give it other keys."""

    async def register(database: Database) -> None:
        if tenant not in await list_tenants(database):
            raise SetupError(f"there is no tenant {tenant}; `stepwell tenant add {tenant}` makes one")
        jwks = None if jwks_file is None else json.loads(jwks_file.read_bytes())
        client = CdsClient(issuer, organisation, tenant, jwks, jwks_url, patient_system, app_url)
        if not await register_cds_client(database, client, datetime.now(UTC)):
            raise SetupError("this issuer and organisation are answered from another tenant; remove them there first")

    _run(register)
    typer.echo(f"{issuer} is answered from {tenant}.")


@commands.command("list")
def show(tenant: Tenant) -> None:
    """List the EHRs of a tenant."""
    for each in _run(lambda database: list_cds_clients(database, tenant)):
        typer.echo(" ".join([each.issuer, *([each.organisation] if each.organisation else [])]))


@commands.command("remove")
def remove(tenant: Tenant, issuer: Issuer, organisation: Organisation = "") -> None:
    """Answer an EHR no longer; it holds within half a minute."""
    if not _run(lambda database: remove_cds_client(database, issuer, organisation, tenant)):
        typer.echo("Nothing was changed: there is no such client.", err=True)
        raise typer.Exit(1)


@commands.command("rates")
def rates(tenant: Tenant, days: Annotated[int, typer.Option(min=1, help="how far back")] = 90) -> None:
    """Print how often cards were shown, followed and overridden, by service and by rule."""
    since = datetime.now(UTC) - timedelta(days=days)
    for (service, rule), rate in _run(lambda database: feedback_rates(database, tenant, since)).items():
        reasons = ", ".join(f"{code} {count}" for code, count in sorted(rate.reasons.items()))
        told = f"{service}{f'/{rule}' if rule else ''}: shown {rate.shown}, accepted {rate.accepted}"
        typer.echo(f"{told}, overridden {rate.overridden}{f' ({reasons})' if reasons else ''}")


def _run(ask: Callable[[Database], Awaitable[Answer]]) -> Answer:
    """Asks routing's database; what stands in the way is said in a sentence."""

    async def asked() -> Answer:
        async with Database.open(AccessSettings().text("routing_database_url"), connections_max=1) as database:
            return await ask(database)

    try:
        return asyncio.run(asked())
    except UNAVAILABLE_ERRORS as error:
        typer.echo("Routing's database does not answer; try again when it runs.", err=True)
        raise typer.Exit(1) from error
    except (OSError, ValueError, KeyFileError, SetupError) as error:
        typer.echo(f"Nothing was changed: {error}", err=True)
        raise typer.Exit(1) from error
