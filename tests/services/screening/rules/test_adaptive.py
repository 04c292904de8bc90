"""Promises of adaptive forms without a server: data that holds together, and every difference found at its place."""

import copy
from decimal import Decimal
from typing import Any

import pytest
from stepwell_screening.data import adaptive as data
from stepwell_screening.instruments import instruments
from stepwell_screening.rules.adaptive import first_difference, group_of, parse_form, replay, rule_following

FORM: dict[str, Any] = {
    "id": "f",
    "url": "https://x.example/f",
    "version": "1",
    "heading": {},
    "steps": [{"instruments": ["a"]}, {"instruments": ["b"], "unless": {"score": "a.total", "atMost": 2}}],
}


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [{}],
        [{"instruments": ["a"], "text": {"linkId": "t", "text": "T"}}],
        [{"instruments": ["a"], "unless": {"item": "x", "atMost": 0}}],
        [{"instruments": ["a"]}, {"instruments": ["b"], "unless": {"score": "c.total", "atMost": 2}}],
        [{"instruments": ["a"]}, {"instruments": ["b"], "unless": {"score": "b.total", "atMost": 2}}],
        [{"instruments": ["a"]}, {"instruments": ["b"], "unless": {"score": "a.total"}}],
    ],
)
def test_a_form_that_does_not_hold_together_is_refused_at_start(steps: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_form({**FORM, "steps": steps})


@pytest.mark.parametrize("form", data.forms(), ids=lambda form: str(form["id"]))
def test_every_shipped_form_says_why_each_step_is_asked_and_where_each_threshold_is_from(form: dict[str, Any]) -> None:
    parsed = parse_form(form)
    shipped = {each.definition.id for each in instruments().values()}
    assert parsed.instruments - shipped <= {"c-ssrs-screener"}
    for step in form["steps"]:
        assert step.get("reason")
        assert "unless" not in step or step["source"]
        assert "c-ssrs-screener" not in step.get("instruments", []) or step["instruments"][-1] in shipped


@pytest.mark.parametrize(
    ("expected", "given", "place"),
    [
        ({"a": 1}, {}, "Q.a"),
        ({}, {"a": 1}, "Q.a"),
        ({"a": [1, 2]}, {"a": [1]}, "Q.a"),
        ({"a": [{"b": "x"}]}, {"a": [{"b": "y"}]}, "Q.a[0].b"),
        ({"a": True}, {"a": 1}, "Q.a"),
        ({"a": 0}, {"a": False}, "Q.a"),
        ({"a": 0}, {"a": "0"}, "Q.a"),
        ({"a": {}}, {"a": []}, "Q.a"),
        ({"a": Decimal("0.1")}, {"a": Decimal("0.11")}, "Q.a"),
        ({"a": Decimal("0.1")}, {"a": 0.1}, None),
        ({"a": 1}, {"a": Decimal("1.0")}, None),
        ({"b": [{"x": 1}], "a": "t"}, {"a": "t", "b": [{"x": 1.0}]}, None),
    ],
)
def test_two_values_differ_where_they_mean_something_else(expected: Any, given: Any, place: str | None) -> None:
    assert first_difference(expected, given, "Q") == place


def test_a_question_that_was_asked_is_not_asked_again() -> None:
    parts = {each.definition.id: [each] for each in instruments().values()}
    form = next(parse_form(each) for each in data.forms() if each["id"] == "adaptive-depression")
    following = rule_following(form, parts, {"item": []})
    (first,) = following([])
    (second,) = following([first])
    asked = [[item["linkId"] for item in step.item["item"]] for step in (first, second)]
    assert not set(asked[0]) & set(asked[1])
    assert {*asked[0], *asked[1]} >= {item["linkId"] for item in parts["phq-9"][0].questionnaire["item"]} - {"/stem"}
    assert [first.link_id, second.link_id] == [group_of("phq-2"), group_of("phq-9")]


def test_nothing_is_believed_after_the_first_difference() -> None:
    parts = {each.definition.id: [each] for each in instruments().values()}
    form = next(parse_form(each) for each in data.forms() if each["id"] == "adaptive-anxiety")
    following = rule_following(form, parts, {"item": []})
    first = following([])[0]
    second = following([first])[0]
    offered = [copy.deepcopy(dict(step.item)) for step in (first, second)]
    assert replay(offered, following, "Q") == ([first, second], [])
    offered[0]["item"][0]["text"] = "Something else"
    steps, findings = replay(offered, following, "Q")
    assert (steps, [each.expression for each in findings]) == ([], ["Q.item[0].item[0].text"])
