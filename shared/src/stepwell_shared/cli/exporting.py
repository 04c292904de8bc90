"""`stepwell export`: a service's resources as files in a folder, and tables of them by ViewDefinitions.

What was asked and fetched is written down in the folder: stopped at any point and started again, the command goes on
where it was.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import msgspec
import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.errors import SetupError, resumable
from stepwell_shared.cli.importing import Token
from stepwell_shared.cli.tables import Format, chosen_views, write_tables
from stepwell_shared.http_client import HttpClient, HttpError, HttpResponse, http_client
from stepwell_shared.settings import SERVICES

STATE = "export.json"
PAUSE_SECONDS_MAX = 8.0
FILES_AT_ONCE = 2
CHUNK_BYTES = 1_048_576
SILENCE_SECONDS_MAX = 120
GONE = 404
LATER = frozenset({429, 500, 502, 503, 504})

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
        client: HttpClient,
        token: Callable[[], Awaitable[str]],
        address: str,
        folder: Path,
        *,
        patience_seconds: float = 60.0,
        tell: Tell = lambda what, done, total: None,
    ) -> None:
        """`address` is that of the kick-off with its parameters; after so long without an answer it gives up for now.

        Raises SetupError when the folder has another export in it.
        """
        self._client, self._token, self._address, self._folder = client, token, address, folder
        self._patience_seconds = patience_seconds
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
            await self._try("DELETE", self.state.location)  # what is here need not wait there for its time
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
        answer = await self._answered("GET", self._address, {"Prefer": "respond-async"})
        location = answer.headers.get("content-location", "")
        if answer.status_code != 202 or not location:
            raise SetupError(f"{self._address} answered {answer.status_code}: {_words(answer)}")
        return str(location)

    async def _wait(self) -> Manifest | None:
        """The manifest; None when the export has had its time, so that it is asked for anew."""
        while True:
            answer = await self._answered("GET", self.state.location, {"Accept": "application/json"})
            if answer.status_code == 200:
                return msgspec.json.decode(answer.content, type=Manifest)
            if answer.status_code == GONE:
                self.state.location = ""
                return None
            if answer.status_code != 202:
                raise SetupError(f"The export failed ({answer.status_code}): {_words(answer)}")
            self._tell(answer.headers.get("x-progress", "being made ready"), 0, 0)
            await asyncio.sleep(_seconds(answer.headers))

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
        started, pause, begun = time.monotonic(), 0.25, path.with_name(f"{path.name}.part")
        while True:
            status, lines = await self._stream(output.url, begun)
            if status == 200 and output.count in {None, lines}:
                begun.replace(path)
                return
            if status == GONE:
                raise SetupError("The export has had its time. Remove its folder and ask again.")
            if status not in {0, 200, *LATER}:
                raise SetupError(f"{output.url} answered {status}")
            await self._pause(started, pause, f"{output.url} breaks off")
            pause = min(2 * pause, PAUSE_SECONDS_MAX)

    async def _stream(self, url: str, path: Path) -> tuple[int, int]:
        """(HTTP status, lines) of what arrived; status 0 when it broke off."""
        headers = {"Authorization": f"Bearer {await self._token()}", "Accept": "application/fhir+ndjson"}
        lines = 0
        try:
            async with self._client.stream("GET", url, headers=headers) as answer:
                if answer.status_code != 200:
                    return answer.status_code, 0
                with path.open("wb") as file:
                    async for chunk in answer.aiter_bytes(CHUNK_BYTES):
                        file.write(chunk)
                        lines += chunk.count(b"\n")
                return 200, lines
        except HttpError:
            return 0, lines

    async def _answered(self, method: str, url: str, headers: Mapping[str, str]) -> HttpResponse:
        """The answer that counts. Raises SetupError when there is none for long, or this client is not let in."""
        started, pause = time.monotonic(), 0.25
        while True:
            answer = await self._try(method, url, headers)
            if answer is not None and answer.status_code in {401, 403}:
                raise SetupError(f"{url} does not let this client in ({answer.status_code}): {_words(answer)}")
            if answer is not None and answer.status_code not in LATER:
                return answer
            said = "nothing" if answer is None else f"{answer.status_code}: {_words(answer)}"
            await self._pause(started, pause, f"{url} answers {said}")
            pause = min(2 * pause, PAUSE_SECONDS_MAX)

    async def _pause(self, started: float, seconds: float, what: str) -> None:
        if time.monotonic() - started > self._patience_seconds:
            raise SetupError(f"{what}. Run the same command again later: it goes on where it was.")
        await asyncio.sleep(seconds)

    async def _try(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> HttpResponse | None:
        sent = {"Authorization": f"Bearer {await self._token()}", **(headers or {})}
        try:
            return await self._client.request(method, url, headers=sent)
        except HttpError:
            return None


def _seconds(headers: Mapping[str, str]) -> float:
    text = headers.get("retry-after", "1")
    return min(float(text), PAUSE_SECONDS_MAX) if text.isdigit() else 1.0


def _words(answer: HttpResponse) -> str:
    try:
        issues = orjson.loads(answer.content).get("issue", [])
    except (ValueError, AttributeError):
        return ""
    return "; ".join(str(each.get("diagnostics", "")) for each in issues)


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

            job = Export(http, token.text, address, folder, patience_seconds=patience_seconds, tell=tell)
            manifest = await job.run()
            found = sum(each.count or 0 for each in manifest.output)
            tell("resources", found, found)
        return manifest, [(each.type, path) for each, path in job.files(manifest)[: len(manifest.output)]]
