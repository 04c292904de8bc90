"""As a pytest plugin (`-p tests.support.rows`, `make rows`): runs the tests of a checklist alone and prints its table.

It is the FHIR checklist (`tests.support.checklist`), or the register (`tests.support.registers`) that `ROWS` names. A
row without a test, or with one that did not pass, fails the run.
"""

import io
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from shutil import get_terminal_size

import pytest
from rich.console import Console
from rich.table import Table

from tests.support.checklist import Checklist, fhir_checklist
from tests.support.registers import register

WIDTH_MIN = 140


def wanted_checklist() -> Checklist:
    """The one that the environment names in ROWS, or FHIR's."""
    name = os.environ.get("ROWS", "")
    return register(name).checklist() if name else fhir_checklist()


class Results:
    """How the tests of each row went."""

    def __init__(self, checklist: Checklist | None = None) -> None:
        self._checklist = checklist or fhir_checklist()
        self._tests: dict[str, dict[str, Counter[str]]] = {row: defaultdict(Counter) for row in self._checklist.asked}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts a case under each of its rows; what fails before or after the case counts as well."""
        if report.when != "call" and report.outcome == "passed":
            return
        rows, promise = self._checklist.rows_of(report.nodeid.partition("[")[0])
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
        table = Table("Row", "What it asks", "Tests (cases)", "", title=self._checklist.title, show_lines=True)
        for row, asked in self._checklist.asked.items():
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
        config.pluginmanager.register(Results(wanted_checklist()))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the tests of the rows."""
    checklist = wanted_checklist()
    named = [item for item in items if checklist.rows_of(item.nodeid.partition("[")[0])[0]]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(named)])
    items[:] = named
