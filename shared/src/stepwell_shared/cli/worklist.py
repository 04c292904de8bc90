"""`stepwell worklist`: a link that opens the coordinators' worklist in a browser, for a client whose key is here."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from stepwell_shared.auth.keys import KeyFileError
from stepwell_shared.auth.service_tokens import TokenRequestError
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.asking import asked_once
from stepwell_shared.cli.errors import SetupError, told_plainly


async def worklist_link(settings: AccessSettings, client_id: str, key_file: Path | None = None) -> str:
    """A link with the rights of this client, good once and for some minutes.

    Raises KeyFileError, TokenRequestError, and SetupError when referral does not give one.
    """
    answer = await asked_once(settings, client_id, "POST", "referral", "worklist/sign-in", key_file)
    if answer.status_code != 200:
        raise SetupError(f"Referral gives {client_id} no link ({answer.status_code}): has it a role for staff?")
    return str(answer.json()["link"])


def add_worklist_command(app: typer.Typer) -> None:
    """Adds the command `worklist`."""

    @app.command("worklist")
    def command(
        client: Annotated[str, typer.Argument(help="such as demo.coordinator; who acts is the person it names")],
        key_file: Annotated[Path | None, typer.Option(help="its private key; else the one that is kept here")] = None,
    ) -> None:
        """Print a link that opens the coordinators' worklist in a browser, once and within five minutes."""
        with told_plainly(KeyFileError, TokenRequestError):
            typer.echo(asyncio.run(worklist_link(AccessSettings(), client, key_file)))
