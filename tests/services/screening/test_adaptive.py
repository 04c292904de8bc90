"""Promises of $next-question: asks what follows, believes nobody, and a finished form counts as what is in it."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from stepwell_screening.rules.adaptive_copies import ASSEMBLED_FROM
from stepwell_shared.runtime import Runtime

from tests.services.screening.adaptive_forms import (
    FORMS,
    answered,
    ask,
    asked,
    begun,
    filled_in,
    questions,
    steps,
)
from tests.services.screening.rules.answering import item_of
from tests.services.screening.site_forms import import_request, site_form
from tests.services.screening.submitting import EHR, Resource, accept, form, places, said, submit
from tests.support.runtime import NORTH, stored, token

PHQ_2, PHQ_9, ASQ, PERSON = "/steps/phq-2", "/steps/phq-9", "/steps/asq", "/steps/person"
C_SSRS = "/steps/c-ssrs-screener"
LOW, ANHEDONIA, ITEM_NINE = "/44255-8", "/44250-9", "/44260-8"
SAID_YES = {ANHEDONIA: 3, LOW: 3, ITEM_NINE: 1, "/asq-1": 1}
CONTAINED = "QuestionnaireResponse.contained[0]"

Change = Callable[[Resource], object]


def item(response: Resource, step: int, index: int) -> Resource:
    """A question of the contained Questionnaire."""
    found: Resource = questions(response)[step]["item"][index]
    return found


def given(response: Resource, step: int, index: int) -> Resource:
    """An item of the answers."""
    found: Resource = response["item"][step]["item"][index]
    return found


TAMPERED: list[tuple[Change, int, str | None]] = [
    (lambda r: r.update(status="completed"), 422, "QuestionnaireResponse.status"),
    (lambda r: r.update(questionnaire=f"{FORMS}depression|1.0.0"), 400, None),
    (lambda r: r["contained"][0].update(derivedFrom=[f"{FORMS}nothing|1.0.0"]), 422, f"{CONTAINED}.derivedFrom[0]"),
    (lambda r: r["contained"][0].update(derivedFrom=[f"{FORMS}depression"]), 422, f"{CONTAINED}.derivedFrom[0]"),
    (lambda r: r["contained"][0].update(derivedFrom=["urn:a|1", "urn:b|1"]), 422, f"{CONTAINED}.derivedFrom"),
    (lambda r: r["contained"][0].pop("derivedFrom"), 422, f"{CONTAINED}.derivedFrom"),
    (lambda r: questions(r)[0].update(linkId="/steps/gad-7"), 422, f"{CONTAINED}.item[0].linkId"),
    (lambda r: item(r, 0, 0).update(text="Do you like it here?"), 422, f"{CONTAINED}.item[0].item[0].text"),
    (lambda r: item(r, 0, 0).update(linkId="/x"), 422, f"{CONTAINED}.item[0].item[0].linkId"),
    (lambda r: item(r, 0, 0).update(readOnly=True), 422, f"{CONTAINED}.item[0].item[0].readOnly"),
    (lambda r: questions(r)[0]["item"].pop(1), 422, f"{CONTAINED}.item[0].item"),
    (lambda r: questions(r)[0]["item"].reverse(), 422, f"{CONTAINED}.item[0].item[0].linkId"),
    (
        lambda r: item(r, 0, 0)["answerOption"][3]["extension"][0].update(valueDecimal=0),
        422,
        f"{CONTAINED}.item[0].item[0].answerOption[3].extension[0].valueDecimal",
    ),
    (lambda r: questions(r).append(questions(r)[1]), 400, CONTAINED),
    (lambda r: questions(r).append({"linkId": "/x", "type": "display"}), 422, f"{CONTAINED}.item[2].linkId"),
    (lambda r: r["item"][0].update(text="Another question"), 422, "QuestionnaireResponse.item[0].text"),
    (lambda r: given(r, 0, 0).update(linkId="/x"), 422, "QuestionnaireResponse.item[0].item[0].linkId"),
    (lambda r: given(r, 0, 0)["answer"][0].update(valueCoding={"code": "x"}), 422,
     "QuestionnaireResponse.item[0].item[0].answer[0].value"),
    (lambda r: r["item"].append({"linkId": ASQ}), 422, "QuestionnaireResponse.item[2].linkId"),
    (lambda r: r["item"].reverse(), 422, "QuestionnaireResponse.item[1].linkId"),
    (lambda r: r["item"][1]["item"].append({"linkId": "/44261-6", "answer": [{"valueDecimal": 1}]}), 422,
     "QuestionnaireResponse.item[1].item[8].answer[0].value"),
]  # fmt: skip


async def test_what_was_not_asked_so_is_refused_with_its_place(http: httpx.AsyncClient) -> None:
    response = answered(await asked(http, answered(await asked(http, begun("depression")), SAID_YES)), SAID_YES)
    assert steps(response) == [PHQ_2, PHQ_9]
    for change, status, place in TAMPERED:
        changed = copy.deepcopy(response)
        change(changed)
        refused = await ask(http, changed)
        assert refused.status_code == status, refused.text
        assert place is None or place in places(refused)
    assert (await ask(http, response)).status_code == 200


NO_RESPONSE: list[Resource] = [
    {"resourceType": "Parameters"},
    {"resourceType": "Parameters", "parameter": [{"name": "questionnaire-response", "valueString": "x"}]},
    {"resourceType": "Patient"},
]


async def test_a_body_without_a_response_is_refused(http: httpx.AsyncClient) -> None:
    for body in NO_RESPONSE:
        assert (await ask(http, body)).status_code == 400


async def test_only_who_may_read_questionnaires_is_asked(http: httpx.AsyncClient) -> None:
    assert (await ask(http, begun("depression"), token(NORTH, "nobody-known"))).status_code == 200
    assert (await ask(http, begun("depression"), token(NORTH, "patient", "Patient/p1"))).status_code == 200
    refused = await http.post("Questionnaire/$next-question", json=begun("depression"))
    assert refused.status_code == 401


async def test_a_weight_that_a_client_puts_on_an_answer_does_not_lead_past_a_question(http: httpx.AsyncClient) -> None:
    response = answered(await asked(http, begun("depression")), {ANHEDONIA: 3, LOW: 3})
    coding = given(response, 0, 0)["answer"][0]["valueCoding"]
    coding["extension"] = [{"url": "http://hl7.org/fhir/StructureDefinition/itemWeight", "valueDecimal": 0}]
    refused = await ask(http, response)
    assert (refused.status_code, places(refused)) == (422, ["QuestionnaireResponse.item[0].item[0].answer[0].value"])


ASKED: list[tuple[dict[str, int | None], list[str]]] = [
    ({}, [PHQ_2, ASQ]),
    ({ANHEDONIA: 2}, [PHQ_2, ASQ]),
    ({ANHEDONIA: 2, "/asq-4": 1}, [PHQ_2, ASQ, PERSON]),
    ({ANHEDONIA: 2, "/asq-4": 2}, [PHQ_2, ASQ, PERSON]),
    ({"/asq-2": None}, [PHQ_2, ASQ, PERSON]),
    ({ANHEDONIA: 2, LOW: 1}, [PHQ_2, PHQ_9]),
    ({ANHEDONIA: 0, LOW: None}, [PHQ_2, PHQ_9]),
    ({ANHEDONIA: None, LOW: None}, [PHQ_2, PHQ_9]),
    ({ANHEDONIA: 3, LOW: 3, ITEM_NINE: 1}, [PHQ_2, PHQ_9, ASQ, PERSON]),
    ({ANHEDONIA: 3, LOW: 3, ITEM_NINE: None}, [PHQ_2, PHQ_9, ASQ, PERSON]),
]


async def test_what_is_not_certainly_unneeded_is_asked(http: httpx.AsyncClient) -> None:
    for chosen, expected in ASKED:
        assert steps(await filled_in(http, "depression", chosen)) == expected, chosen


WORRIES: list[tuple[dict[str, int | None], int]] = [
    ({"/69725-0": 2}, 1),
    ({"/69725-0": 2, "/68509-9": 1}, 2),
    ({"/69725-0": None}, 2),
]


async def test_worry_is_asked_about_in_the_same_way(http: httpx.AsyncClient) -> None:
    for chosen, expected in WORRIES:
        assert len(steps(await filled_in(http, "anxiety", chosen))) == expected
        both = steps(await filled_in(http, "depression-and-anxiety", chosen))
        assert both[:2] == [PHQ_2, "/steps/gad-2"]
        assert ("/steps/gad-7" in both) == (expected == 2)


async def test_answers_are_kept_and_the_parameters_come_back_as_they_were_sent(http: httpx.AsyncClient) -> None:
    first = await asked(http, begun("depression", id="r1", identifier={"value": "1"}))
    sent = answered(first, SAID_YES)
    body = {"resourceType": "Parameters", "parameter": [{"name": "questionnaire-response", "resource": sent}]}
    answer = await ask(http, body)
    back = answer.json()["parameter"][0]["resource"]
    assert (back["id"], back["identifier"], back["status"]) == ("r1", {"value": "1"}, "in-progress")
    given_items, kept_items = sent["item"][0]["item"], back["item"][0]["item"]
    assert kept_items[: len(given_items)] == given_items
    assert kept_items[-1] == {"linkId": "/55758-7", "text": "PHQ-2 total score", "answer": [{"valueDecimal": 6}]}
    again = await asked(http, sent)
    assert {**again, "authored": back["authored"]} == back


async def test_the_copy_says_what_it_is_derived_from_and_is_valid(
    http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    response = await filled_in(http, "depression", SAID_YES)
    copied = response["contained"][0]
    assert copied["derivedFrom"] == [f"{FORMS}depression|1.0.0"]
    sources = [each["valueCanonical"] for each in copied["extension"] if each["url"] == ASSEMBLED_FROM]
    assert [source.rpartition("/")[2] for source in sources] == ["phq-2|1.0.0", "phq-9|1.0.0", "asq|1.0.0"]
    checked = await http.post("QuestionnaireResponse/$validate", json=response, headers=EHR)
    assert {each["severity"] for each in checked.json()["issue"]} == {"information"}, checked.text
    emitted(response)


async def test_the_adaptive_forms_can_be_found(http: httpx.AsyncClient) -> None:
    found = await http.get("Questionnaire", params={"url": f"{FORMS}depression"}, headers=EHR)
    (entry,) = found.json()["entry"]
    assert entry["resource"]["extension"][0]["valueBoolean"] is True
    assert "item" not in entry["resource"]


async def test_each_instrument_in_it_scores_as_the_plain_form_does(runtime: Runtime, http: httpx.AsyncClient) -> None:
    plain = await accept(http, form(1, 16))
    chosen: dict[str, int | None] = {
        each["linkId"]: [option["valueCoding"]["code"] for option in _options(each["linkId"])].index(
            each["answer"][0]["valueCoding"]["code"]
        )
        for each in plain["item"]
    }
    await accept(http, await filled_in(http, "depression", chosen))
    first, second = await said(runtime, "score-finalized")
    scores = {each["code"]["coding"][0]["code"]: each for each in _observations(second)}
    (total,) = _observations(first)
    assert scores.keys() == {"55758-7", "44261-6", _code_of_asq(scores)}
    for name in ("valueQuantity", "interpretation", "component", "referenceRange", "code"):
        assert scores["44261-6"][name] == total[name]
    assert scores["55758-7"]["valueQuantity"]["value"] == 6


def _code_of_asq(scores: dict[str, Any]) -> str:
    (code,) = scores.keys() - {"55758-7", "44261-6"}
    return str(code)


def _options(link_id: str) -> list[Resource]:
    found: list[Resource] = item_of("phq-9", link_id)["answerOption"]
    return found


def _observations(event: Any) -> list[Resource]:
    return [each for each in event.entries.values() if each["resourceType"] == "Observation"]


async def test_a_yes_in_the_asq_that_goes_with_phq_2_opens_an_alert_and_a_no_does_not(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await accept(http, await filled_in(http, "depression", {}))
    assert await stored(runtime, NORTH, "RiskAssessment") == []
    await accept(http, await filled_in(http, "depression", {"/asq-3": 1}))
    (assessment,) = await stored(runtime, NORTH, "RiskAssessment")
    assert assessment["status"] == "preliminary"


async def attest_c_ssrs(runtime: Runtime, http: httpx.AsyncClient, folder: Path) -> None:
    """The site has somebody to turn to, and the right to ask the questions."""
    contacts = {"*": {"crisisContacts": [{"name": {"en": "Artificial crisis line"}, "phone": "+1 555 0100"}]}}
    (folder / "sites.json").write_text(json.dumps(contacts))
    runtime._settings = runtime.settings.model_copy(update={"site_file": folder / "sites.json"})
    request = import_request(
        "c-ssrs-screener", site_form("c-ssrs-screener"), attestedBy="Jo Example", licence="terms accepted"
    )
    answer = await http.post("Questionnaire/$import", json=request, headers=EHR)
    assert answer.status_code == 201, answer.text


async def test_item_nine_is_followed_by_c_ssrs_where_the_site_has_attested_it(
    runtime: Runtime, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    await attest_c_ssrs(runtime, http, tmp_path)
    response = await filled_in(http, "depression", {**SAID_YES, "/93246-7": 1})
    assert steps(response) == [PHQ_2, PHQ_9, C_SSRS, PERSON]
    await accept(http, response)
    (event,) = await said(runtime, "score-finalized")
    assert "93374-7" in {each["code"]["coding"][0]["code"] for each in _observations(event)}
    assert steps(await filled_in(http, "depression", {})) == [PHQ_2, ASQ]


async def test_a_form_under_way_goes_on_as_it_began_when_the_site_attests_c_ssrs(
    runtime: Runtime, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    before = answered(await asked(http, answered(await asked(http, begun("depression")), SAID_YES)), SAID_YES)
    with_asq = await asked(http, before)
    await attest_c_ssrs(runtime, http, tmp_path)
    ended = await asked(http, answered(with_asq, SAID_YES))
    assert (ended["status"], steps(ended)) == ("completed", [PHQ_2, PHQ_9, ASQ, PERSON])
    await accept(http, ended)
    assert steps(await asked(http, before)) == [PHQ_2, PHQ_9, C_SSRS]


async def test_a_form_that_goes_on_is_kept_and_not_scored_and_its_safety_answers_count_at_once(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    response = answered(await asked(http, begun("depression", id="r9")), SAID_YES)
    await accept(http, response)
    assert await stored(runtime, NORTH, "RiskAssessment") == []
    response = answered(await asked(http, response), SAID_YES)
    await accept(http, response)
    (assessment,) = await stored(runtime, NORTH, "RiskAssessment")
    assert assessment["status"] == "preliminary"
    assert await said(runtime, "score-finalized") == []
    refused = await submit(http, {**response, "status": "completed"})
    assert (refused.status_code, places(refused)) == (422, ["QuestionnaireResponse.status"])


CHANGED: list[tuple[Change, str]] = [
    (lambda r: r["contained"][0].update(title="Another form"), f"{CONTAINED}.title"),
    (lambda r: r["contained"][0].update(purpose="Another one"), f"{CONTAINED}.purpose"),
    (lambda r: item(r, 1, 0).update(required=True), f"{CONTAINED}.item[1].item[0].required"),
    (lambda r: questions(r).pop(), f"{CONTAINED}.copyright"),
    (lambda r: given(r, 0, 0)["answer"][0].update(valueCoding={"code": "x"}),
     "QuestionnaireResponse.item[0].item[0].answer[0].value"),
]  # fmt: skip


async def test_a_finished_form_that_was_changed_is_not_stored(http: httpx.AsyncClient) -> None:
    response = await filled_in(http, "depression", {ANHEDONIA: 1})
    for change, place in CHANGED:
        changed = copy.deepcopy(response)
        change(changed)
        refused = await submit(http, changed)
        assert refused.status_code == 422
        assert place in places(refused)
    assert (await submit(http, response)).status_code == 201


async def test_a_finished_form_is_amended_and_withdrawn_like_any_other(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    response = {**await filled_in(http, "depression", {ANHEDONIA: 1}), "id": "r5"}
    await accept(http, response)
    amended = copy.deepcopy({**response, "status": "amended"})
    given(amended, 0, 0)["answer"][0]["valueCoding"] = item(response, 0, 0)["answerOption"][2]["valueCoding"]
    refused = await submit(http, amended)
    assert (refused.status_code, places(refused)) == (422, ["QuestionnaireResponse.item[0].item[2].answer[0].value"])
    given(amended, 0, 2)["answer"][0]["valueDecimal"] = 2
    await accept(http, amended, {**amended, "status": "entered-in-error"})
    first, second, third = await said(runtime, "score-finalized")
    totals = [_scores(event)["55758-7"] for event in (first, second, third)]
    assert [each["valueQuantity"]["value"] for each in totals] == [1, 2, 2]
    assert [each["status"] for each in totals] == ["final", "amended", "entered-in-error"]
    assert len({each["id"] for each in totals}) == 1


def _scores(event: Any) -> dict[str, Resource]:
    return {each["code"]["coding"][0]["code"]: each for each in _observations(event)}
