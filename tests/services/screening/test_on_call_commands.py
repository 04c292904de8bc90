"""Promises of `stepwell oncall`: what would leave nobody told is refused, what is set holds for that tenant alone."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from stepwell_screening import data
from stepwell_screening.on_call_commands import add_commands
from stepwell_shared.auth.tenants import add_tenant
from stepwell_shared.database.pool import Database
from typer.testing import CliRunner

from tests.conftest import DatabaseOf

ROTA = {
    "zone": "Europe/Berlin",
    "roles": [{"code": "night", "display": "Night desk", "recipient": {"reference": "PractitionerRole/night"}}],
    "lastResort": {"code": "head", "display": "Head of the clinic", "recipient": {"display": "Head of the clinic"}},
}


@pytest.fixture
async def environment(database_of: DatabaseOf, tmp_path: Path) -> dict[str, str]:
    """Where the command finds the tenants north and south."""
    urls = await database_of("screening")
    async with Database.open(urls.runtime, connections_max=1) as database:
        for tenant in ("north", "south"):
            await add_tenant(database, tenant, datetime.now(UTC))
    return {"STEPWELL_HOME": str(tmp_path), "STEPWELL_SCREENING_DATABASE_URL": urls.runtime}


def run(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command("other")(lambda: None)
    add_commands(app)
    result = CliRunner().invoke(app, ["oncall", *arguments], env=environment)
    return result.exit_code, result.output


def test_what_would_leave_nobody_told_is_refused_and_nothing_changes(
    environment: dict[str, str], tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.json"
    for text in ("", "[]", "{}", json.dumps({**ROTA, "lastResort": {}}), json.dumps({**ROTA, "zone": "Moon"})):
        wrong.write_text(text)
        code, output = run(environment, "set", "north", str(wrong))
        assert (code, output.startswith("Nothing was changed")) == (1, True), text
    assert run(environment, "set", "north", str(tmp_path / "absent.json"))[0] == 1
    wrong.write_text(json.dumps(ROTA))
    assert "there is no tenant west" in run(environment, "set", "west", str(wrong))[1]
    assert json.loads(run(environment, "show", "north")[1]) == data.on_call()


def test_what_is_set_holds_for_that_tenant_alone(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "rota.json"
    file.write_text(json.dumps(ROTA))
    code, output = run(environment, "set", "north", str(file))
    assert (code, output) == (0, "Safety alerts of north go to Night desk, then Head of the clinic.\n")
    assert json.loads(run(environment, "show", "north")[1]) == ROTA
    assert json.loads(run(environment, "show", "south")[1]) == data.on_call()
