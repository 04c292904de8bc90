"""The FHIR checklist: its rows, and the tests whose names begin with a row's id (`test_i7_i8_...` proves I7 and I8)."""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]
CHECKLIST = TESTS / "shared" / "fhir" / "rows.toml"

_ROW = re.compile(r"([gisb]\d+|9_5_\d|\d_\d)_")


def requirements() -> dict[str, str]:
    """What each row asks, by its id, in the order of the checklist."""
    chapters = tomllib.loads(CHECKLIST.read_text(encoding="utf-8")).values()
    return {row: asked for chapter in chapters for row, asked in chapter.items()}


def split_name(test: str) -> tuple[list[str], str]:
    """The rows that a test's name begins with, and what it promises about them."""
    rest, rows = test.removeprefix("test_"), []
    while found := _ROW.match(rest):
        rows.append(found[1].replace("_", ".").upper())
        rest = rest[found.end() :]
    return rows, rest.replace("_", " ")


def named_tests(folder: Path = TESTS) -> dict[str, set[str]]:
    """The names of the tests of each row that has one."""
    found: dict[str, set[str]] = defaultdict(set)
    for _, name in functions(folder):
        for row in split_name(name)[0]:
            found[row].add(name)
    return found


def functions(folder: Path) -> Iterator[tuple[Path, str]]:
    """File and name of every test below a folder."""
    for path in folder.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield path, node.name


@dataclass(frozen=True)
class Checklist:
    """What is asked, by the id of the row; and of the id of a test without its parameters: its rows, and its words."""

    title: str
    asked: Mapping[str, str]
    rows_of: Callable[[str], tuple[list[str], str]]


def fhir_checklist() -> Checklist:
    """The one whose tests have the ids of rows in their names."""
    return Checklist("The FHIR checklist", requirements(), lambda test: split_name(test.rpartition("::")[2]))
