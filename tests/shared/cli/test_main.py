"""The `stepwell` command loads what it is asked for, under the names that packages declare."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
import typer
from stepwell_shared.cli.main import application
from typer.core import TyperGroup
from typer.testing import CliRunner

NAMES = sorted(entry_points(group="stepwell.commands").names)
CODE = """
import sys
from stepwell_shared.cli.main import application
try:
    application(sys.argv[1:])(sys.argv[1:])
finally:
    print(sorted({"alembic", "sqlmodel", "stepwell_shared.runtime", "stepwell_shared.cli.run"} & sys.modules.keys()))
"""


def commands_of(app: typer.Typer) -> list[str]:
    found = typer.main.get_command(app)
    assert isinstance(found, TyperGroup)
    return sorted(found.commands)


def test_a_command_that_there_is_not_is_refused_by_one_that_knows_all() -> None:
    assert commands_of(application(["tokne"])) == NAMES
    refused = CliRunner().invoke(application(["tokne"]), ["tokne"])
    assert refused.exit_code == 2
    assert "token" in refused.output


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_help_has_every_command_in_the_order_of_names(arguments: list[str]) -> None:
    shown = CliRunner().invoke(application(arguments), ["--help"]).output
    places = [shown.index(f"│ {name} ") for name in NAMES]
    assert len(NAMES) > 20
    assert places == sorted(places)


@pytest.mark.parametrize("name", NAMES)
def test_a_command_is_there_under_the_name_by_which_its_package_declares_it(name: str) -> None:
    assert name in commands_of(application([name]))


@pytest.mark.parametrize("name", ["token", "worklist", "export"])
def test_whoever_asks_for_a_token_does_not_wait_for_what_migrations_need(name: str) -> None:
    found = subprocess.run([sys.executable, "-c", CODE, name, "--help"], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"
