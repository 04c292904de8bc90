"""The `stepwell` command. Each sub-command says in one sentence what went wrong and what to do next."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from stepwell_shared.cli.access import add_access_commands
from stepwell_shared.cli.audit import add_audit_commands
from stepwell_shared.cli.bootstrap import RUNTIME_ROLE
from stepwell_shared.cli.deliveries import add_delivery_commands
from stepwell_shared.cli.demo.command import add_demo_command
from stepwell_shared.cli.deployment import FIRST_PORT, TENANT_HOOKS
from stepwell_shared.cli.doctor.command import add_doctor_command
from stepwell_shared.cli.erasing import add_erase_command
from stepwell_shared.cli.errors import told_plainly
from stepwell_shared.cli.exporting import add_export_command
from stepwell_shared.cli.importing import add_import_command
from stepwell_shared.cli.partners import add_partner_commands
from stepwell_shared.cli.policy import add_policy_commands
from stepwell_shared.cli.reindexing import add_reindex_command
from stepwell_shared.cli.reporting import add_report_command
from stepwell_shared.cli.run import prepare_databases, run_suite
from stepwell_shared.cli.serving import serve
from stepwell_shared.cli.thresholds import add_thresholds_command
from stepwell_shared.cli.worklist import add_worklist_command
from stepwell_shared.installed import service_named
from stepwell_shared.migrations import migrate as migrate_service
from stepwell_shared.openapi import collection, collection_text, openapi_document
from stepwell_shared.revisions import Half
from stepwell_shared.runtime import Runtime
from stepwell_shared.settings import SERVICES, MigrationSettings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Stepwell: stepped psychosomatic care over FHIR R4.",
)
app.command()(serve)
add_access_commands(app, TENANT_HOOKS)
add_delivery_commands(app)
add_reindex_command(app)
add_audit_commands(app)
add_doctor_command(app)
add_partner_commands(app)
add_policy_commands(app)
add_import_command(app)
add_export_command(app)
add_erase_command(app)
add_worklist_command(app)
add_report_command(app)
add_thresholds_command(app)
add_demo_command(app)


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


@app.command()
def openapi(folder: Annotated[Path, typer.Option(help="where the files go")] = Path("openapi")) -> None:
    """Write the OpenAPI document of every service, and a collection of its requests for Postman, Bruno and newman."""
    for name in SERVICES:
        document = document_of(name)
        text = yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)
        requests = collection_text(collection(document))
        for path, content in ((f"{name}.yaml", text), (f"collections/{name}.postman_collection.json", requests)):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content, encoding="utf-8")
            typer.echo(f"wrote {folder / path}")


def document_of(name: str) -> dict[str, Any]:
    """The OpenAPI document of one service, the same on every machine."""
    service = service_named(name)
    return openapi_document(service, service.resources(Runtime()), f"https://stepwell.example/{name}/fhir")
