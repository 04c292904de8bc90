"""`stepwell export`: a service's resources as files in a folder, and tables of them by ViewDefinitions.

What was asked and fetched is written down in the folder: stopped at any point and started again, the command goes on
where it was.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.asking import LATER, PAUSE_SECONDS_MAX, Patience, PatientClient, Token, said, wished_seconds
from stepwell_shared.cli.errors import SetupError, resumable
from stepwell_shared.cli.tables import Format, chosen_views, write_tables
from stepwell_shared.http_client import HttpError, http_client
from stepwell_shared.settings import SERVICES

STATE = "export.json"
FILES_AT_ONCE = 2
CHUNK_BYTES = 1_048_576
SILENCE_SECONDS_MAX = 120
GONE = 404

Exporting = StrEnum("Exporting", {name: name for name in SERVICES})  # type: ignore[misc]  # made of the settings' list

# Tells of something done: what, how much of it, of how much.
Tell = Callable[[str, int, int], None]


class Output(msgspec.Struct, frozen=True):
    """One file of an export, as its manifest names it."""

    type: str
    url: str
    count: int | None = None


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """What an export has."""

    transaction_time: str
    output: list[Output] = []
    deleted: list[Output] = []


class State(msgspec.Struct):
    """How far an export is: what was asked, where its status is, and once it is known what it has."""

    asked: str
    location: str = ""
    manifest: Manifest | None = None
    is_complete: bool = False


class Export:
    """One export on its way into a folder. Not to be run twice at once."""

    def __init__(
        self,
        client: PatientClient,
        address: str,
        folder: Path,
        *,
        tell: Tell = lambda what, done, total: None,
    ) -> None:
        """`address` is that of the kick-off with its parameters.

        Raises SetupError when the folder has another export in it.
        """
        self._client, self._address, self._folder = client, address, folder
        self._tell = tell
        self.state = self._earlier()

    def _earlier(self) -> State:
        place = self._folder / STATE
        if not place.exists():
            return State(self._address)
        state = msgspec.json.decode(place.read_bytes(), type=State)
        if state.asked != self._address:
            raise SetupError(f"{self._folder} has another export in it ({state.asked}); choose another folder.")
        return state

    async def run(self) -> Manifest:
        """Asks, waits and fetches what is not here yet. Raises SetupError, after which it can be run again."""
        self._folder.mkdir(parents=True, exist_ok=True)
        while self.state.manifest is None:
            if not self.state.location:
                self.state.location = await self._kick_off()
                self._keep()
            self.state.manifest = await self._wait()
            self._keep()
        manifest = self.state.manifest
        if not self.state.is_complete:
            await self._fetch_all(manifest)
            self.state.is_complete = True
            self._keep()
            await self._client.once("DELETE", self.state.location)  # what is here need not wait there for its time
        return manifest

    def files(self, manifest: Manifest) -> list[tuple[Output, Path]]:
        """The files of an export with their places in the folder."""
        names: dict[str, int] = {}
        found = []
        for each, stem in [(one, one.type) for one in manifest.output] + [(one, "deleted") for one in manifest.deleted]:
            names[stem] = names.get(stem, 0) + 1
            found.append((each, self._folder / f"{stem}.{names[stem]:04}.ndjson"))
        return found

    def _keep(self) -> None:
        new = self._folder / f"{STATE}.new"
        new.write_bytes(msgspec.json.encode(self.state))
        new.replace(self._folder / STATE)

    async def _kick_off(self) -> str:
        answer = await self._client.ask("GET", self._address, headers={"Prefer": "respond-async"})
        location = answer.headers.get("content-location", "")
        if answer.status_code != 202 or not location:
            raise SetupError(f"{self._address} answered {answer.status_code}: {said(answer)}")
        return str(location)

    async def _wait(self) -> Manifest | None:
        """The manifest; None when the export has had its time, so that it is asked for anew."""
        while True:
            answer = await self._client.ask("GET", self.state.location, headers={"Accept": "application/json"})
            if answer.status_code == 200:
                return msgspec.json.decode(answer.content, type=Manifest)
            if answer.status_code == GONE:
                self.state.location = ""
                return None
            if answer.status_code != 202:
                raise SetupError(f"The export failed ({answer.status_code}): {said(answer)}")
            self._tell(answer.headers.get("x-progress", "being made ready"), 0, 0)
            await asyncio.sleep(min(wished_seconds(answer) or 1.0, PAUSE_SECONDS_MAX))

    async def _fetch_all(self, manifest: Manifest) -> None:
        """Fetches the files that are not here yet, some at a time."""
        files = self.files(manifest)
        here = [path.exists() for _, path in files]
        fetched = sum(each.count or 0 for (each, _), is_here in zip(files, here, strict=True) if is_here)
        total = sum(each.count or 0 for each, _ in files)
        turns = asyncio.Semaphore(FILES_AT_ONCE)

        async def one(output: Output, path: Path) -> None:
            nonlocal fetched
            async with turns:
                await self._fetch(output, path)
            fetched += output.count or 0
            self._tell(f"{len(files):,} files", fetched, total)

        self._tell(f"{len(files):,} files", fetched, total)
        wanted = [one(*each) for each, is_here in zip(files, here, strict=True) if not is_here]
        tasks = [asyncio.create_task(each) for each in wanted]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(self, output: Output, path: Path) -> None:
        """One file, again from its start when it breaks off. It has its name only once it is whole."""
        patience, begun = Patience(self._client.patience_seconds), path.with_name(f"{path.name}.part")
        while True:
            status, lines = await self._stream(output.url, begun)
            if status == 200 and output.count in {None, lines}:
                begun.replace(path)
                return
            if status == GONE:
                raise SetupError("The export has had its time. Remove its folder and ask again.")
            if status not in {0, 200, *LATER}:
                raise SetupError(f"{output.url} answered {status}")
            await patience.pause(f"{output.url} breaks off")

    async def _stream(self, url: str, path: Path) -> tuple[int, int]:
        """(HTTP status, lines) of what arrived; status 0 when it broke off."""
        headers = {"Authorization": f"Bearer {await self._client.token()}", "Accept": "application/fhir+ndjson"}
        lines = 0
        try:
            async with self._client.http.stream("GET", url, headers=headers) as answer:
                if answer.status_code != 200:
                    return answer.status_code, 0
                with path.open("wb") as file:
                    async for chunk in answer.aiter_bytes(CHUNK_BYTES):
                        file.write(chunk)
                        lines += chunk.count(b"\n")
                return 200, lines
        except HttpError:
            return 0, lines


def address_of(base_url: str, *, group: str | None, patients: bool, parameters: Mapping[str, Sequence[str]]) -> str:
    """The address of a kick-off."""
    below = f"Group/{group}/" if group is not None else "Patient/" if patients else ""
    pairs = [(name, value) for name, values in parameters.items() for value in values]
    query = urlencode(pairs)
    return f"{base_url.rstrip('/')}/{below}$export{f'?{query}' if query else ''}"


def add_export_command(app: typer.Typer) -> None:
    """Adds the command `export`."""

    @app.command("export")
    def command(
        service: Annotated[Exporting, typer.Argument(help="whose resources")],
        folder: Annotated[Path, typer.Argument(metavar="FOLDER", file_okay=False, help="where the files go")],
        client: Annotated[str, typer.Option(metavar="TENANT.NAME", help="who exports; it has system/ scopes")],
        key_file: Annotated[Path | None, typer.Option(help="the client's private key")] = None,
        type_: Annotated[str, typer.Option("--type", metavar="A,B", help="resource types; without, all granted")] = "",
        since: Annotated[str, typer.Option(help="only what changed since: an earlier transactionTime")] = "",
        type_filter: Annotated[list[str] | None, typer.Option(help="a search such as Observation?status=final")] = None,
        elements: Annotated[str, typer.Option(help="names of elements; the rest is left out")] = "",
        patients: Annotated[bool, typer.Option("--patients", help="what patients have, with its provenance")] = False,
        group: Annotated[str | None, typer.Option(metavar="ID", help="what the patients of a group have")] = None,
        view: Annotated[list[str] | None, typer.Option(help="a ViewDefinition: its file, or one that ships")] = None,
        format_: Annotated[Format, typer.Option("--format", help="how tables are written")] = Format.PARQUET,
        patience_seconds: Annotated[float, typer.Option(help="how long to wait for a service that is away")] = 60.0,
    ) -> None:
        """Export a service's resources into FOLDER, one file or more for each type; stopped, it goes on where it was.

        With --view the tables of ViewDefinitions are written into FOLDER/tables as well.
        """
        given = {"_type": [type_], "_since": [since], "_typeFilter": type_filter or [], "_elements": [elements]}
        parameters = {name: [value for value in values if value] for name, values in given.items()}
        console = Console()
        with resumable():
            views = chosen_views(view or [])
            settings = AccessSettings()
            base_url = settings.text(f"{service}_url")
            address = address_of(base_url, group=group, patients=patients, parameters=parameters)
            token = Token(settings, client, key_file)
            manifest, files = asyncio.run(_export(console, token, address, folder, patience_seconds))
            console.print(f"As of {manifest.transaction_time}: give it as --since next time.")
            bases = [url for name in SERVICES if (url := getattr(settings, f"{name}_url"))]
            write_tables(console, views, files, folder / "tables", format_, bases)


async def _export(
    console: Console, token: Token, address: str, folder: Path, patience_seconds: float
) -> tuple[Manifest, list[tuple[str, Path]]]:
    """The export with a bar of its resources; the files with the types of what is in them."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with http_client(timeout_seconds=SILENCE_SECONDS_MAX) as http:
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("asking", total=None)

            def tell(what: str, done: int, total: int) -> None:
                progress.update(bar, description=what, completed=done, total=total or None)

            job = Export(PatientClient(http, token.text, patience_seconds), address, folder, tell=tell)
            manifest = await job.run()
            found = sum(each.count or 0 for each in manifest.output)
            tell("resources", found, found)
        return manifest, [(each.type, path) for each, path in job.files(manifest)[: len(manifest.output)]]
