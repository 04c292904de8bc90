"""`stepwell erase` says what it misses before it looks at anything, and removes nothing unless it is told to."""

from pathlib import Path

import pytest
import typer
from stepwell_shared.cli.erasing import Erased, add_erase_command, show
from stepwell_shared.settings import SERVICES
from typer.testing import CliRunner, Result


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path))
    for service in SERVICES:
        monkeypatch.setenv(f"STEPWELL_{service.upper()}_URL", f"https://stepwell.example/{service}/fhir")


def erase(*arguments: str) -> Result:
    app = typer.Typer()
    add_erase_command(app)
    app.command("other")(lambda: None)  # one command alone would lose its name
    return CliRunner().invoke(app, ["erase", *arguments])


def test_without_the_owners_login_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEPWELL_MIGRATION_DATABASE_URL", raising=False)
    result = erase("north", "p1", "--service", "routing")
    assert result.exit_code == 1
    assert result.output.startswith("STEPWELL_MIGRATION_DATABASE_URL is not set")
    monkeypatch.setenv("STEPWELL_MIGRATION_DATABASE_URL", "postgresql://nobody:x@127.0.0.1:9/nothing")
    result = erase("north", "p1", "--service", "routing")
    assert result.exit_code == 1
    assert result.output.startswith("The database does not answer")
    monkeypatch.delenv("STEPWELL_ROUTING_URL")
    assert "STEPWELL_ROUTING_URL is not set" in erase("north", "p1", "--service", "routing").output


def test_a_service_is_told_of_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show(Erased("routing", {"Task": 2, "Patient": 1}, 1, 7, 3))
    show(Erased("referral", {}, 0, 0, 0))
    assert capsys.readouterr().out.splitlines() == [
        "routing: 1 Patient, 2 Task; 1 shared resources (7 versions and 3 other rows removed)",
        "referral: nothing",
    ]
