"""Promises of a submitted response: held to its form, scored and announced once for each version, and corrected."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.screening.rules.answering import answered
from tests.services.screening.submitting import (
    EHR,
    EMITTED,
    Resource,
    accept,
    everything,
    form,
    patient,
    places,
    said,
    score_in,
    submit,
    the,
)
from tests.support.runtime import NORTH, URLS, stored

SUBJECT, STATUS = "QuestionnaireResponse.subject", "QuestionnaireResponse.status"


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"subject": {"reference": "Patient/nobody"}}, f"{SUBJECT}.reference"),
        ({"subject": {"reference": "Practitioner/p1"}}, f"{SUBJECT}.reference"),
        ({"subject": {"reference": "https://ehr.example/fhir/Group/1"}}, f"{SUBJECT}.reference"),
        ({"subject": {"type": "Group", "identifier": {"value": "1"}}}, f"{SUBJECT}.type"),
        ({"subject": {"display": "somebody"}}, SUBJECT),
        ({"subject": None}, SUBJECT),
        ({"authored": None}, "QuestionnaireResponse.authored"),
        ({"questionnaire": None}, "QuestionnaireResponse.questionnaire"),
        (
            {"questionnaire": "https://stepwell.health/fhir/Questionnaire/phq-9|9.0.0"},
            "QuestionnaireResponse.questionnaire",
        ),
        ({"total": 18}, "QuestionnaireResponse.item[9].answer[0].value"),
    ],
)
async def test_what_cannot_be_scored_for_somebody_is_refused_with_its_place(
    runtime: Runtime, http: httpx.AsyncClient, changed: Resource, place: str
) -> None:
    before = await everything(runtime, NORTH)
    refused = await submit(http, form(1, **changed))
    assert (refused.status_code, places(refused)) == (422, [place])
    assert await everything(runtime, NORTH) == before


async def test_a_patient_of_the_other_tenant_is_not_known(http: httpx.AsyncClient) -> None:
    refused = await submit(http, form(subject={"reference": "Patient/south-only"}))
    assert (refused.status_code, places(refused)) == (422, [f"{SUBJECT}.reference"])


GAD_7 = {name: value for name, value in answered("gad-7", [1] * 7).items() if name in {"questionnaire", "item"}}


@pytest.mark.parametrize(
    ("first", "second", "place"),
    [
        ("in-progress", {"status": "in-progress", "subject": {"reference": "Patient/p2"}}, SUBJECT),
        ("completed", {"status": "amended", "subject": {"identifier": {"value": "p1"}}}, SUBJECT),
        ("in-progress", {"status": "completed", **GAD_7}, "QuestionnaireResponse.questionnaire"),
        ("completed", {"status": "in-progress"}, STATUS),
        ("completed", {"status": "stopped"}, STATUS),
        ("completed", {"others": 9}, STATUS),
        ("amended", {"status": "completed"}, STATUS),
        ("entered-in-error", {"status": "completed"}, STATUS),
    ],
)
async def test_a_kept_response_stays_with_its_person_and_form_and_is_only_corrected_once_finished(
    runtime: Runtime, http: httpx.AsyncClient, first: str, second: Resource, place: str
) -> None:
    await http.put("Patient/p2", json=patient("p2"), headers=EHR)
    await accept(http, form(id="r1", status=first))
    before = await everything(runtime, NORTH)
    refused = await submit(http, form(id="r1", **second))
    assert (refused.status_code, places(refused)) == (422, [place])
    assert await everything(runtime, NORTH) == before


@pytest.mark.parametrize("status", ["in-progress", "stopped"])
async def test_a_form_that_is_not_finished_is_kept_and_not_scored(
    runtime: Runtime, http: httpx.AsyncClient, status: str
) -> None:
    kept = await accept(http, form(total=99, status=status))
    assert kept["status"] == status
    assert await said(runtime, "score-finalized") == []
    assert await stored(runtime, NORTH, "Provenance") == []


async def test_a_finished_response_is_scored_and_announced_with_all_that_others_need(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    kept = await accept(http, form())
    (event,) = await said(runtime, "score-finalized")
    score = score_in(event)
    response_url, patient_url = (
        f"{URLS['screening']}/QuestionnaireResponse/{kept['id']}",
        f"{URLS['screening']}/Patient/p1",
    )
    assert list(event.entries) == [response_url, f"{URLS['measurement']}/Observation/{score['id']}", patient_url]
    assert (event.subject, event.focus) == ("Patient/p1", kept)
    assert (score["valueQuantity"]["value"], score["status"]) == (16, "final")
    assert score["subject"] == {"reference": patient_url}
    assert score["derivedFrom"] == [{"reference": response_url}]
    assert score["meta"]["source"] == f"{response_url}/_history/1"
    provenance = await the(runtime, "Provenance")
    assert provenance["target"] == [{"reference": f"{URLS['measurement']}/Observation/{score['id']}"}]
    for resource in (score, provenance, kept):
        validation.check(encode(resource), resource["resourceType"])
        emitted(resource)


async def test_a_form_that_was_in_progress_is_scored_when_it_is_completed(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await accept(http, form(None, 6, id="r1", status="in-progress"), form(id="r1"))
    (event,) = await said(runtime, "score-finalized")
    assert score_in(event)["valueQuantity"]["value"] == 16
    assert score_in(event)["meta"]["source"].endswith("/r1/_history/2")


async def test_an_amended_response_changes_the_same_score_and_opens_no_second_alert(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await accept(http, form(1, id="r1"), form(2, id="r1", status="amended"))
    first, second = [score_in(event) for event in await said(runtime, "score-finalized")]
    assert first["id"] == second["id"]
    assert (second["status"], second["valueQuantity"]["value"]) == ("amended", 18)
    assert second["meta"]["source"].endswith("/_history/2")
    assert len(await said(runtime, "safety-alert")) == 1
    assert [len(await stored(runtime, NORTH, name)) for name in ("Task", "Flag", "RiskAssessment")] == [1, 1, 1]
    made_by_second = (await stored(runtime, NORTH, "Provenance"))[-1]
    assert [target["reference"].split("/")[-2] for target in made_by_second["target"]] == ["Observation"]


async def test_a_withdrawn_response_withdraws_its_score_once_and_leaves_the_alert_to_a_clinician(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    withdrawn = form(1, id="r1", status="entered-in-error")
    await accept(http, form(1, id="r1"), withdrawn, withdrawn)
    first, second = [score_in(event) for event in await said(runtime, "score-finalized")]
    assert (second["id"], second["status"]) == (first["id"], "entered-in-error")
    assert (await the(runtime, "Task"))["status"] == "requested"
    validation.check(encode(second), "Observation")
    emitted(second)


async def test_withdrawing_what_was_never_scored_says_nothing(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await accept(http, form(id="r1", status="in-progress"), form(id="r1", status="entered-in-error"))
    assert await said(runtime, "score-finalized") == []


async def test_a_withdrawn_response_comes_back_as_an_amended_one(runtime: Runtime, http: httpx.AsyncClient) -> None:
    for status in ("completed", "entered-in-error", "amended"):
        await accept(http, form(id="r1", status=status))
    scores = [score_in(event) for event in await said(runtime, "score-finalized")]
    assert [score["status"] for score in scores] == ["final", "entered-in-error", "amended"]
    assert len({score["id"] for score in scores}) == 1


async def test_the_same_response_again_is_a_version_and_one_more_event(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    kept = await accept(http, form(id="r1"), form(id="r1"))
    events = await said(runtime, "score-finalized")
    assert kept["meta"]["versionId"] == "2"
    assert [event.focus["meta"]["versionId"] for event in events] == ["1", "2"]


@pytest.mark.parametrize("status", ["in-progress", "stopped", "completed"])
async def test_a_positive_item_opens_its_alert_as_soon_as_it_is_saved(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None], status: str
) -> None:
    kept = await accept(http, form(1, status=status))
    (alert,) = await said(runtime, "safety-alert")
    task, assessment, flag = [await the(runtime, name) for name in ("Task", "RiskAssessment", "Flag")]
    assert (alert.subject, alert.focus) == ("Patient/p1", task)
    assert list(alert.entries.values()) == [task, assessment]
    assert (task["priority"], task["reasonCode"]["coding"][0]["code"]) == ("stat", "SAF-1")
    assert task["focus"] == {"reference": f"RiskAssessment/{assessment['id']}"}
    assert assessment["basis"] == [{"reference": f"QuestionnaireResponse/{kept['id']}"}]
    assert (assessment["status"], flag["status"]) == ("preliminary", "active")
    made = [target["reference"] for target in (await the(runtime, "Provenance"))["target"]]
    assert f"RiskAssessment/{assessment['id']}/_history/1" in made
    for resource in (task, assessment, flag, await the(runtime, "Provenance")):
        validation.check(encode(resource), resource["resourceType"])
        emitted(resource)


async def test_a_database_that_goes_away_in_the_middle_is_answered_with_later_and_nothing_is_stored(
    runtime: Runtime, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = runtime.database.fetch

    async def gone(statement: str, *arguments: Any, **named: Any) -> Any:
        if "read_on_call" in statement:
            raise TimeoutError
        return await fetch(statement, *arguments, **named)

    monkeypatch.setattr(runtime.database, "fetch", gone)
    answer = await submit(http, form(1, id="r1"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    monkeypatch.undo()
    assert await stored(runtime, NORTH, "QuestionnaireResponse") == []
    assert (await accept(http, form(1, id="r1")))["meta"]["versionId"] == "1"


async def test_a_finished_response_brings_its_open_risk_assessment_along(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await accept(http, form(1, id="r1", status="in-progress"), form(1, id="r1"))
    (event,) = await said(runtime, "score-finalized")
    assert await the(runtime, "RiskAssessment") in event.entries.values()
    assert len(await said(runtime, "safety-alert")) == 1


async def test_an_answer_taken_back_leaves_the_alert_open(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await accept(http, form(1, id="r1"))
    task, assessment = await the(runtime, "Task"), await the(runtime, "RiskAssessment")
    await accept(http, form(0, id="r1", status="amended"))
    assert (await the(runtime, "Task"), await the(runtime, "RiskAssessment")) == (task, assessment)


async def test_an_unanswered_item_that_is_then_answered_positively_is_a_new_alert(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await accept(http, form(None, id="r1"), form(2, id="r1", status="amended"))
    reasons = [event.focus["reasonCode"]["coding"][0]["code"] for event in await said(runtime, "safety-alert")]
    assert reasons == ["SAF-5", "SAF-1"]
    assert {task["priority"] for task in await stored(runtime, NORTH, "Task")} == {"urgent", "stat"}


async def test_a_positive_item_that_is_then_left_out_is_still_the_same_alert(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await accept(http, form(2, id="r1"), form(None, id="r1", status="amended"))
    (alert,) = await said(runtime, "safety-alert")
    assert alert.focus["reasonCode"]["coding"][0]["code"] == "SAF-1"
    assert await the(runtime, "RiskAssessment") in (await said(runtime, "score-finalized"))[-1].entries.values()


@pytest.mark.parametrize(
    ("subject", "key"),
    [
        ({"identifier": {"system": "https://ehr.example/mrn", "value": "7"}}, "https://ehr.example/mrn|7"),
        ({"reference": "https://ehr.example/fhir/Patient/7"}, "https://ehr.example/fhir/Patient/7"),
    ],
)
async def test_a_person_whom_only_the_ehr_keeps_is_scored_and_cared_for_like_anybody(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None], subject: Resource, key: str
) -> None:
    await accept(http, form(1, subject=subject))
    (event,), (alert,) = await said(runtime, "score-finalized"), await said(runtime, "safety-alert")
    assert event.subject == alert.subject == key
    assert score_in(event)["subject"] == alert.focus["for"] == subject
    assert {each["resourceType"] for each in event.entries.values()} == {
        "QuestionnaireResponse",
        "Observation",
        "RiskAssessment",
    }
    for resource in (*event.entries.values(), *alert.entries.values()):
        validation.check(encode(resource), resource["resourceType"])
        emitted(resource)


@pytest.mark.parametrize("address", [f"{URLS['screening']}/Patient/p1", "Patient/p1", "Patient/p1/_history/1"])
async def test_however_a_local_person_is_written_others_can_follow_the_reference(
    runtime: Runtime, http: httpx.AsyncClient, address: str
) -> None:
    await accept(http, form(1, id="r1", status="in-progress"), form(1, id="r1", subject={"reference": address}))
    (event,) = await said(runtime, "score-finalized")
    assert event.subject == "Patient/p1"
    assert score_in(event)["subject"] == {"reference": f"{URLS['screening']}/Patient/p1"}
    assert (await the(runtime, "RiskAssessment"))["subject"] == {"reference": "Patient/p1"}


async def test_sent_many_times_at_once_with_one_identifier_it_is_one_of_each(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    body = form(1, identifier={"system": "https://ehr.example/forms", "value": "f1"})
    answers = await asyncio.gather(*(submit(http, body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len(await said(runtime, "score-finalized")) == len(await said(runtime, "safety-alert")) == 1
    await the(runtime, "Task")


async def test_written_at_once_under_one_id_every_version_is_announced_once_and_the_alert_once(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    answers: list[Any] = await asyncio.gather(*(submit(http, form(1, id="r1")) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200, 201}
    versions = [event.focus["meta"]["versionId"] for event in await said(runtime, "score-finalized")]
    assert versions == ["1", "2", "3", "4", "5"]
    assert len(await said(runtime, "safety-alert")) == 1
    assert {name: len(await stored(runtime, NORTH, name)) for name in EMITTED[1:4]} == dict.fromkeys(EMITTED[1:4], 1)
