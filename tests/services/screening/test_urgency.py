"""Responses that are let in when there is no room for others."""

import json
from itertools import product
from typing import Any

import pytest
from stepwell_screening.instruments import instruments
from stepwell_screening.rules.weights import questionnaire_items
from stepwell_screening.use_cases import urgency
from stepwell_screening.use_cases.urgency import cannot_wait

from tests.services.screening.submitting import form


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"PHQ-9"',
        b"{}",
        b'{"questionnaire":[]}',
        b'{"questionnaire":"http://example.org/Questionnaire/other|1"}',
        json.dumps({**form(3), "item": "none"}).encode(),
        json.dumps({**form(3), "item": [[]]}).encode(),
        json.dumps(form(0)).encode(),
        json.dumps({**form(3), "questionnaire": "#form"}).encode(),
        json.dumps({**form(3), "questionnaire": "#form", "contained": [{"id": "form", "item": [{}]}]}).encode(),
        json.dumps({**form(3), "questionnaire": "#form", "contained": [{"id": "form"}]}).encode(),
    ],
    ids=range(13),
)
def test_what_says_nothing_of_danger_waits_like_others(body: bytes) -> None:
    assert not cannot_wait(body)


@pytest.mark.parametrize("answer", [1, 2, 3, None])
def test_a_positive_or_blank_ninth_item_cannot_wait(answer: int | None) -> None:
    response: dict[str, Any] = form(answer)
    assert cannot_wait(json.dumps(response).encode())


@pytest.mark.parametrize("answer", [1, None])
def test_neither_can_such_an_answer_in_an_adaptive_form(answer: int | None) -> None:
    contained = [{"resourceType": "Questionnaire", "id": "form", "item": [{"linkId": "/steps/phq-9"}]}]
    response: dict[str, Any] = {**form(answer), "questionnaire": "#form", "contained": contained}
    assert cannot_wait(json.dumps(response).encode())


ITEM_9 = "/44260-8"
PLAIN = {"system": "http://loinc.org", "code": "LA6568-5"}
POSITIVE = {"system": "http://loinc.org", "code": "LA6569-3"}
WEIGHED = {
    **PLAIN,
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/ordinalValue", "valueDecimal": 2}],
}
CANONICAL = "https://stepwell.health/fhir/Questionnaire/phq-9|1.0.0"


def response(*items: dict[str, Any]) -> bytes:
    whole = {"resourceType": "QuestionnaireResponse", "questionnaire": CANONICAL, "status": "completed", "item": items}
    return json.dumps(whole).encode()


def item(*codings: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"linkId": ITEM_9, **more, "answer": [{"valueCoding": each} for each in codings]}


ODD = [
    response({"linkId": "/other", "text": f'"linkId": "{ITEM_9}"', "item": [item(POSITIVE)]}),
    response(item(PLAIN), item(POSITIVE)),
    response(item(WEIGHED)),
    response({"answer": [{"valueCoding": POSITIVE}], "linkId": ITEM_9}),
    response({"linkId": ITEM_9, "answer": []}),
    response({"linkId": ITEM_9}),
    response({"linkId": ITEM_9, "answer": [{"valueString": f'"code": "{PLAIN["code"]}"'}]}),
    response(item({**PLAIN, "system": "http://example.org"})),
    response({"linkId": "/44255-8", "answer": [{"valueCoding": PLAIN}]}),
    response(item({"display": '\\"code\\"', **POSITIVE})),
]


@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
def test_no_odd_body_hides_an_answer_that_cannot_wait(body: bytes) -> None:
    assert cannot_wait(body)


def test_what_the_bytes_say_is_what_parsing_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer to every item of safety of every shipped instrument, as clients write them."""
    told = []
    for (canonical, each), separators in product(instruments().items(), [(",", ":"), (", ", ": ")]):
        for link_id in each.safety.safe_answers or ():
            options = next(row for row in questionnaire_items(each.questionnaire) if row["linkId"] == link_id)[
                "answerOption"
            ]
            for option in options:
                whole = {**json.loads(response(item(option["valueCoding"]))), "questionnaire": canonical}
                whole["item"][0]["linkId"] = link_id
                body = json.dumps(whole, separators=separators).encode()
                told.append((body, cannot_wait(body), urgency._surely_waits(body)))
    assert {waits for _, waits, _ in told} == {True, False}
    assert all(surely == (not urgent) for _, urgent, surely in told)  # a plain answer is known without parsing
    monkeypatch.setattr(urgency, "_surely_waits", lambda _body: False)
    assert [cannot_wait(body) for body, _, _ in told] == [urgent for _, urgent, _ in told]


def test_an_instrument_that_asks_about_no_danger_is_not_parsed() -> None:
    canonical = "https://stepwell.health/fhir/Questionnaire/gad-7|1.0.0"
    assert urgency._surely_waits(json.dumps({"questionnaire": canonical, "item": []}).encode())
    assert not urgency._surely_waits(b'{"questionnaire": "http://example.org/other|1"}')
