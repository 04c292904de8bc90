"""`stepwell report`: the quarterly report of a tenant as a file, for a client whose key is here."""

import asyncio
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import typer

from stepwell_shared.auth.keys import KeyFileError
from stepwell_shared.auth.service_tokens import TokenRequestError
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.asking import asked_once
from stepwell_shared.cli.errors import SetupError, told_plainly

FORMATS = {".pdf": "pdf", ".html": "html"}


async def quarterly_report(
    settings: AccessSettings, client_id: str, asked: dict[str, str], key_file: Path | None = None
) -> bytes:
    """The report that is asked for (quarter, practice, language, _format).

    Raises KeyFileError, TokenRequestError, and SetupError when measurement does not give it.
    """
    query = urlencode({name: value for name, value in asked.items() if value})
    answer = await asked_once(settings, client_id, "GET", "measurement", f"dashboard/report?{query}", key_file)
    if answer.status_code != 200:
        raise SetupError(f"Measurement gives {client_id} no such report ({answer.status_code}).")
    return answer.content


def format_of(file: Path) -> str:
    """The format that the end of a file's name says. Raises SetupError."""
    if file.suffix not in FORMATS:
        raise SetupError("The file's name ends with .pdf or .html.")
    return FORMATS[file.suffix]


def add_report_command(app: typer.Typer) -> None:
    """Adds the command `report`."""

    @app.command("report")
    def command(
        client: Annotated[str, typer.Argument(help="a client that may read every MeasureReport")],
        file: Annotated[Path, typer.Argument(help="where it goes: its name ends with .pdf or .html")],
        quarter: Annotated[str, typer.Option(help="such as 2026-Q3; else the last one that is over")] = "",
        practice: Annotated[str, typer.Option(help="the id of one practice's Organization")] = "",
        language: Annotated[str, typer.Option(help="en, de, es or fr")] = "en",
        key_file: Annotated[Path | None, typer.Option(help="its private key; else the one that is kept here")] = None,
    ) -> None:
        """Write the quarterly report to a file, as PDF or HTML."""
        asked = {"quarter": quarter, "practice": practice, "language": language}
        with told_plainly(KeyFileError, TokenRequestError):
            asked["_format"] = format_of(file)
            file.write_bytes(asyncio.run(quarterly_report(AccessSettings(), client, asked, key_file)))
