"""`stepwell import`: questionnaire responses from a file, one JSON object a line, sent to screening like any other.

What was taken is written down beside the file while it goes on, in the order of the lines: stopped at any point and
started again, the command goes on where it was. A line that is sent twice is stored once, because each travels under
an Idempotency-Key that follows from its text.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec
import orjson
import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.asking import PatientClient, Token
from stepwell_shared.cli.errors import resumable
from stepwell_shared.http_client import HttpResponse, http_client

LINE_BYTES_MAX = 1_048_576
AT_ONCE = 16
KEPT_EVERY_SECONDS = 0.5
REASONS_SHOWN_MAX = 10
SOME_REFUSED = 3  # exit code


class Line(msgspec.Struct, frozen=True):
    """One line of the file with its number from 1 and the place in the file where it ends."""

    number: int
    text: bytes
    end: int


class Kept(msgspec.Struct):
    """How far an import is: all lines before `offset` have their answer."""

    size: int
    start_sha256: str
    offset: int = 0
    lines: int = 0
    stored: int = 0
    known: int = 0
    refused: int = 0
    report_bytes: int = 0

    def is_of(self, other: "Kept") -> bool:
        """Whether it was kept for the same file."""
        return (self.size, self.start_sha256) == (other.size, other.start_sha256)


class Import:
    """One file on its way. Not to be run twice at once."""

    def __init__(self, path: Path, client: PatientClient, address: str) -> None:
        """`address` is where responses are posted."""
        self._path = path
        self._client = client
        self._address = address
        self.report = path.with_name(path.name + ".refused.ndjson")
        self._progress = path.with_name(path.name + ".progress.json")
        self.kept = self._earlier()

    def _earlier(self) -> Kept:
        with self._path.open("rb") as file:
            fresh = Kept(self._path.stat().st_size, sha256(file.read(65_536)).hexdigest())
        try:
            kept = msgspec.json.decode(self._progress.read_bytes(), type=Kept)
        except (FileNotFoundError, msgspec.DecodeError):
            return fresh
        return kept if kept.is_of(fresh) else fresh

    async def run(self) -> AsyncIterator[Kept]:
        """Sends what is left, and says again and again how far it is.

        Raises SetupError when the service cannot be reached or does not let this client in; what was answered until
        then is kept.
        """
        with self.report.open("r+b" if self.report.exists() else "w+b") as report, self._path.open("rb") as file:
            report.truncate(self.kept.report_bytes)
            report.seek(self.kept.report_bytes)
            file.seek(self.kept.offset)
            waiting: list[tuple[Line, asyncio.Task[HttpResponse | None]]] = []
            kept_at = time.monotonic()
            try:
                for line in _lines(file, self.kept.lines, self.kept.offset):
                    waiting.append((line, asyncio.create_task(self._post(line))))
                    if len(waiting) >= AT_ONCE:
                        await self._take(*waiting[0], report)
                        del waiting[0]
                    if time.monotonic() - kept_at > KEPT_EVERY_SECONDS:
                        self._keep(report)
                        kept_at = time.monotonic()
                        yield self.kept
                while waiting:
                    await self._take(*waiting[0], report)
                    del waiting[0]
            finally:
                self._keep(report)
                for _, task in waiting:
                    task.cancel()
                await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)
        if not self.kept.refused:
            self.report.unlink()
        yield self.kept

    def _keep(self, report: IO[bytes]) -> None:
        """The report first: what is in it beyond the place written down is cut off when the import goes on."""
        report.flush()
        self.kept.report_bytes = report.tell()
        new = self._progress.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(self.kept))
        new.replace(self._progress)

    async def _take(self, line: Line, task: "asyncio.Task[HttpResponse | None]", report: IO[bytes]) -> None:
        response = await task
        status = 413 if response is None else response.status_code
        if status == 201:
            self.kept.stored += 1
        elif status == 200:
            self.kept.known += 1
        else:
            self.kept.refused += 1
            report.write(orjson.dumps({"line": line.number, "status": status, "issue": _issues(response)}) + b"\n")
        self.kept.lines, self.kept.offset = line.number, line.end

    async def _post(self, line: Line) -> HttpResponse | None:
        """The answer that counts; None for a line that is too long to be sent."""
        if len(line.text) > LINE_BYTES_MAX:
            return None
        headers = {
            "Content-Type": "application/fhir+json",
            "Idempotency-Key": sha256(line.text).hexdigest(),
            "Prefer": "return=minimal",
        }
        return await self._client.ask("POST", self._address, content=line.text, headers=headers)


def _lines(file: IO[bytes], number: int, offset: int) -> Iterator[Line]:
    """The lines that are not empty; one that is far too long is cut, so that memory stays flat."""
    while text := file.readline(LINE_BYTES_MAX + 2):
        number, offset = number + 1, offset + len(text)
        if not text.endswith(b"\n") and len(text) > LINE_BYTES_MAX:
            while (rest := file.readline(LINE_BYTES_MAX)) and not rest.endswith(b"\n"):
                offset += len(rest)
            offset += len(rest)
        if stripped := text.strip():
            yield Line(number, stripped, offset)


def _issues(response: HttpResponse | None) -> list[dict[str, Any]]:
    """What was wrong, without what the line said."""
    if response is None:
        return [{"code": "too-long", "text": f"a line may have {LINE_BYTES_MAX:,} bytes"}]
    try:
        issues = response.json().get("issue", [])
    except (ValueError, AttributeError):
        return [{"code": "unknown", "text": f"answered {response.status_code} without an OperationOutcome"}]
    return [
        {
            "code": each.get("code", "unknown"),
            "expression": each.get("expression", []),
            "text": each.get("details", {}).get("text", each.get("diagnostics", "")),
        }
        for each in issues
    ]


@asynccontextmanager
async def opened_import(
    settings: AccessSettings, path: Path, client_id: str, key_file: Path | None = None, patience_seconds: float = 60.0
) -> AsyncIterator[Import]:
    """The import of one file into the screening service that the settings name. Raises SetupError."""
    address = f"{settings.text('screening_url').rstrip('/')}/QuestionnaireResponse"
    async with http_client(timeout_seconds=30, connections_max=AT_ONCE) as client:
        token = Token(settings, client_id, key_file)
        yield Import(path, PatientClient(client, token.text, patience_seconds), address)


def add_import_command(app: typer.Typer) -> None:
    """Adds the command `import`."""

    @app.command("import")
    def command(
        path: Annotated[
            Path,
            typer.Argument(
                metavar="FILE", exists=True, dir_okay=False, help="one QuestionnaireResponse as JSON on each line"
            ),
        ],
        client: Annotated[str, typer.Option(metavar="TENANT.NAME", help="who sends them")],
        key_file: Annotated[Path | None, typer.Option(help="the client's private key")] = None,
        patience_seconds: Annotated[float, typer.Option(help="how long to wait for a service that is away")] = 60.0,
    ) -> None:
        """Send questionnaire responses from a file; stopped and started again, it goes on where it was.

        Refused lines are listed in FILE.refused.ndjson with what was wrong; the command then ends with code 3.
        """
        console = Console()
        with resumable():
            kept, report = asyncio.run(_import(console, path, client, key_file, patience_seconds))
        console.print(_summary(kept, report))
        if kept.refused:
            raise typer.Exit(SOME_REFUSED)


async def _import(
    console: Console, path: Path, client_id: str, key_file: Path | None, patience_seconds: float
) -> tuple[Kept, Path]:
    async with opened_import(AccessSettings(), path, client_id, key_file, patience_seconds) as job:
        if job.kept.lines:
            console.print(f"Going on after line {job.kept.lines:,}.")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("bytes", total=job.kept.size, completed=job.kept.offset)
            async for kept in job.run():
                text = f"{kept.lines:,} lines, {kept.refused:,} refused"
                progress.update(bar, completed=kept.offset, description=text)
            progress.update(bar, completed=job.kept.size)
        return job.kept, job.report


def _summary(kept: Kept, report: Path) -> Table:
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_row("stored", f"{kept.stored:,}")
    table.add_row("already there", f"{kept.known:,}")
    table.add_row("refused", f"{kept.refused:,}" + (f"  (see {report})" if kept.refused else ""))
    if kept.refused:
        for text, count in _reasons(report):
            table.add_row("", f"{count:,} x {text}")
    return table


def _reasons(report: Path) -> list[tuple[str, int]]:
    found: Counter[str] = Counter()
    with report.open("rb") as file:
        for line in file:
            found.update({issue["text"] for issue in orjson.loads(line)["issue"]})
    return found.most_common(REASONS_SHOWN_MAX)
