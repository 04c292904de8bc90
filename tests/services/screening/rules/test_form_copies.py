"""Repeating groups become copies with linkIds of their own and back, so that nothing of one is taken for another's."""

from typing import Any

from stepwell_screening.rules.form_copies import Copies, counted, numbered, repeating_groups, rolled, unrolled
from stepwell_screening.rules.form_fields import filled, form_of

GOAL: dict[str, Any] = {
    "linkId": "goal",
    "type": "group",
    "repeats": True,
    "item": [
        {"linkId": "has", "type": "boolean"},
        {
            "linkId": "what",
            "type": "string",
            "enableWhen": [{"question": "has", "operator": "=", "answerBoolean": True}],
        },
    ],
}
FORM: dict[str, Any] = {"item": [{"linkId": "first", "type": "string"}, GOAL, {"linkId": "last", "type": "string"}]}


def test_a_group_that_is_asked_once_stays_as_it_is() -> None:
    assert unrolled(FORM, Copies()) == FORM
    assert repeating_groups(FORM) == {"goal"}


def test_no_number_asks_less_than_once_or_more_than_ten_times() -> None:
    for count, copies in ((-1, 1), (0, 1), (3, 3), (1000, 10)):
        assert len(unrolled(FORM, Copies({"goal": count}))["item"]) == 2 + copies


def test_a_condition_looks_at_its_own_copy() -> None:
    form = form_of(FORM, {"goal": 2})
    found = filled(form, {"has": ["false"], "what": ["no"], "has~copy-2": ["true"], "what~copy-2": ["yes"]})
    assert [item["linkId"] for item in found.items] == ["goal", "goal"]
    assert [[child["linkId"] for child in item["item"]] for item in found.items] == [["has"], ["has", "what"]]


def test_what_is_rolled_up_is_numbered_as_before() -> None:
    copies = Copies({"goal": 3})
    unrolled(FORM, copies)
    answered = [
        {"linkId": "goal", "item": [{"linkId": "has", "answer": [{"valueBoolean": True}]}]},
        {"linkId": "goal~copy-2", "item": [{"linkId": "what~copy-2", "answer": [{"valueString": "x"}]}]},
    ]
    response = rolled(answered, copies)
    assert counted(response)["goal"] == 2
    assert numbered(response, repeating_groups(FORM)) == answered
