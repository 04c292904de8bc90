"""Every command that a page shows exists, with its options; a test runs it, or it is said why none does."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
from stepwell_shared.cli.main import application
from typer.core import TyperGroup

GUIDES = "tests/docs/test_readme.py"
PAGES = (Path("README.md"), Path("deploy/README.md"), Path("examples/README.md"), *sorted(Path("docs").rglob("*.md")))
BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:^|[\s;|&(]|\$\()(?:\.venv/bin/)?stepwell (?P<words>[^|#;)\n]*)")
INLINE = re.compile(r"`(?:\.venv/bin/)?stepwell (?P<words>[^`]+)`")
STARTS_A_PROGRAM = re.compile(r"^(?:\.venv/bin/)?(?:stepwell|make|psql|pg_\w+|kubectl|curl|python|npx) ", re.MULTILINE)

# Which test runs the commands of a page, to the letter or with the same words.
RUN_BY = {
    "README.md": GUIDES,
    "docs/guides/integrator.md": GUIDES,
    "docs/guides/operator.md": GUIDES,
    "docs/guides/clinical-lead.md": GUIDES,
    "docs/demo.md": "tests/journeys/test_demo.py",
    "docs/federation.md": "tests/shared/cli/test_partners.py",
    "docs/worklist.md": GUIDES,
    "docs/export.md": "tests/shared/export/test_examples.py",
    "examples/README.md": "tests/shared/export/test_examples.py",
    "docs/cds-hooks.md": GUIDES,
    "docs/instruments.md": "tests/services/screening/test_commands.py",
    "docs/backup.md": "tests/external/backup.py",
    # What it shows of Kubernetes; the suite of the tests is started as it starts one service.
    "deploy/README.md": "tests/external/cluster_site.py",
}
# What only a deployment of its own can run, and why it is shown all the same.
SHOWN_ONLY: dict[str, str] = {}


def pages_with_commands() -> list[str]:
    """Those with a block in which a program is started."""
    found = []
    for page in PAGES:
        blocks = BLOCK.finditer(page.read_text(encoding="utf-8"))
        if any(block["language"] in {"", "sh"} and STARTS_A_PROGRAM.search(block["text"]) for block in blocks):
            found.append(str(page))
    return found


def commands_of(page: Path) -> Iterator[list[str]]:
    """The words after `stepwell` of each command, in blocks and in sentences."""
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        if block["language"] in {"", "sh"}:
            for match in COMMAND.finditer(block["text"].replace("\\\n", " ")):
                yield words_of(match["words"])
    for match in INLINE.finditer(BLOCK.sub("", text)):
        yield words_of(match["words"].replace("\n", " "))


def words_of(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


@cache
def stepwell() -> TyperGroup:
    """The command with everything that services add to it."""
    found = typer.main.get_command(application())
    assert isinstance(found, TyperGroup)
    return found


def problem(words: list[str]) -> str | None:
    """What is wrong with a command: an unknown name, or an option that it does not have."""
    command, path = stepwell(), ["stepwell"]
    known: object = command
    while isinstance(known, TyperGroup) and words:
        name = words.pop(0)
        if name.startswith(("-", "`")) or name.isupper():
            return None
        if name not in known.commands:
            return f"there is no {' '.join([*path, name])}"
        path.append(name)
        known = known.commands[name]
    options = {option for each in getattr(known, "params", []) for option in (*each.opts, *each.secondary_opts)}
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in {*options, "--help"}]
    return f"{' '.join(path)} has no {unknown[0]}" if unknown else None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clients add x", "there is no stepwell clients"),
        ("client ad x", "there is no stepwell client ad"),
        ("client add x.y --rôle z", "stepwell client add has no --rôle"),
        ("client add x.y --role z", None),
        ("instrument show wsas --form", None),
        ("run --no-journey", None),
    ],
)
def test_a_command_that_does_not_exist_is_found_out(text: str, said: str | None) -> None:
    assert problem(text.split()) == said


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_of_a_page_exists_with_its_options(page: Path) -> None:
    assert [told for words in commands_of(page) if (told := problem(words))] == []


def test_every_page_with_commands_is_run_by_a_test_or_says_why_it_is_not() -> None:
    unsaid = set(pages_with_commands()) - RUN_BY.keys() - SHOWN_ONLY.keys()
    assert unsaid == set(), "say in RUN_BY which test runs its commands, or in SHOWN_ONLY why none does"
    assert not [test for test in RUN_BY.values() if not Path(test).is_file()]
    assert not [page for page in (*RUN_BY, *SHOWN_ONLY) if not Path(page).is_file()]
