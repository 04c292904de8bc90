"""Responses that are let in when there is no room for others."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from stepwell_screening.instruments import compile_instrument, instruments, published, seen_as
from stepwell_screening.rules.weights import questionnaire_items
from stepwell_screening.use_cases import urgency
from stepwell_shared.runtime import Runtime

from tests.services.screening.site_forms import answers_to, site_form
from tests.services.screening.submitting import accept, form
from tests.services.screening.test_publishing import URL, publish
from tests.services.screening.test_safety_concerns import NO, YES, bring_c_ssrs


def cannot_wait(body: bytes, runtime: Runtime | None = None) -> bool:
    """As a process says that has met no form of a site."""
    return urgency.cannot_wait(runtime or Runtime(), body)


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
        b'{"questionnaire":"http://example.org/Questionnaire/other|1","status":"entered-in-error"}',
        b'{"questionnaire":"http://example.org/Questionnaire/other|","status":"completed"}',
        b'{"questionnaire":"http://example.org/Questionnaire/other","status":"completed"}',
        json.dumps({**form(3), "item": "none"}).encode(),
        json.dumps({**form(3), "item": [[]]}).encode(),
        json.dumps(form(0)).encode(),
        json.dumps({**form(3), "questionnaire": "#form"}).encode(),
        json.dumps({**form(3), "questionnaire": "#form", "contained": [{"id": "form", "item": [{}]}]}).encode(),
        json.dumps({**form(3), "questionnaire": "#form", "contained": [{"id": "form"}]}).encode(),
    ],
    ids=range(16),
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


@pytest.mark.parametrize(("answer", "expected"), [(NO, False), (YES, True)])
def test_what_an_adaptive_form_asks_of_others_is_known_by_its_codes(answer: str, *, expected: bool) -> None:
    site = site_form("c-ssrs-screener")
    copy = {
        "resourceType": "Questionnaire",
        "id": "form",
        "item": [{"linkId": "/steps/of-a-site", "item": site["item"]}],
    }
    answers = {"/93246-7": NO, "/93247-5": answer, "/93248-3": NO, "/93249-1": answer, "/93250-9": NO, "/93267-3": NO}
    adaptive = {**answers_to(site, answers), "questionnaire": "#form", "contained": [copy]}
    assert cannot_wait(json.dumps(adaptive).encode()) is expected


@pytest.mark.parametrize(("answer", "expected"), [(0, False), (1, True)])
def test_neither_can_such_an_answer_that_is_handed_in_as_a_parameter(answer: int, *, expected: bool) -> None:
    handed_in = {"resourceType": "Parameters", "parameter": [{"name": "in", "resource": form(answer)}]}
    test = urgency.tests(Runtime())["Questionnaire/$process-response"]
    assert test(json.dumps(handed_in).encode()) is expected
    assert not test(b'{"resourceType":"Parameters","parameter":[]}')


def test_what_is_too_long_to_look_into_cannot_wait_unless_its_bytes_say_so() -> None:
    calm = form(0)
    long = {**calm, "text": {"status": "generated", "div": "x" * urgency.LOOKED_INTO_BYTES_MAX}}
    assert not cannot_wait(json.dumps(long).encode())
    assert cannot_wait(json.dumps({**long, "questionnaire": "#form"}).encode())


def test_no_form_that_is_only_mentioned_hides_an_answer_that_cannot_wait() -> None:
    mentioned = {"resourceType": "Basic", "questionnaire": "https://stepwell.health/fhir/Questionnaire/gad-7|1.0.0"}
    assert cannot_wait(json.dumps({"contained": [mentioned], **json.loads(response(item(POSITIVE)))}).encode())


class TestFormsOfASite:
    async def test_answers_to_a_form_that_is_not_known_yet_cannot_wait_and_later_as_the_form_says(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        answered = answers_to(await publish(http), {"seen": "no"})
        body = json.dumps(answered).encode()
        assert cannot_wait(body, runtime)
        await accept(http, answered)
        assert not cannot_wait(body, runtime)
        assert cannot_wait(body.replace(b"|1.0", b"|2.0"), runtime)

    async def test_an_imported_form_with_questions_of_safety_is_watched_by_what_it_asks(
        self, runtime: Runtime, http: httpx.AsyncClient, tmp_path: Path
    ) -> None:
        site = await bring_c_ssrs(runtime, http, tmp_path)
        calm = answers_to(site, {"/93246-7": NO, "/93247-5": NO, "/93267-3": NO})
        await accept(http, calm)
        assert not cannot_wait(json.dumps(calm).encode(), runtime)
        for worst in ({"/93246-7": NO, "/93247-5": YES, "/93249-1": YES, "/93267-3": NO}, {"/93246-7": NO}):
            assert cannot_wait(json.dumps(answers_to(site, worst)).encode(), runtime)

    async def test_of_two_tenants_forms_with_one_name_either_says_that_it_cannot_wait(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        await accept(http, answers_to(await publish(http), {"seen": "no"}))
        (known,) = seen_as(runtime, f"{URL}|1.0")
        other = compile_instrument({**instruments()[CANONICAL].questionnaire, "url": URL, "version": "1.0"}, None)
        published._kept(runtime).keep(("south", "intake-1", 1), other)
        assert set(map(id, seen_as(runtime, f"{URL}|1.0"))) == {id(known), id(other)}
        assert cannot_wait(json.dumps(answers_to(known.questionnaire, {"seen": "no"})).encode(), runtime)

    async def test_what_is_forgotten_is_not_known_any_more(
        self, runtime: Runtime, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(published, "COMPILED_MAX", 1)
        answered = answers_to(await publish(http), {"seen": "no"})
        await accept(http, answered)
        assert seen_as(runtime, f"{URL}|1.0")
        await accept(http, answers_to(await publish(http, id="intake-2", version="2.0"), {"seen": "no"}))
        assert not seen_as(runtime, f"{URL}|1.0")
        assert seen_as(runtime, f"{URL}|2.0")
