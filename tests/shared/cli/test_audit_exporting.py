"""`stepwell audit export`: the record leaves whole, in order and once, wherever a run was stopped."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import typer
from fhir.resources.R4B.auditevent import AuditEvent
from stepwell_shared.auth.audit_chain import seal, verify
from stepwell_shared.auth.tenants import add_tenant
from stepwell_shared.cli.audit import add_audit_commands
from stepwell_shared.cli.audit_exporting import EVENTS, SEALS, export_audit
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.database.pool import Database
from typer.testing import CliRunner

from tests.conftest import DatabaseOf
from tests.shared.auth.databases import make_lock_tables
from tests.shared.auth.test_audit_chain import LATER, NORTH, SOUTH, tamper, write
from tests.shared.auth.test_clients import NOW
from tests.support.postgres import EMPTY, Preparation


@pytest.fixture
async def urls(database_of: DatabaseOf) -> DatabaseUrls:
    return await database_of(EMPTY, Preparation("locks", make_lock_tables))


@pytest.fixture
async def database(urls: DatabaseUrls) -> AsyncIterator[Database]:
    async with Database.open(urls.runtime, connections_max=2) as opened:
        for tenant in (NORTH, SOUTH):
            await add_tenant(opened, tenant, NOW)
        yield opened


def ids(folder: Path) -> list[str]:
    """What the exported events are about, in their order."""
    events = [json.loads(line) for line in (folder / EVENTS).read_text(encoding="utf-8").splitlines()]
    assert all(AuditEvent.model_validate(event) for event in events)
    return [event["entity"][0]["what"].get("reference", "-") for event in events]


async def test_what_is_on_record_leaves_by_the_export_whole_and_in_order(database: Database, tmp_path: Path) -> None:
    await write(database, "p0", "p1")
    await write(database, "elsewhere", tenant=SOUTH)
    assert await export_audit(database, "routing", NORTH, tmp_path) == (0, 0), "what is not sealed may still change"
    await seal(database, [NORTH, SOUTH], LATER)
    assert await export_audit(database, "routing", NORTH, tmp_path) == (2, 1)
    await write(database, "p2", "p3")
    await seal(database, [NORTH], LATER)
    assert await export_audit(database, "routing", NORTH, tmp_path) == (2, 1)
    assert await export_audit(database, "routing", NORTH, tmp_path) == (0, 0)
    assert ids(tmp_path) == ["-", "Patient/p1", "Patient/p2", "Patient/p3"]
    last = json.loads((tmp_path / SEALS).read_text(encoding="utf-8").splitlines()[-1])
    assert (last["number"], last["digest"]) == (2, (await verify(database, NORTH)).head)


@pytest.mark.parametrize(("events", "seals"), [(100, 0), (None, 30), (None, 0)], ids=["event", "seal", "between"])
async def test_a_run_that_was_stopped_anywhere_goes_on_and_doubles_nothing(
    database: Database, tmp_path: Path, events: int | None, seals: int
) -> None:
    """What came with the second run is there in part: so many bytes of the events, or all of them, and of the seal."""
    await write(database, "p1")
    await seal(database, [NORTH], LATER)
    await export_audit(database, "routing", NORTH, tmp_path)
    before = {name: (tmp_path / name).stat().st_size for name in (EVENTS, SEALS)}
    await write(database, "p2")
    await seal(database, [NORTH], LATER)
    await export_audit(database, "routing", NORTH, tmp_path)
    whole = (tmp_path / EVENTS).read_bytes()
    (tmp_path / EVENTS).write_bytes(whole[: None if events is None else before[EVENTS] + events])
    (tmp_path / SEALS).write_bytes((tmp_path / SEALS).read_bytes()[: before[SEALS] + seals])
    assert await export_audit(database, "routing", NORTH, tmp_path) == (1, 1)
    assert (tmp_path / EVENTS).read_bytes() == whole
    assert len((tmp_path / SEALS).read_text(encoding="utf-8").splitlines()) == 2


async def test_a_record_that_is_not_whole_and_a_folder_of_another_are_refused(
    database: Database, urls: DatabaseUrls, tmp_path: Path
) -> None:
    await write(database, "p1", "p2")
    await seal(database, [NORTH], LATER)
    await tamper(urls, "DELETE FROM audit WHERE resource_id = 'p2'")
    with pytest.raises(SetupError, match="covers 2 entries and there are 1"):
        await export_audit(database, "routing", NORTH, tmp_path)
    await write(database, "p3", tenant=SOUTH)
    await seal(database, [SOUTH], LATER)
    await export_audit(database, "routing", SOUTH, tmp_path / "south")
    with pytest.raises(SetupError, match="choose another folder"):
        await export_audit(database, "routing", NORTH, tmp_path / "south")


async def test_the_command_says_what_came_and_what_is_wrong(
    database: Database, urls: DatabaseUrls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(database, "p1")
    await seal(database, [NORTH], LATER)
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path))
    monkeypatch.setenv("STEPWELL_ROUTING_DATABASE_URL", urls.runtime)
    app = typer.Typer()
    add_audit_commands(app)
    out = str(tmp_path / "out")
    said = await asyncio.to_thread(CliRunner().invoke, app, ["audit", "export", "routing", NORTH, out])
    assert (said.exit_code, said.output) == (0, f"1 entries under 1 seals are now in {out}.\n")
    said = await asyncio.to_thread(CliRunner().invoke, app, ["audit", "export", "billing", NORTH, out])
    assert said.exit_code == 1
    assert "is none of screening" in said.output
