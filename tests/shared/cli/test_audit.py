"""`stepwell audit verify`: a broken chain ends with 1 and says where; what cannot be asked is one clear sentence."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from stepwell_shared.auth.audit_chain import seal
from stepwell_shared.auth.tenants import add_tenant
from stepwell_shared.cli.audit import add_audit_commands
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database.pool import Database
from stepwell_shared.settings import SERVICES
from typer.testing import CliRunner, Result

from tests.conftest import DatabaseOf
from tests.shared.auth.databases import make_lock_tables
from tests.shared.auth.test_audit_chain import LATER, NORTH, tamper, write
from tests.shared.auth.test_clients import NOW
from tests.support.postgres import EMPTY, Preparation


@pytest.fixture
async def urls(database_of: DatabaseOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatabaseUrls:
    found = await database_of(EMPTY, Preparation("locks", make_lock_tables))
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path))
    monkeypatch.setenv("STEPWELL_ROUTING_DATABASE_URL", found.runtime)
    async with Database.open(found.runtime, connections_max=2) as database:
        await add_tenant(database, NORTH, NOW)
        await write(database, "p0", "p1")
        await seal(database, [NORTH], LATER)
        await write(database, "p2")
    return found


async def verified(*arguments: str) -> Result:
    """The command, run in a thread because it has an event loop of its own."""
    app = typer.Typer()
    add_audit_commands(app)
    return await asyncio.to_thread(CliRunner().invoke, app, ["audit", "verify", *arguments])


async def test_a_database_that_is_not_named_or_does_not_answer_is_said_to_be(
    urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = await verified("referral")
    assert result.exit_code == 1
    assert "STEPWELL_REFERRAL_DATABASE_URL is not set" in result.output
    monkeypatch.setenv("STEPWELL_REFERRAL_DATABASE_URL", "postgresql://nobody:x@127.0.0.1:9/nothing")
    result = await verified("referral")
    assert (result.exit_code, result.output) == (
        1,
        "The database of referral does not answer: ConnectionRefusedError.\n",
    )


@pytest.mark.parametrize("text", ["routing", "routing/north:aa", "billing/north/1:" + "0" * 64, "routing/north/1:00"])
async def test_what_is_no_seal_is_refused_with_an_example(urls: DatabaseUrls, text: str) -> None:
    result = await verified("routing", "--seal", text)
    assert result.exit_code == 1
    assert "service/tenant/1:4f8a" in result.output


async def test_a_changed_entry_ends_with_1_and_says_where(urls: DatabaseUrls) -> None:
    await tamper(urls, "UPDATE audit SET status = 404 WHERE resource_id = 'p1'")
    result = await verified("routing")
    assert result.exit_code == 1
    assert "routing, north, seal 1: an entry, or the seal before, is not what was sealed" in result.output


async def test_a_whole_chain_ends_with_0_and_holds_against_its_own_newest_seal(urls: DatabaseUrls) -> None:
    result = await verified("routing", "--tenant", NORTH)
    assert result.exit_code == 0
    words = result.output.split()
    newest = next(word for word in words if word.startswith("routing/north/1:"))
    assert "whole" in words
    assert (await verified("routing", "--seal", newest)).exit_code == 0
    assert (await verified("routing", "--seal", newest.replace("/1:", "/2:"))).exit_code == 1


async def test_who_broke_the_glass_is_listed_with_whose_data_why_and_how_much(
    urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    for service in SERVICES:
        monkeypatch.setenv(f"STEPWELL_{service.upper()}_DATABASE_URL", urls.runtime)
    app = typer.Typer()
    add_audit_commands(app)
    arguments = ["audit", "broken-glass", NORTH]
    assert (await asyncio.to_thread(CliRunner().invoke, app, arguments)).output == "Nobody has broken the glass.\n"
    now = datetime.now(UTC)
    statement = """INSERT INTO audit (tenant, recorded, action, interaction, resource_type, resource_id, client_id,
      token_id, request_id, status, fhir_user)
      VALUES ($1, $2, 'E', $3, $4, $5, 'north.er', $6, 'r', 200, 'Organization/er')"""
    async with Database.open(urls.runtime, connections_max=1) as database, database.transaction(NORTH) as connection:
        await connection.execute(statement, NORTH, now, "$break-glass", "Patient", "p7", "btg.ETREAT.1")
        await connection.execute(statement, NORTH, now, "read", "Flag", "f1", "btg.ETREAT.1")
        await connection.execute(statement, NORTH, now - timedelta(days=40), "read", "Flag", "f1", "btg.THREAT.2")
        await connection.execute(statement, NORTH, now, "read", "Patient", "p8", "plain")
    result = await asyncio.to_thread(CliRunner(env={"COLUMNS": "200"}).invoke, app, arguments)
    assert result.exit_code == 0
    lines = [line.split() for line in result.output.splitlines() if "north.er" in line]
    assert [line[2:] for line in lines] == [
        ["north.er", "Organization/er", "Patient/p7", "ETREAT", service, "1"] for service in SERVICES
    ]
