"""The FHIR checklist is complete: every row has a test of its name, and every row that a test names is there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from tests.support.checklist import named_tests, requirements, split_name
from tests.support.rows import Results

Outcome = tuple[Literal["setup", "call", "teardown"], Literal["passed", "failed", "skipped"]]
# How many rows each chapter of the checklist has.
CHAPTERS = {"G": 14, "I": 14, "S": 19, "B": 7, "1.": 3, "9.": 11}


def test_every_row_is_in_the_table_with_what_it_asks() -> None:
    rows = requirements()
    assert len(rows) == sum(CHAPTERS.values())
    for chapter, count in CHAPTERS.items():
        assert sum(row.startswith(chapter) for row in rows) == count, chapter
    for letter in "GISB":
        assert {f"{letter}{number}" for number in range(1, CHAPTERS[letter] + 1)} <= rows.keys()
    assert all(len(asked) > 20 for asked in rows.values())


def test_every_row_has_a_test_of_its_name() -> None:
    tests = named_tests()
    assert [row for row in requirements() if not tests.get(row)] == []


def test_every_row_that_a_test_is_named_after_is_in_the_table() -> None:
    assert {row: tests for row, tests in named_tests().items() if row not in requirements()} == {}


def test_a_name_begins_with_the_rows_that_it_proves() -> None:
    assert split_name("test_i7_i8_criteria_stand_in_place") == (["I7", "I8"], "criteria stand in place")
    assert split_name("test_1_5_s19_a_compartment_of_64") == (["1.5", "S19"], "a compartment of 64")
    assert split_name("test_9_5_2_9_5_5_others") == (["9.5.2", "9.5.5"], "others")
    assert split_name("test_1_5_1_7_both") == (["1.5", "1.7"], "both")
    assert split_name("test_of_64_at_once_s9_is_no_row") == ([], "of 64 at once s9 is no row")


def test_a_row_without_tests_is_seen(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("class TestOne:\n    async def test_g1_paths(self): ...\n")
    (tmp_path / "other.py").write_text("def test_g2_is_not_collected(): ...\n")
    assert named_tests(tmp_path) == {"G1": {"test_g1_paths"}}


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ([], "no test"),
        ([("call", "skipped")], "no test"),
        ([("setup", "passed")], "no test"),
        ([("call", "passed"), ("call", "failed")], "failed"),
        ([("call", "passed"), ("teardown", "failed")], "failed"),
        ([("setup", "failed")], "failed"),
        ([("setup", "passed"), ("call", "passed"), ("teardown", "passed")], "passed"),
    ],
)
def test_a_row_passes_when_a_test_of_it_passed_and_none_failed(outcomes: Sequence[Outcome], verdict: str) -> None:
    results = Results()
    for when, outcome in outcomes:
        report = pytest.TestReport("tests/x.py::TestX::test_g1_g2_a[b::c]", ("", 0, ""), {}, outcome, None, when)
        results.pytest_runtest_logreport(report)
    assert {results.verdict(row) for row in ("G1", "G2")} == {verdict}
    assert results.verdict("G3") == "no test"
