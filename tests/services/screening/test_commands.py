"""Promises of `stepwell instrument`: what it shows, and the sentence it says when a form cannot be brought."""

import json
from pathlib import Path
from typing import Any

import pytest
from stepwell_screening import data
from stepwell_screening.commands import add_commands, commands
from stepwell_screening.instruments import skeletons
from stepwell_screening.rules.skeletons import check_against
from stepwell_shared.cli.main import commands_for
from typer import Typer
from typer.testing import CliRunner, Result

from tests.services.screening.site_forms import site_form


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, arguments)


@pytest.mark.parametrize("command", ["show", "import"])
def test_an_instrument_that_is_not_known_is_said_so(tmp_path: Path, command: str) -> None:
    path = tmp_path / "form.json"
    path.write_text(json.dumps(site_form("wsas")))
    given = [str(path), "--client", "north.forms", "--instrument", "tarot"] if command == "import" else ["tarot"]
    result = run(command, *given)
    assert (result.exit_code, result.output) == (1, "There is no instrument tarot: see `stepwell instrument list`.\n")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("no JSON", "cannot be read"),
        ("[]", "is no Questionnaire"),
        ('{"resourceType": "Patient"}', "is no Questionnaire"),
        ('{"resourceType": "Questionnaire"}', "does not say which instrument it is"),
    ],
)
def test_a_file_that_is_no_form_of_an_instrument_is_not_sent(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "form.json"
    path.write_text(content)
    result = run("import", str(path), "--client", "north.forms")
    assert result.exit_code == 1
    assert sentence in result.output


def test_every_instrument_is_listed_with_its_licence_class() -> None:
    lines = [line.split() for line in run("list").output.splitlines()]
    assert {line[1]: line[0] for line in lines} == {each.id: each.licence_class for each in skeletons().values()}


@pytest.mark.parametrize("instrument", data.skeletons())
def test_the_form_that_is_shown_lacks_nothing_but_words(instrument: str) -> None:
    skeleton = skeletons()[instrument]
    form: dict[str, Any] = json.loads(run("show", instrument, "--form").output)
    assert {finding.text for finding in check_against(skeleton, form)} == {
        "The wording of this item is for the site to supply."
    }
    for item in form["item"]:
        item["text"] = "Artificial wording"
    assert check_against(skeleton, form) == []


def test_what_is_shown_names_licence_and_questions() -> None:
    shown = run("show", "wsas").output
    assert "licence class C" in shown
    assert skeletons()["wsas"].notice in shown
    assert "/wsas-5" in shown


@pytest.mark.parametrize(
    ("arguments", "found"), [(["instrument", "list"], True), (["--help"], True), (["serve"], False)]
)
def test_the_command_is_loaded_when_it_is_asked_for(arguments: list[str], found: bool) -> None:
    assert (add_commands in list(commands_for(arguments))) is found


def test_the_command_is_there_under_its_name() -> None:
    app = Typer()
    add_commands(app)
    assert [group.name for group in app.registered_groups] == ["instrument"]
