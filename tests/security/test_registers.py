"""The registers of security and safety are whole: each row has a test, a reason or is said to be open, and is shown."""

import pytest

from tests.support.checklist import TESTS
from tests.support.registers import (
    NAMES,
    ROOT,
    Row,
    found_tests,
    is_within,
    parts_of_check,
    register,
    risk_class,
    written,
)

ASVS_5 = {1: 70, 2: 183}  # how many requirements version 5.0.0 has of each level
STRIDE = "STRIDE"


@pytest.mark.parametrize("name", NAMES)
def test_every_row_has_a_test_or_a_reason_or_says_that_it_is_open(name: str) -> None:
    assert [row.id for row in register(name).rows if not row.is_answered] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_test_that_a_row_names_is_there_and_is_one(name: str) -> None:
    named = {f"{row.id}: {each}": found_tests(each) for row in register(name).rows for each in row.tests}
    assert {row: found for row, found in named.items() if len(found) != 1} == {}
    checks = {each for row in register(name).rows for each in row.checks}
    assert checks <= parts_of_check()


@pytest.mark.parametrize("name", NAMES)
def test_the_page_shows_what_the_register_says(name: str) -> None:
    page = (ROOT / register(name).page).read_text(encoding="utf-8")
    assert written(page, register(name)) == page, "run `python -m tests.support.registers`"


def test_a_row_that_names_no_test_is_not_answered_and_an_unknown_test_is_not_found() -> None:
    assert not Row("X1", {}).is_answered
    assert Row("X1", {}, open="not yet").is_answered
    assert found_tests("test_that_nobody_has_written") == []
    assert len(found_tests("test_nonsense_is_refused")) > 1, "a name that several have is no reference"
    assert len(found_tests("auth/test_issuer::test_nonsense_is_refused")) == 1
    assert found_tests("th/test_issuer::test_nonsense_is_refused") == []


def test_every_risk_of_the_owasp_list_is_there_with_tests() -> None:
    rows = {row.id: row for row in register("owasp").rows}
    assert list(rows) == [f"API{number}" for number in range(1, 11)]
    assert [row.id for row in rows.values() if not row.tests] == []


def test_every_requirement_of_asvs_up_to_level_2_is_there_once() -> None:
    data = register("asvs").data
    wanted = {
        f"{section}.{number}": level
        for section, levels in data["sections"].items()
        for level in (1, 2)
        for number in levels[f"level_{level}"]
    }
    assert {level: list(wanted.values()).count(level) for level in (1, 2)} == ASVS_5
    rows = {row.id: int(row.told["level"]) for row in register("asvs").rows}
    left_out = {id_ for id_ in wanted for prefix in data["not_applicable"] if is_within(id_, prefix)}
    assert rows == {id_: level for id_, level in wanted.items() if id_ not in left_out}
    assert [prefix for prefix in data["not_applicable"] if not any(is_within(id_, prefix) for id_ in wanted)] == []


def test_every_boundary_has_its_threats_by_their_kind() -> None:
    threats = register("threats")
    for boundary in threats.chapters:
        assert any(is_within(row.id, boundary) for row in threats.rows), boundary
    kinds = [row.id.partition("-")[2].rstrip("0123456789") for row in threats.rows]
    assert set(kinds) == set(STRIDE)


def test_no_hazard_stays_above_what_is_acceptable_and_no_control_makes_it_worse() -> None:
    data = register("hazards").data
    for id_, row in data["rows"].items():
        initial, residual = risk_class(row["initial"], data), risk_class(row["residual"], data)
        assert residual <= initial, id_
        assert residual <= data["acceptable_max"] or row.get("open"), id_
        assert row["initial"].split(", ")[0] == row["residual"].split(", ")[0], (
            f"{id_}: controls lower how likely it is"
        )
        assert row["tests"], id_


def test_the_matrix_rises_with_severity_and_likelihood() -> None:
    matrix = register("hazards").data["matrix"]
    assert [len(row) for row in matrix] == [5] * 5
    assert all(list(row) == sorted(row) for row in matrix)
    assert all(list(column) == sorted(column) for column in zip(*matrix, strict=True))


def test_make_rows_runs_the_tests_that_a_register_names() -> None:
    checklist = register("owasp").checklist()
    assert set(checklist.asked) == {f"API{number}" for number in range(1, 11)}
    test = "tests/shared/auth/test_issuer.py::test_an_assertion_is_good_once"
    assert checklist.rows_of(test) == (["API2"], "an assertion is good once")
    assert checklist.rows_of("tests/shared/auth/test_issuer.py::test_nonsense_is_refused")[0] == []
    assert (TESTS / "shared" / "auth" / "test_issuer.py").exists()
