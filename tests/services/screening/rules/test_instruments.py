"""Every score of every instrument against a table of what its sources state: least, most, bands, each count of blanks.

The table (`instruments.toml`) is written down apart from the scoring definitions, each entry with its source.
"""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from stepwell_screening.rules.aggregation import ScoreResult
from stepwell_screening.rules.definition import ScoreDefinition
from stepwell_screening.rules.weights import exact

from tests.services.screening.rules.answering import spread
from tests.services.screening.rules.filling import DEFINITIONS, FORMS, NAMES, SCORINGS, Answers, filled, questions

TABLE: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("instruments.toml").read_text())
NOT_SCORED = {"ahc-hrsn", "goals", "pain-phase-checklist", "preference-and-barriers", "team-review", "tracker"}
FOR_WHOEVER_ASKS = {("phq-9", "algorithm"), ("phq-15", "somatoform-screen")}
"""Scores with tests of their own, in test_classification."""


def rows(kind: str) -> list[Any]:
    """The scores that the table lays down by `kind`: items, or table values of a raw score."""
    return [
        pytest.param(name, score, row, id=f"{name}-{score}")
        for name, entry in TABLE.items()
        for score, row in entry.items()
        if isinstance(row, dict) and kind in row
    ]


def result_of(name: str, score: str, answers: Answers) -> ScoreResult:
    (found,) = [result for result in SCORINGS[name].every(filled(name, answers)) if result.score.id == score]
    return found


def shown(result: ScoreResult) -> tuple[object, str | None]:
    return result.value, result.band.code if result.band else None


def definition_of(name: str, score: str) -> ScoreDefinition:
    (found,) = [each for each in DEFINITIONS[name].scores if each.id == score]
    return found


def banded(row: dict[str, Any], value: float) -> str | None:
    return next((code for low, high, code in row.get("bands", ()) if low <= value <= high), None)


def answers_to(name: str, score: str, row: dict[str, Any], weights: list[int | None]) -> Answers:
    also: Answers = row.get("also", {})
    return {**dict(zip(definition_of(name, score).item_link_ids, weights, strict=True)), **also}


def test_every_score_of_every_instrument_stands_in_the_table() -> None:
    assert set(NAMES) - NOT_SCORED == TABLE.keys()
    laid_down = {
        (name, score)
        for name, entry in TABLE.items()
        for score in [*entry, *(each for case in entry.get("cases", ()) for each in case)]
        if score not in {"source", "cases", "answers"}
    }
    defined = {(name, score.id) for name in NAMES for score in DEFINITIONS[name].scores}
    assert laid_down == defined - FOR_WHOEVER_ASKS
    assert all(entry["source"] for entry in TABLE.values())


@pytest.mark.parametrize("name", sorted(NOT_SCORED))
def test_a_form_whose_answers_are_used_one_by_one_has_no_score(name: str) -> None:
    assert SCORINGS[name](filled(name, {})) == ()


@pytest.mark.parametrize(("name", "score", "row"), rows("items"))
class TestSums:
    def test_all_minimum_and_all_maximum(self, name: str, score: str, row: dict[str, Any]) -> None:
        for weight in row["each"]:
            value = weight * row["items"]
            result = result_of(name, score, answers_to(name, score, row, [weight] * row["items"]))
            assert shown(result) == (value, banded(row, value))
            assert (result.prorated, result.missing, result.items_answered) == (False, (), row["items"])
            assert result.items_used == definition_of(name, score).item_link_ids
            assert result.instrument == f"{FORMS[name]['url']}|1.0.0"

    def test_every_boundary_falls_in_its_band(self, name: str, score: str, row: dict[str, Any]) -> None:
        low, high = row["each"]
        for lower, upper, code in row.get("bands", ()):
            for value in (lower, upper):
                weights = [low + part for part in spread(value - low * row["items"], row["items"], high - low)]
                assert shown(result_of(name, score, answers_to(name, score, row, [*weights]))) == (value, code)

    def test_each_count_of_blanks(self, name: str, score: str, row: dict[str, Any]) -> None:
        free, most = row.get("free", []), row["each"][1]
        links = [link for link in definition_of(name, score).item_link_ids if link not in free]
        for blanks in range(1, len(links) + 1):
            answered = dict.fromkeys(links[blanks:], most) | dict.fromkeys(free, most) | row.get("also", {})
            result = result_of(name, score, answered)
            bridged = blanks <= row.get("bridged", 0)
            # the mean of answers that are all at their most is the most again
            value = most * row["items"] if bridged else None
            assert shown(result) == (value, None if value is None else banded(row, value))
            assert (result.prorated, result.missing) == (bridged, tuple(links[:blanks]))
            assert result.items_answered == row["items"] - blanks

    def test_items_that_may_stay_blank_count_nothing(self, name: str, score: str, row: dict[str, Any]) -> None:
        free, most = row.get("free", []), row["each"][1]
        links = [link for link in definition_of(name, score).item_link_ids if link not in free]
        result = result_of(name, score, dict.fromkeys(links, most) | row.get("also", {}))
        assert (result.value, result.prorated, result.missing) == (most * len(links), False, ())
        assert result.items_used == tuple(links)


@pytest.mark.parametrize(("name", "score", "row"), rows("table"))
def test_the_table_value_of_every_raw_score(name: str, score: str, row: dict[str, Any]) -> None:
    links = definition_of(name, score).item_link_ids
    for raw, expected in enumerate(row["table"], start=4):
        weights = [1 + part for part in spread(raw - 4, 4, 4)]
        assert result_of(name, score, dict(zip(links, weights, strict=True))).value == exact(expected)


CASES = [
    pytest.param(name, case, id=f"{name}-{number}")
    for name, entry in TABLE.items()
    for number, case in enumerate(entry.get("cases", ()))
]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_worked_examples(name: str, case: dict[str, Any]) -> None:
    asked = [item["linkId"] for item in questions(FORMS[name]["item"]) if _is_asked(item)]
    given = [None if answer == "" else answer for answer in case["answers"]]
    answers = dict(zip(asked, given, strict=False))
    assert not set(asked[len(given) :]) & set(DEFINITIONS[name].item_link_ids), "the example leaves scored items out"
    found = {result.score.id: shown(result) for result in SCORINGS[name].every(filled(name, answers))}
    for score in case.keys() - {"answers"}:
        value, band = case[score]
        expected = exact(value) if isinstance(value, int | float) else value or None
        assert found[score] == (expected, band or None), score


def _is_asked(item: dict[str, Any]) -> bool:
    return item["type"] != "display" and not item.get("readOnly")
