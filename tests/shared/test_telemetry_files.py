"""Alert rules, dashboards and runbooks as files: complete, about figures that exist, with commands that exist."""

import re
import shlex
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer.main
import yaml
from click import Group
from stepwell_shared.cli.main import application

ROOT = Path(__file__).parents[2]
TELEMETRY, RUNBOOKS = ROOT / "deploy" / "telemetry", ROOT / "docs" / "runbooks"
DASHBOARDS = sorted((TELEMETRY / "dashboards").glob("*.json"))
PAGES = sorted(RUNBOOKS.glob("*.md"))


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((TELEMETRY / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_alert_says_how_bad_it_is_how_long_it_waits_and_where_its_page_is() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) >= 18
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"Stepwell[A-Z][A-Za-z]+", rule["alert"])
        assert re.fullmatch(r"[1-9][0-9]*[smh]", rule["for"])
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "runbook_url"}
        assert (ROOT / rule["annotations"]["runbook_url"]).is_file()
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"


def test_every_alert_has_a_page_and_a_test_of_its_own_and_every_number_is_marked_as_ours() -> None:
    names = {rule["alert"] for rule in rules()}
    assert {path.stem for path in PAGES} == names
    tests = yaml.safe_load((TELEMETRY / "alerts.test.yaml").read_text(encoding="utf-8"))["tests"]
    assert {test["name"] for test in tests} == names
    for test in tests:
        early, late = test["alert_rule_test"]
        assert (early["exp_alerts"], len(late["exp_alerts"])) == ([], 1), test["name"]
    assert (TELEMETRY / "alerts.yaml").read_text(encoding="utf-8").count("# product default") == len(names)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_panel_has_a_title_a_unit_a_source_and_a_place_of_its_own(path: Path) -> None:
    board = orjson.loads(path.read_bytes())
    assert board["uid"].startswith("stepwell-")
    assert board["title"]
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels) >= 9
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${source}"}
        assert all(target["expr"] and target["refId"] for target in panel["targets"])
        place = panel["gridPos"]
        cells = {(x + place["x"], y + place["y"]) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells


def blocks(path: Path, language: str) -> list[str]:
    """The code of a page in one language."""
    text = path.read_text(encoding="utf-8")
    return [re.sub(r"^ +", "", block, flags=re.M) for block in re.findall(rf"```{language}\n(.*?)```", text, re.S)]


def commands(path: Path) -> list[str]:
    """Every command of ours that a page names."""
    lines = [line for block in blocks(path, "sh") for line in block.splitlines() if line]
    return lines + re.findall(r"`(stepwell [a-z]+ [^`]+)`", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_runbook_says_what_it_means_what_to_check_and_what_to_do_with_commands_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {path.stem}\n\n")
    assert re.findall(r"^## (.*)$", text, re.M) == ["Check", "Do"]
    assert all((RUNBOOKS / link.partition("#")[0]).is_file() for link in re.findall(r"\]\(([^)]+)\)", text))
    for command in commands(path):
        program, *words = shlex.split(command)
        assert program == "stepwell"
        found: Any = typer.main.get_command(application(words))
        while isinstance(found, Group):
            found = found.commands[words.pop(0)]
        found.make_context(found.name, words)  # raises for an option or a number of arguments that it does not take
