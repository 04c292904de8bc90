"""The command `stepwell doctor`: looks at everything at once, prints a table or JSON, and ends with what it found."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field
from rich.console import Console
from rich.table import Table

from stepwell_shared.auth.service_tokens import service_client_id
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.doctor import databases, findings, network
from stepwell_shared.cli.doctor.findings import Finding, State
from stepwell_shared.cli.errors import FAILED
from stepwell_shared.http_client import http_client
from stepwell_shared.settings import SERVICES

WIDTH_OF_FILES = 400
COLOURS = {State.GOOD: "green", State.LOOK: "yellow", State.OPEN: "yellow", State.WRONG: "bold red"}
NEEDED = (
    "issuer_url",
    *(f"{service}_url" for service in SERVICES),
    *(f"{service}_database_url" for service in SERVICES),
)


class DoctorSettings(AccessSettings):
    """What the doctor looks at beside what the access commands know."""

    issuers_file: Path | None = Field(default=None, description="as the services have it")
    outbox_age_warning_seconds: float = Field(default=300.0, description="as the services have it")


async def examine(
    settings: DoctorSettings, client: str | None, key_file: Path | None, *, audits: bool = True
) -> list[Finding]:
    """Everything that can be seen from here, in the order in which it should be mended."""
    found = [_setting(settings, name) for name in NEEDED if not getattr(settings, name)]
    urls = {name: str(url).rstrip("/") for name in SERVICES if (url := getattr(settings, f"{name}_url"))}
    looks = {
        name: databases.examine(
            name,
            settings.text(f"{name}_database_url"),
            urls,
            age_seconds_max=settings.outbox_age_warning_seconds,
            audits=audits,
        )
        for name in SERVICES
        if getattr(settings, f"{name}_database_url")
    }
    seen = dict(zip(looks, await asyncio.gather(*looks.values()), strict=True))
    tenants = {name: known for name, (_, known) in seen.items() if known is not None}
    found += [each for listed, _ in seen.values() for each in listed]
    found += [findings.of_tenants(tenants)] if tenants else []
    async with http_client() as http:
        for name, url in urls.items():
            found += await network.examine(http, name, url, settings.issuer_url)
        if settings.issuer_url:
            asking, key = _client(
                settings, client, key_file, min(map(min, filter(None, tenants.values())), default=None)
            )
            found += await network.tokens(http, settings.issuer_url, asking, key, urls)
        found += await network.external_issuers(http, settings.issuers_file)
    return found


def _client(
    settings: AccessSettings, client: str | None, key_file: Path | None, tenant: str | None
) -> tuple[str, Path]:
    """Who asks for a token: the one that was named, or one of our own services in a tenant that there is."""
    if client:
        return client, key_file or settings.key_file(client)
    own = SERVICES[0]
    return service_client_id(tenant or "TENANT", own), settings.key_file(f"service-{own}")


def _setting(settings: AccessSettings, name: str) -> Finding:
    variable = f"STEPWELL_{name.upper()}"
    return Finding(
        "settings", variable, State.WRONG, "is not set", f"Set it here or in {settings.home / 'stepwell.env'}."
    )


def show(console: Console, found: Sequence[Finding], *, everything: bool) -> None:
    """A table of what is not good, or of everything, and what to do."""
    shown = [each for each in found if everything or each.state is not State.GOOD]
    if shown:
        table = Table("where", "what", "", "seen", "what to do", box=None, header_style="bold", padding=(0, 2, 0, 0))
        for each in shown:
            table.add_row(each.place, each.subject, f"[{COLOURS[each.state]}]{each.state}[/]", each.told, each.to_do)
        console.print(table)
    counts = {state: sum(each.state is state for each in found) for state in State}
    console.print("\n" + ", ".join(f"{count} {state}" for state, count in counts.items() if count) + ".")


def add_doctor_command(app: typer.Typer) -> None:
    """Adds the command `doctor`."""

    @app.command("doctor")
    def command(
        client: Annotated[str | None, typer.Option(metavar="TENANT.NAME", help="who asks for a token")] = None,
        key_file: Annotated[Path | None, typer.Option(help="its private key; else the one that is kept here")] = None,
        audit: Annotated[bool, typer.Option(help="compute the seals of every audit again")] = True,
        everything: Annotated[bool, typer.Option("--all", help="show what is good as well")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="every finding, for programs")] = False,
    ) -> None:
        """Look at a deployment and say what is wrong and what to do. Exit code 1: something is wrong."""
        found = asyncio.run(examine(DoctorSettings(), client, key_file, audits=audit))
        if as_json:
            typer.echo(json.dumps([asdict(each) for each in found], indent=1))
        else:
            # Commands are there to be copied: where no person looks, no line is folded.
            console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_OF_FILES)
            show(console, found, everything=everything)
        if any(each.state is State.WRONG for each in found):
            raise typer.Exit(FAILED)
