"""`stepwell reindex`: gives resources that are already stored the search values that a new release keeps."""

import asyncio
from typing import Annotated

import typer

from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.errors import told_plainly
from stepwell_shared.database.pool import Database
from stepwell_shared.fhir.indexing import localiser
from stepwell_shared.fhir.reindexing import Reindexed, reindex
from stepwell_shared.installed import service_named
from stepwell_shared.runtime import Runtime
from stepwell_shared.settings import SERVICES


async def reindex_service(settings: AccessSettings, name: str, *, everything: bool = False) -> list[Reindexed]:
    """Indexes anew what one service keeps, where search keeps other values now. Raises SetupError."""
    registry = service_named(name).resources(Runtime())
    localise = localiser([settings.text(f"{each}_url") for each in SERVICES])
    async with Database.open(settings.text(f"{name}_database_url"), connections_max=2) as database:
        tenants = await list_tenants(database)
        return await reindex(database, registry, localise, tenants, everything=everything)


def add_reindex_command(app: typer.Typer) -> None:
    """Adds the command `reindex`."""

    @app.command("reindex")
    def command(
        service: Annotated[
            str | None, typer.Argument(help="one service; else all four", envvar="STEPWELL_SERVICE")
        ] = None,
        everything: Annotated[bool, typer.Option("--everything", help="also what is up to date")] = False,
    ) -> None:
        """Give stored resources the search values that this release keeps; run it after an upgrade."""
        with told_plainly(LookupError):
            settings = AccessSettings()
            for name in [service] if service else SERVICES:
                for each in asyncio.run(reindex_service(settings, name, everything=everything)):
                    typer.echo(f"{name}: {each.resource_type}: {each.changed} of {each.seen} indexed anew")
