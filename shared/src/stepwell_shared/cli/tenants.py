"""`stepwell tenant`: who is kept apart from whom."""

from collections.abc import Sequence
from typing import Annotated

import typer

from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.cli.access import AccessSettings, TenantHook, add_tenant, on_issuer, run_plainly
from stepwell_shared.cli.deployment import TENANT_HOOKS


def add_tenant_commands(app: typer.Typer, hooks: Sequence[TenantHook] = TENANT_HOOKS) -> None:
    """Adds the command; the hooks run for each tenant that is added."""
    commands = typer.Typer(no_args_is_help=True)
    app.add_typer(commands, name="tenant", help="Tenants: who is kept apart from whom.")

    @commands.command("add")
    def add(name: Annotated[str, typer.Argument(help="lower-case letters, digits and hyphens")]) -> None:
        """Add a tenant to every service, with what ships as its default data."""
        run_plainly(add_tenant(AccessSettings(), name, hooks))
        typer.echo(f"The tenant {name} is ready. Next: stepwell client add {name}.NAME --role clinician ...")

    @commands.command("list")
    def show() -> None:
        """List the tenants."""
        for name in run_plainly(on_issuer(list_tenants)):
            typer.echo(name)
