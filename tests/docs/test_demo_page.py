"""docs/demo.md says what the command takes and what the region is drawn from."""

import re
import tomllib
from pathlib import Path

import typer
from stepwell_shared.cli.demo.command import add_demo_command

PAGE = Path("docs/demo.md").read_text(encoding="utf-8")
TABLES = tomllib.loads(Path("shared/src/stepwell_shared/cli/demo/region.toml").read_text(encoding="utf-8"))


def test_every_option_stands_on_the_page() -> None:
    app = typer.Typer()
    add_demo_command(app)
    options = {option for each in typer.main.get_command(app).params for option in each.opts if option.startswith("--")}
    told = set(re.findall(r"^\| `(--[a-z]+)`", PAGE, re.MULTILINE))
    assert told <= options
    assert options - told == {"--patience-seconds", "--install-completion", "--show-completion"} & (options - told)


def test_every_table_of_numbers_says_where_it_is_from() -> None:
    tables = {name: table for name, table in TABLES.items() if isinstance(table, dict)}
    assert not [name for name, table in tables.items() if not {"source", "reason"} & table.keys()]


def test_the_page_has_the_numbers_that_are_drawn_from() -> None:
    courses = ", ".join(f"{each['name']} {each['share']:.0%}".replace("%", " %") for each in TABLES["courses"])
    assert courses in PAGE
    waits = zip(TABLES["wait"]["shares"], TABLES["wait"]["within_days"], strict=True)
    for share, days in waits:
        assert re.search(rf"{share:.0%}".replace("%", rf" % within {days}"), PAGE)
    for form, name in (("phq-9", "PHQ-9"), ("gad-7", "GAD-7"), ("phq-15", "PHQ-15"), ("peg", "PEG \\(sum\\)")):
        ranges = ", ".join(f"{low} to {high}" for low, high in TABLES["baselines"][form].values())
        assert re.search(f"{name} {ranges}", PAGE), form
