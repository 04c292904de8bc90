"""enableWhen: every operator, both behaviours, and the nearest occurrence of the question."""

from typing import Any

import pytest
from stepwell_screening.rules.responses import compile_questionnaire

Item = dict[str, Any]


def findings(items: list[Item], response: list[Item], status: str = "completed") -> list[str]:
    checker = compile_questionnaire({"resourceType": "Questionnaire", "item": items})
    found = checker({"resourceType": "QuestionnaireResponse", "status": status, "item": response})
    return [finding.expression.removeprefix("QuestionnaireResponse.") for finding in found]


def enabled(kind: str, condition: Item, *answers: Item) -> bool:
    """Whether question b may stand, given the answers to question a."""
    items: list[Item] = [
        {"linkId": "a", "type": kind, "repeats": True},
        {"linkId": "b", "type": "boolean", "enableWhen": [{"question": "a", **condition}]},
    ]
    given = [{"linkId": "a", "answer": list(answers)}] if answers else []
    found = findings(items, [*given, {"linkId": "b", "answer": [{"valueBoolean": True}]}])
    assert found in ([], [f"item[{len(given)}]"])
    return not found


@pytest.mark.parametrize(
    ("operator", "allowed"),
    [
        ("=", [5]),
        ("!=", [4, 6]),
        (">", [6]),
        ("<", [4]),
        (">=", [5, 6]),
        ("<=", [4, 5]),
    ],
)
def test_each_operator_compares_with_the_answer(operator: str, allowed: list[int]) -> None:
    condition = {"operator": operator, "answerInteger": 5}
    assert [value for value in (4, 5, 6) if enabled("integer", condition, {"valueInteger": value})] == allowed


def test_exists_asks_for_an_answer_or_for_none() -> None:
    given = {"valueInteger": 1}
    assert enabled("integer", {"operator": "exists", "answerBoolean": True}, given)
    assert not enabled("integer", {"operator": "exists", "answerBoolean": True})
    assert enabled("integer", {"operator": "exists", "answerBoolean": False})
    assert not enabled("integer", {"operator": "exists", "answerBoolean": False}, given)


def test_an_answer_with_only_an_extension_does_not_exist() -> None:
    assert not enabled("integer", {"operator": "exists", "answerBoolean": True}, {"extension": []})


def test_any_of_several_answers_satisfies() -> None:
    four, six = {"valueInteger": 4}, {"valueInteger": 6}
    assert enabled("integer", {"operator": "=", "answerInteger": 6}, four, six)
    assert enabled("integer", {"operator": ">", "answerInteger": 5}, four, six)
    assert not enabled("integer", {"operator": "!=", "answerInteger": 6}, four, six)


def test_without_answer_only_inequality_holds() -> None:
    holding = [
        sign for sign in ("=", "!=", ">", "<", ">=", "<=") if enabled("integer", {"operator": sign, "answerInteger": 5})
    ]
    assert holding == ["!="]


@pytest.mark.parametrize(
    ("kind", "expected", "answer", "holds"),
    [
        ("choice", {"answerCoding": {"system": "s", "code": "c"}}, {"valueCoding": {"system": "s", "code": "c"}}, True),
        (
            "choice",
            {"answerCoding": {"system": "s", "code": "c"}},
            {"valueCoding": {"system": "t", "code": "c"}},
            False,
        ),
        ("boolean", {"answerBoolean": True}, {"valueBoolean": True}, True),
        ("decimal", {"answerDecimal": 5}, {"valueDecimal": 5.0}, True),
        ("string", {"answerString": "x"}, {"valueString": "X"}, False),
        ("string", {"answerInteger": 5}, {"valueString": "5"}, False),
        ("string", {"answerDate": "2026"}, {"valueString": "2026"}, False),
    ],
)
def test_equality_is_of_type_and_content(kind: str, expected: Item, answer: Item, *, holds: bool) -> None:
    assert enabled(kind, {"operator": "=", **expected}, answer) is holds


