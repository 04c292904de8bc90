"""`stepwell run`: the database, the four services and one patient's journey on this machine, with nothing to set up.

`stepwell migrate` is its first part alone, here or at the database of one service.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from stepwell_shared.cli.bootstrap import RUNTIME_ROLE, bootstrap, database_name
from stepwell_shared.cli.deployment import FIRST_PORT, LocalDeployment, ports_from
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.cli.errors import told_plainly
from stepwell_shared.cli.journey import TENANT, play
from stepwell_shared.cli.processes import Command, ServiceProcesses, refuse_taken_ports, signals_as_interrupts
from stepwell_shared.migrations import migrate as migrate_service
from stepwell_shared.revisions import Half
from stepwell_shared.settings import SERVICES, MigrationSettings


def home_folder() -> Path:
    """Where this machine's data, keys and logs are kept: STEPWELL_HOME, or .stepwell here."""
    return Path(os.environ.get("STEPWELL_HOME", ".stepwell")).absolute()


@contextmanager
def local_deployment(home: Path, first_port: int = FIRST_PORT) -> Iterator[LocalDeployment]:
    """The suite on this machine, with its database running: the embedded one, or the one of STEPWELL_DATABASE_URL."""
    external = os.environ.get("STEPWELL_DATABASE_URL")
    with ExitStack() as stack:
        url = external or stack.enter_context(EmbeddedPostgres(home / "postgres")).url()
        credentials = home / ("credentials-external.json" if external else "credentials.json")
        names = [database_name(service) for service in SERVICES]
        found = asyncio.run(bootstrap(url, names, credentials, server_is_ours=external is None))
        databases = {service: found[database_name(service)] for service in SERVICES}
        yield LocalDeployment(home, databases, ports_from(first_port))


def prepare_databases() -> None:
    """Makes and migrates the databases of this machine. Raises SetupError."""
    home = home_folder()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with local_deployment(home) as deployment:
        asyncio.run(deployment.migrate())
        asyncio.run(deployment.reindex())


def run_suite(*, journey: bool = True, stay: bool = True, first_port: int = FIRST_PORT) -> None:
    """Starts everything, plays the journey and stays until Ctrl-C, which stops everything cleanly.

    Raises SetupError with what to do next.
    """
    console = Console(highlight=False)
    home = home_folder()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    refuse_taken_ports([Command(name, (), port) for name, port in ports_from(first_port).items()])
    with signals_as_interrupts(), ExitStack() as stack:
        try:
            with console.status("Starting PostgreSQL and bringing the databases up to date ..."):
                deployment = stack.enter_context(local_deployment(home, first_port))
                asyncio.run(deployment.migrate())
                asyncio.run(deployment.reindex())
                deployment.write_settings()
                asyncio.run(deployment.add_tenant(TENANT))
            with console.status("Starting screening, routing, referral and measurement ..."):
                processes = stack.enter_context(ServiceProcesses(deployment.commands(), home / "logs"))
                processes.wait_until_ready()
            if journey:
                asyncio.run(play(deployment, console))
            if stay:
                console.print("\nEverything stays up until you press [bold]Ctrl-C[/bold].")
                processes.wait_until_ended()
        except KeyboardInterrupt:
            console.print("\nStopping the services and the database ...")


def add_run_commands(app: typer.Typer) -> None:
    """Adds the commands `run` and `migrate`."""

    @app.command()
    def run(
        journey: Annotated[bool, typer.Option(help="play one patient's journey once everything runs")] = True,
        stay: Annotated[bool, typer.Option(help="stay up until Ctrl-C")] = True,
        first_port: Annotated[int, typer.Option(help="first of four ports in a row")] = FIRST_PORT,
    ) -> None:
        """Start everything on this machine, play one patient's journey, and stay up until Ctrl-C."""
        with told_plainly():
            run_suite(journey=journey, stay=stay, first_port=first_port)

    @app.command()
    def migrate(
        service: Annotated[
            str | None,
            typer.Argument(help="one service, with STEPWELL_MIGRATION_DATABASE_URL", envvar="STEPWELL_SERVICE"),
        ] = None,
        runtime_role: Annotated[str, typer.Option(help="login of the running service")] = RUNTIME_ROLE,
        half: Annotated[Half | None, typer.Option(help="before the new release, after the old one, or both")] = None,
    ) -> None:
        """Bring one service's database, or all databases of this machine, to the newest schema."""
        if service is None:
            with told_plainly():
                prepare_databases()
            return
        url = MigrationSettings().migration_database_url  # type: ignore[call-arg]  # the environment fills it
        halves = tuple(Half) if half is None else (half,)
        asyncio.run(migrate_service(service, url.get_secret_value(), runtime_role, halves))
