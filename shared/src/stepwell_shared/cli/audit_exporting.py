"""`stepwell audit export`: the record of accesses as AuditEvents in a folder, seal by seal, to be kept elsewhere.

What is sealed does not change: each run goes on behind the last seal that the folder has, also one that was stopped.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import asyncpg
import typer

from stepwell_shared.auth.audit_view import audit_events
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.cli.errors import SetupError, database_told_plainly
from stepwell_shared.database.pool import Database
from stepwell_shared.settings import SERVICES

EVENTS, SEALS = "AuditEvent.ndjson", "seals.ndjson"
_SEALS: Final = """SELECT number, last_id, entries, encode(digest, 'hex') AS digest, sealed_at FROM audit_seal
  WHERE tenant = $1 AND number > $2 ORDER BY number LIMIT 1"""


async def export_audit(database: Database, service: str, tenant: str, folder: Path) -> tuple[int, int]:
    """Appends what was sealed since the last run to the two files in a folder; how many entries and seals came.

    `AuditEvent.ndjson` has the events in the order in which they were recorded, `seals.ndjson` a line for each seal,
    with its digest and how long the other file is with it. Raises SetupError for a folder of another record.
    """
    number, last_id, length = _reached(folder, service, tenant)
    entries = seals = 0
    with (folder / EVENTS).open("ab") as events, (folder / SEALS).open("ab") as sealed:
        events.truncate(length)
        while rows := await _rows(database, tenant, _SEALS, number):
            (seal,) = rows
            lines = await _rows(database, tenant, _events(service), last_id, seal["last_id"])
            if len(lines) != seal["entries"]:
                raise SetupError(
                    f"seal {seal['number']} of {service}, {tenant} covers {seal['entries']} entries and there are"
                    f" {len(lines)}: run `stepwell audit verify {service} --tenant {tenant}`"
                )
            for line in lines:
                events.write(line["body"].encode() + b"\n")
            _keep(events)
            said = {"service": service, "tenant": tenant, **dict(seal), "sealed_at": seal["sealed_at"].isoformat()}
            sealed.write(json.dumps({**said, "bytes": events.tell()}).encode() + b"\n")
            _keep(sealed)
            number, last_id = seal["number"], seal["last_id"]
            entries, seals = entries + len(lines), seals + 1
    return entries, seals


def _reached(folder: Path, service: str, tenant: str) -> tuple[int, int, int]:
    """The last seal that a folder has: its number, its last entry, and how long the events are with it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SEALS
    if not path.exists():
        return 0, 0, 0
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]  # a line that was cut off is written again
    if whole != text:
        path.write_bytes(whole)
    if not whole:
        return 0, 0, 0
    last = json.loads(whole.splitlines()[-1])
    if (last["service"], last["tenant"]) != (service, tenant):
        raise SetupError(f"{folder} holds the record of {last['service']}, {last['tenant']}: choose another folder")
    return last["number"], last["last_id"], last["bytes"]


def _events(service: str) -> str:
    view = audit_events(service).view
    assert view is not None
    return (
        f"SELECT ({view.body})::text AS body FROM {view.source}"
        " WHERE a.tenant = $1 AND a.id > $2 AND a.id <= $3 ORDER BY a.id"
    )


async def _rows(database: Database, tenant: str, statement: str, *arguments: int) -> list[asyncpg.Record]:
    async with database.transaction(tenant) as connection:
        rows: list[asyncpg.Record] = await connection.fetch(statement, tenant, *arguments)
        return rows


def _keep(file: BinaryIO) -> None:
    """What is said to be there outlives a crash of the machine."""
    file.flush()
    os.fsync(file.fileno())


def add_audit_export_command(group: typer.Typer) -> None:
    """Adds `stepwell audit export`."""

    @group.command("export")
    def command(
        service: Annotated[str, typer.Argument(help=f"one of {', '.join(SERVICES)}")],
        tenant: Annotated[str, typer.Argument()],
        folder: Annotated[Path, typer.Argument(help="where it goes; the same one goes on where it was")],
    ) -> None:
        """Write the sealed record of accesses as FHIR AuditEvents (NDJSON), with the seals, to keep it elsewhere."""

        async def run() -> tuple[int, int]:
            url = AccessSettings().text(f"{service}_database_url")
            async with Database.open(url, connections_max=1) as database:
                return await export_audit(database, service, tenant, folder)

        with database_told_plainly(OSError):
            if service not in SERVICES:
                raise SetupError(f"'{service}' is none of {', '.join(SERVICES)}")
            entries, seals = asyncio.run(run())
        typer.echo(f"{entries:,} entries under {seals:,} seals are now in {folder}.")