def test_all_and_any_combine_conditions() -> None:
    conditions = [{"question": name, "operator": "exists", "answerBoolean": True} for name in ("a", "b")]
    for behavior, expected in (("any", []), ("all", ["item[1]"])):
        items: list[Item] = [
            {"linkId": "a", "type": "boolean"},
            {"linkId": "b", "type": "boolean"},
            {"linkId": "c", "type": "boolean", "enableWhen": conditions, "enableBehavior": behavior},
        ]
        response = [{"linkId": name, "answer": [{"valueBoolean": True}]} for name in ("a", "c")]
        assert findings(items, response) == expected


def test_an_unfinished_form_is_not_held_to_it() -> None:
    items: list[Item] = [
        {"linkId": "a", "type": "boolean"},
        {
            "linkId": "b",
            "type": "boolean",
            "enableWhen": [{"question": "a", "operator": "exists", "answerBoolean": True}],
        },
    ]
    assert findings(items, [{"linkId": "b", "answer": [{"valueBoolean": True}]}], "in-progress") == []


class TestNearestOccurrence:
    ITEMS = (
        {
            "linkId": "g",
            "type": "group",
            "repeats": True,
            "item": [
                {"linkId": "a", "type": "boolean"},
                {
                    "linkId": "b",
                    "type": "boolean",
                    "enableWhen": [{"question": "a", "operator": "=", "answerBoolean": True}],
                },
            ],
        },
    )

    @staticmethod
    def group(first: bool, *, second: bool = True) -> Item:
        answers = [{"linkId": "a", "answer": [{"valueBoolean": first}]}]
        return {
            "linkId": "g",
            "item": answers + ([{"linkId": "b", "answer": [{"valueBoolean": True}]}] if second else []),
        }

    def test_is_the_one_in_the_same_group(self) -> None:
        assert findings([*self.ITEMS], [self.group(True), self.group(False)]) == ["item[1].item[1]"]
        assert findings([*self.ITEMS], [self.group(False, second=False), self.group(True)]) == []

    def test_is_the_question_above_before_others(self) -> None:
        below = {
            "linkId": "b",
            "type": "boolean",
            "enableWhen": [{"question": "a", "operator": "=", "answerInteger": 1}],
        }
        items: list[Item] = [{"linkId": "a", "type": "integer", "item": [below]}]
        nested = [{"linkId": "b", "answer": [{"valueBoolean": True}]}]
        for value, expected in ((1, []), (2, ["item[0].answer[0].item[0]"])):
            assert findings(items, [{"linkId": "a", "answer": [{"valueInteger": value, "item": nested}]}]) == expected

    def test_may_follow(self) -> None:
        condition = {"question": "z", "operator": "=", "answerBoolean": True}
        items: list[Item] = [
            {"linkId": "b", "type": "boolean", "enableWhen": [condition]},
            {"linkId": "g", "type": "group", "item": [{"linkId": "z", "type": "boolean"}]},
        ]
        later = {"linkId": "g", "item": [{"linkId": "z", "answer": [{"valueBoolean": True}]}]}
        assert findings(items, [{"linkId": "b", "answer": [{"valueBoolean": True}]}, later]) == []

    def test_before_it_is_the_last_one_whether_the_item_stands_or_is_asked_for(self) -> None:
        condition = {"question": "a", "operator": "=", "answerBoolean": True}
        asked: Item = {"linkId": "c", "type": "boolean", "required": True, "enableWhen": [condition]}
        items: list[Item] = [*self.ITEMS, asked]
        groups = [self.group(False, second=False), self.group(True, second=False)]
        stands: Item = {"linkId": "c", "answer": [{"valueBoolean": True}]}
        assert findings(items, [*groups, stands]) == []
        assert findings(items, groups) == ["QuestionnaireResponse"]
        assert findings(items, [*reversed(groups), stands]) == ["item[2]"]
        assert findings(items, [*reversed(groups)]) == []
