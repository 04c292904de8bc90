"""`stepwell instrument`: which instruments there are, what a form of each must look like, and bringing a site's own."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from stepwell_shared.auth.keys import KeyFileError
from stepwell_shared.auth.service_tokens import TokenRequestError
from stepwell_shared.cli.access import AccessSettings, fetch_token
from stepwell_shared.cli.errors import SetupError, fail, told_plainly
from stepwell_shared.http_client import HttpError, http_client

from stepwell_screening.instruments.skeletons import skeletons
from stepwell_screening.rules.skeletons import Skeleton, template_of

FHIR_JSON = "application/fhir+json"
InstrumentId = Annotated[str, typer.Argument(metavar="INSTRUMENT", help="as `stepwell instrument list` has it")]

commands = typer.Typer(no_args_is_help=True)


def add_commands(app: typer.Typer) -> None:
    """Adds the command `instrument`."""
    app.add_typer(commands, name="instrument", help="Instruments: what ships, and what a site brings the wording of.")


@commands.command("list")
def show_all() -> None:
    """List the instruments with their licence class: A ships with its wording, of B and C a site brings it."""
    for skeleton in skeletons().values():
        typer.echo(f"{skeleton.licence_class}  {skeleton.id:<30}{len(skeleton.items):>3} questions  {skeleton.title}")


@commands.command("show")
def show(
    instrument: InstrumentId,
    form: Annotated[bool, typer.Option("--form", help="a Questionnaire to put the wording into, as JSON")] = False,
) -> None:
    """Show the licence, source and structure of an instrument."""
    skeleton = _skeleton(instrument)
    if form:
        typer.echo(json.dumps(template_of(skeleton), indent=2, default=float))
        return
    typer.echo(f"{skeleton.title} ({skeleton.name}), licence class {skeleton.licence_class}")
    for text in (skeleton.notice, skeleton.source, skeleton.option_order):
        if text:
            typer.echo(text)
    for item in skeleton.items:
        options = "" if item.options is None else f"{len(item.options)} options"
        bounds = "" if item.minimum is None else f"{item.minimum} to {item.maximum}"
        typer.echo(f"{item.link_id:<36}{item.kind:<9}{options or bounds:<12}{item.code[1]}  {item.topic}".rstrip())


@commands.command("import")
def bring(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="the site's Questionnaire, as JSON")],
    client: Annotated[str, typer.Option(metavar="TENANT.NAME", help="who may create Questionnaires in screening")],
    instrument: Annotated[str, typer.Option(help="which one it is; else its code says so")] = "",
    attest: Annotated[str, typer.Option(metavar="NAME", help="who says that the site may use the wording")] = "",
    licence: Annotated[str, typer.Option(metavar="TEXT", help="under which licence or permission")] = "",
) -> None:
    """Publish a site's own form of an instrument, once it has the instrument's structure."""
    with told_plainly(KeyFileError, TokenRequestError, HttpError):
        form = _read(file)
        skeleton = _skeleton(instrument) if instrument else _said_by(form)
        texts = {"attestedBy": attest, "licence": licence}
        published = asyncio.run(_send(client, skeleton, form, {name: text for name, text in texts.items() if text}))
    canonical = f"{published['url']}|{published['version']}"
    typer.echo(f"{skeleton.name} is published as {canonical} (Questionnaire/{published['id']}).")


def _skeleton(instrument: str) -> Skeleton:
    found = skeletons().get(instrument)
    if found is None:
        fail(f"There is no instrument {instrument}: see `stepwell instrument list`.")
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        form = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SetupError(f"The form {path} cannot be read: {error}.") from error
    if not isinstance(form, dict) or form.get("resourceType") != "Questionnaire":
        raise SetupError(f"The form {path} is no Questionnaire.")
    return form


def _said_by(form: dict[str, Any]) -> Skeleton:
    """The one instrument whose code the form has."""
    codes = {(each.get("system"), each.get("code")) for each in form.get("code", [])}
    found = [skeleton for skeleton in skeletons().values() if skeleton.code in codes]
    if len(found) != 1:
        raise SetupError("The form's code does not say which instrument it is: name it with --instrument.")
    return found[0]


async def _send(client: str, skeleton: Skeleton, form: dict[str, Any], texts: dict[str, str]) -> dict[str, Any]:
    """The published form. Raises SetupError with every issue and its place when it is refused, and HttpError."""
    settings = AccessSettings()
    headers = {"Authorization": f"Bearer {await fetch_token(settings, client)}", "Content-Type": FHIR_JSON}
    parameters = [
        {"name": "instrument", "valueCode": skeleton.id},
        {"name": "questionnaire", "resource": form},
        *({"name": name, "valueString": text} for name, text in texts.items()),
    ]
    body = {"resourceType": "Parameters", "parameter": parameters}
    url = f"{settings.text('screening_url')}/Questionnaire/$import"
    async with http_client() as http:
        answer = await http.request("POST", url, json=body, headers=headers)
    found: dict[str, Any] = answer.json()
    if answer.status_code not in {200, 201}:
        raise SetupError("\n".join(f"{_place(issue)}{issue.get('diagnostics', '')}" for issue in found["issue"]))
    return found


def _place(issue: dict[str, Any]) -> str:
    return f"{issue['expression'][0]}: " if issue.get("expression") else ""
