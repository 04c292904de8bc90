"""`stepwell cds` at the terminal: an EHR is let in, listed and removed; rates are printed."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from stepwell_routing.cds_commands import add_commands
from stepwell_shared.auth.keys import public_key_set
from stepwell_shared.auth.tenants import add_tenant
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database.pool import Database
from typer.testing import CliRunner

from tests.services.routing.cds.ehr import ISSUER, KEY
from tests.support.runtime import NORTH, SOUTH

Told = tuple[int, str]
Terminal = Callable[..., Awaitable[Told]]


@pytest.fixture
async def terminal(urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Runs the command on a database with two tenants; what it says, with its exit code."""
    monkeypatch.setenv("STEPWELL_ROUTING_DATABASE_URL", urls.runtime)
    async with Database.open(urls.runtime, connections_max=1) as database:
        for tenant in (NORTH, SOUTH):
            await add_tenant(database, tenant, datetime.now(UTC))
    app = typer.Typer()
    add_commands(app)

    async def run(*arguments: str) -> Told:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["cds", *arguments])
        return result.exit_code, result.output

    return run


async def test_an_ehr_belongs_to_one_tenant_until_it_is_removed(terminal: Terminal, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(public_key_set([KEY])))
    add = ("add", NORTH, ISSUER, "--jwks-file", str(keys))
    assert (await terminal("add", "nowhere", ISSUER, "--jwks-file", str(keys)))[0] == 1
    assert (await terminal("add", NORTH, ISSUER))[0] == 1  # no key at all
    assert (await terminal(*add, "--jwks-url", "https://ehr.example/jwks"))[0] == 1  # two sources
    assert await terminal(*add) == (0, f"{ISSUER} is answered from {NORTH}.\n")
    code, said = await terminal("add", SOUTH, ISSUER, "--jwks-file", str(keys))
    assert (code, "another tenant" in said) == (1, True)
    assert await terminal("list", NORTH) == (0, f"{ISSUER}\n")
    assert await terminal("list", SOUTH) == (0, "")
    assert (await terminal("remove", SOUTH, ISSUER))[0] == 1
    assert (await terminal("remove", NORTH, ISSUER))[0] == 0
    assert await terminal("list", NORTH) == (0, "")
    assert await terminal("rates", NORTH) == (0, "")
