"""The FHIR checklist: its rows, the tests whose names begin with a row's id, and the table that `make rows` prints.

`test_i7_i8_...` proves I7 and I8, `test_1_5_...` proves 1.5. As a pytest plugin (`-p tests.support.rows`) it runs these
tests alone; a row without a test, or with one that did not pass, fails the run.
"""

import ast
import io
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from shutil import get_terminal_size

import pytest
from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).parents[1]
CHECKLIST = TESTS / "shared" / "fhir" / "rows.toml"
WIDTH_MIN = 140

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
    for path in folder.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for row in split_name(node.name)[0]:
                    found[row].add(node.name)
    return found


class Results:
    """How the tests of each row went."""

    def __init__(self) -> None:
        self._tests: dict[str, dict[str, Counter[str]]] = {row: defaultdict(Counter) for row in requirements()}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts a case under each of its rows; what fails before or after the case counts as well."""
        if report.when != "call" and report.outcome == "passed":
            return
        rows, promise = split_name(report.nodeid.partition("[")[0].rpartition("::")[2])
        for row in rows:
            self._tests[row][promise][report.outcome] += 1

    def verdict(self, row: str) -> str:
        """`passed`, `failed`, or `no test`: one that was skipped proves nothing."""
        outcomes = sum(self._tests[row].values(), Counter[str]())
        if outcomes["failed"]:
            return "failed"
        return "passed" if outcomes["passed"] else "no test"

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A row that is not proved fails the run."""
        if session.exitstatus == pytest.ExitCode.OK and any(self.verdict(row) != "passed" for row in self._tests):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Prints the table."""
        table = Table("Row", "What it asks", "Tests (cases)", "", title="The FHIR checklist", show_lines=True)
        for row, asked in requirements().items():
            table.add_row(row, asked, "\n".join(_lines(self._tests[row])), self.verdict(row))
        passed = sum(self.verdict(row) == "passed" for row in self._tests)
        text = io.StringIO()
        console = Console(file=text, width=max(get_terminal_size().columns, WIDTH_MIN), highlight=False)
        console.print(table, f"{passed} of {len(self._tests)} rows passed", markup=False)
        terminalreporter.write(f"\n{text.getvalue()}")


def _lines(tests: dict[str, Counter[str]]) -> Iterable[str]:
    for promise, outcomes in sorted(tests.items()):
        unpassed = [f"{count} {outcome}" for outcome, count in outcomes.items() if outcome != "passed"]
        yield f"{promise} ({', '.join([str(outcomes.total()), *unpassed])})"


def pytest_configure(config: pytest.Config) -> None:
    """Only the process that was started reports; its workers run the tests."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Results())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the tests of the rows."""
    named = [item for item in items if split_name(item.name.partition("[")[0])[0]]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(named)])
    items[:] = named
