"""Responses that are let in when there is no room for others."""

import json
from typing import Any

import pytest
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
