"""Promises of views: rows as the algorithm of SQL on FHIR makes them, and definitions refused before they run."""

from typing import Any

import pytest
from stepwell_shared.views.definition import view_of
from stepwell_shared.views.running import rows_of, rows_of_lines
from stepwell_shared.views.values import ViewError

PEOPLE: list[dict[str, Any]] = [
    {
        "resourceType": "Patient",
        "id": "p1",
        "name": [{"family": "A", "given": ["x", "y"]}, {"family": "B"}],
        "contact": [{"telecom": [{"value": "1"}, {"value": "2"}]}, {"telecom": [{"value": "3"}]}],
    },
    {"resourceType": "Patient", "id": "p2", "name": [{"family": "C", "use": "old"}]},
    {"resourceType": "Observation", "id": "o1"},
    {"resourceType": "Patient", "id": "p3"},
]
ID = {"name": "id", "path": "id"}
FAMILY = {"name": "family", "path": "family"}
INDEX = {"name": "place", "path": "%rowIndex", "type": "integer"}


def view(*selects: Any, **more: Any) -> dict[str, Any]:
    return {"resource": "Patient", "select": list(selects), **more}


def rows(definition: Any, resources: Any = PEOPLE) -> list[tuple[Any, ...]]:
    make = rows_of(view_of(definition))
    return [row for each in resources for row in make(each)]


REFUSED = {
    "nothing": {},
    "no resource": {"select": [{"column": [ID]}]},
    "no select": {"resource": "Patient"},
    "select is no list": {"resource": "Patient", "select": {"column": [ID]}},
    "no path": view({"forEach": "@@", "column": [ID]}),
    "a number as path": view({"forEach": 1, "column": [ID]}),
    "a column without a path": view({"column": [{"name": "a"}]}),
    "a column with a name that no table has": view({"column": [{"name": "a b", "path": "id"}]}),
    "a column twice": view({"column": [ID]}, {"column": [ID]}),
    "two iterations": view({"forEach": "name", "forEachOrNull": "name", "column": [ID]}),
    "repeat of no list": view({"repeat": "item", "column": [ID]}),
    "parts of a union with other columns": view({"unionAll": [{"column": [ID]}, {"column": [FAMILY]}]}),
    "an unknown constant": view({"column": [{"name": "a", "path": "%x"}]}),
    "a constant without a value": view({"column": [ID]}, constant=[{"name": "x"}]),
    "where without a path": view({"column": [ID]}, where=[{}]),
    "no object": [],
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_definition_that_cannot_be_run_is_refused(name: str) -> None:
    with pytest.raises(ViewError):
        view_of(REFUSED[name])


def test_a_column_with_several_values_is_an_error_unless_it_is_a_collection() -> None:
    given = {"name": "given", "path": "name.given"}
    with pytest.raises(ViewError, match="given"):
        rows(view({"column": [given]}))
    assert rows(view({"column": [given | {"collection": True}]})) == [(["x", "y"],), ([],), ([],)]


def test_a_condition_that_is_neither_true_nor_false_is_an_error() -> None:
    with pytest.raises(ViewError):
        rows(view({"column": [ID]}, where=[{"path": "name.family.first()"}]))


def test_rows_are_of_one_type_and_of_what_all_conditions_take() -> None:
    assert rows(view({"column": [ID]})) == [("p1",), ("p2",), ("p3",)]
    taken = [{"path": "name.exists()"}, {"path": "name.where(use = 'old').empty()"}]
    assert rows(view({"column": [ID]}, where=taken)) == [("p1",)]


def test_for_each_element_a_row_with_its_place_or_none() -> None:
    names = {"forEach": "name", "column": [INDEX, FAMILY]}
    assert rows(view({"column": [ID]}, names)) == [("p1", 0, "A"), ("p1", 1, "B"), ("p2", 0, "C")]
    or_null = {"forEachOrNull": "name", "column": [INDEX, FAMILY]}
    assert rows(view({"column": [ID]}, or_null))[-1] == ("p3", 0, None)


def test_nested_elements_have_places_of_their_own() -> None:
    inner = {"forEach": "telecom", "column": [INDEX, {"name": "value", "path": "value"}]}
    outer = {"forEach": "contact", "column": [{"name": "contact", "path": "%rowIndex"}], "select": [inner]}
    assert rows(view(outer)) == [(0, 0, "1"), (0, 1, "2"), (1, 0, "3")]
    nowhere = {"forEachOrNull": "contact", "select": [inner]}
    assert rows(view({"column": [ID]}, nowhere))[-1] == ("p3", None, None)


def test_selects_beside_each_other_are_joined_and_unions_are_laid_together() -> None:
    union = {"unionAll": [{"forEach": "name", "column": [FAMILY]}, {"column": [{"name": "family", "path": "'-'"}]}]}
    assert rows(view({"column": [ID]}, union))[:3] == [("p1", "A"), ("p1", "B"), ("p1", "-")]
    twice = view({"forEach": "name", "column": [FAMILY]}, {"forEach": "contact", "column": [INDEX]})
    assert rows(twice) == [("A", 0), ("A", 1), ("B", 0), ("B", 1)]


def test_repeat_goes_as_deep_as_there_are_elements() -> None:
    answers = {
        "resourceType": "QuestionnaireResponse",
        "item": [
            {"linkId": "1", "item": [{"linkId": "1.1", "answer": [{"item": [{"linkId": "1.1.1"}]}]}]},
            {"linkId": "2"},
        ],
    }
    given = {"repeat": ["item", "answer.item"], "column": [INDEX, {"name": "linkId", "path": "linkId"}]}
    definition = {"resource": "QuestionnaireResponse", "select": [given]}
    assert rows(definition, [answers]) == [(0, "1"), (1, "1.1"), (2, "1.1.1"), (3, "2")]


def test_columns_stand_in_the_order_in_which_they_are_declared() -> None:
    def column(name: str) -> dict[str, Any]:
        return {"column": [{"name": name, "path": f"'{name}'"}]}

    first = {**column("a"), "select": [column("b")], "unionAll": [column("c")]}
    definition = view_of(view(first, column("d")))
    assert [each.name for each in definition.columns] == ["a", "b", "c", "d"]
    assert rows_of(definition)(PEOPLE[0]) == [("a", "b", "c", "d")]


def test_a_line_that_cannot_be_read_is_named_and_not_shown() -> None:
    lines = [b'{"resourceType": "Patient", "id": "p1"}\n', b"\n", b"{Secret\n"]
    with pytest.raises(ViewError, match="line 3") as refused:
        list(rows_of_lines(view_of(view({"column": [ID]})), lines))
    assert "Secret" not in str(refused.value)
