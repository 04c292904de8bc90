"""`stepwell run`: the database, the four services and one patient's journey on this machine, with nothing to set up."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from stepwell_shared.cli.bootstrap import bootstrap, database_name
from stepwell_shared.cli.deployment import FIRST_PORT, LocalDeployment, ports_from
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.cli.journey import TENANT, play
from stepwell_shared.cli.processes import Command, ServiceProcesses, refuse_taken_ports, signals_as_interrupts
from stepwell_shared.settings import SERVICES


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
