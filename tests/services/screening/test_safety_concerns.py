"""Promises beyond single answers: what a person raises by hand, who is asked again, minors, red flags, and reviews."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from stepwell_screening import data
from stepwell_screening.use_cases.escalation import Escalation
from stepwell_shared.canonical import CANONICAL
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.screening.site_forms import answers_to, import_request, site_form
from tests.services.screening.submitting import (
    CLINICIAN,
    EHR,
    SOUTH_EHR,
    WORKER,
    Resource,
    accept,
    everything,
    form,
    patient,
    said,
    the,
)
from tests.support.runtime import NORTH, Clock, stored, token

LOINC = "http://loinc.org"
YES, NO = "LA33-6", "LA32-8"


def answers(instrument: str, given: dict[str, str], **members: Any) -> Resource:
    """A response of Patient/p1 with these coded answers by linkId."""
    items = [
        {"linkId": link_id, "answer": [{"valueCoding": {"system": LOINC, "code": code}}]}
        for link_id, code in given.items()
    ]
    body = {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "questionnaire": f"{CANONICAL}/Questionnaire/{instrument}|{data.questionnaire(instrument)['version']}",
        "subject": {"reference": "Patient/p1"},
        "authored": "2026-11-21T09:50:00+01:00",
        "item": items,
    }
    return {name: value for name, value in (body | members).items() if value}


PHQ_2 = answers("phq-2", {"/44250-9": "LA6569-3", "/44255-8": "LA6568-5"})
ASQ = answers("asq", {f"/asq-{number}": NO for number in range(1, 5)})


async def raise_concern(
    http: httpx.AsyncClient, headers: dict[str, str] = CLINICIAN, id_: str = "p1", **values: Any
) -> httpx.Response:
    parameter = [{"name": name, **value} for name, value in values.items()]
    body = {"resourceType": "Parameters", "parameter": parameter}
    return await http.post(f"Patient/{id_}/$raise-safety-concern", json=body, headers=headers)


SELF_HARM: Resource = {"concern": {"valueCode": "self-harm"}}


@pytest.mark.parametrize(
    ("headers", "id_", "values", "status"),
    [
        (CLINICIAN, "p1", {}, 400),
        (CLINICIAN, "p1", {"concern": {"valueCode": "gossip"}}, 400),
        (CLINICIAN, "p1", {**SELF_HARM, "note": {"valueString": "x" * 4001}}, 400),
        (EHR, "p1", SELF_HARM, 422),
        (EHR, "p1", {**SELF_HARM, "by": {"valueReference": {"reference": "Device/d1"}}}, 422),
        (token(NORTH, "patient"), "p1", SELF_HARM, 403),
        (CLINICIAN, "nobody", SELF_HARM, 404),
        (SOUTH_EHR, "nobody", SELF_HARM, 404),
    ],
)
async def test_a_concern_that_nobody_stands_for_or_knows_is_refused(
    runtime: Runtime, http: httpx.AsyncClient, headers: dict[str, str], id_: str, values: Resource, status: int
) -> None:
    before = await everything(runtime, NORTH)
    assert (await raise_concern(http, headers, id_, **values)).status_code == status
    assert await everything(runtime, NORTH) == before


@pytest.mark.parametrize("headers", [CLINICIAN, WORKER])
async def test_a_concern_opens_what_an_answer_would_and_says_who_raised_it(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Any, headers: dict[str, str]
) -> None:
    answer = await raise_concern(http, headers, **SELF_HARM, note={"valueString": "said so on the telephone"})
    assert answer.status_code == 201, answer.text
    task, assessment, flag = [await the(runtime, name) for name in ("Task", "RiskAssessment", "Flag")]
    person = headers["Authorization"].split()[-1]
    assert answer.json() == task
    assert task["requester"] == assessment["performer"] == {"reference": person}
    assert (task["reasonCode"]["coding"][0]["code"], task["priority"]) == ("SAF-1", "stat")
    assert "on the telephone" in task["description"]
    (event,) = await said(runtime, "safety-alert")
    assert (event.subject, event.focus) == ("Patient/p1", task)
    for resource in (task, assessment, flag):
        validation.check(encode(resource), resource["resourceType"])
        emitted(resource)


async def test_one_key_raises_one_concern(runtime: Runtime, http: httpx.AsyncClient) -> None:
    keyed = {**CLINICIAN, "Idempotency-Key": "once"}
    first, second = [await raise_concern(http, keyed, **SELF_HARM) for _ in range(2)]
    assert first.json() == second.json() == await the(runtime, "Task")


async def test_a_form_without_a_safety_question_asks_for_one_once_and_an_answered_asq_settles_it(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Any
) -> None:
    await accept(http, PHQ_2, PHQ_2)
    asking = await the(runtime, "Task")
    assert asking["code"]["coding"][0]["code"] == "ask-safety-question"
    assert asking["input"][0]["valueCanonical"] == f"{CANONICAL}/Questionnaire/asq|1.0.0"
    assert (await said(runtime, "safety-alert"), await stored(runtime, NORTH, "RiskAssessment")) == ([], [])
    kept = await accept(http, ASQ)
    settled = await the(runtime, "Task")
    assert (settled["status"], settled["businessStatus"]["coding"][0]["code"]) == ("completed", "reviewed")
    assert {"reference": f"QuestionnaireResponse/{kept['id']}"} in [
        each.get("valueReference") for each in settled["output"]
    ]
    validation.check(encode(settled), "Task")
    emitted(settled)
    await accept(http, PHQ_2)
    assert (await the(runtime, "Task"))["status"] == "requested"


async def test_a_question_that_nobody_asks_is_brought_to_somebody(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await accept(http, PHQ_2)
    assert isinstance(runtime.clock, Clock)
    runtime.clock.now += timedelta(hours=25)
    assert await Escalation(runtime).escalate_due([NORTH]) == 1
    assert (await said(runtime, "safety-alert")) == []
    assert len(await stored(runtime, NORTH, "Communication")) == 1


async def test_a_positive_asq_asks_for_a_same_day_person_where_c_ssrs_is_not_attested(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await accept(http, answers("asq", {"/asq-1": YES, "/asq-2": NO, "/asq-3": NO, "/asq-4": NO, "/asq-5": NO}))
    task = await the(runtime, "Task")
    assert "the same day" in task["description"]
    assert task["reasonCode"]["coding"][0]["code"] == "SAF-1"


async def bring_c_ssrs(runtime: Runtime, http: httpx.AsyncClient, folder: Path) -> Resource:
    """The site names somebody to turn to, attests the C-SSRS screener and brings its own form of it."""
    contacts = {"*": {"crisisContacts": [{"name": {"en": "Artificial crisis line"}, "phone": "+1 555 0100"}]}}
    (folder / "sites.json").write_text(json.dumps(contacts))
    runtime._settings = runtime.settings.model_copy(update={"site_file": folder / "sites.json"})
    site = site_form("c-ssrs-screener")
    request = import_request("c-ssrs-screener", site, attestedBy="Jo Example", licence="terms accepted")
    answer = await http.post("Questionnaire/$import", json=request, headers=EHR)
    assert answer.status_code == 201, answer.text
    form_: Resource = answer.json()
    return form_


async def test_where_c_ssrs_is_attested_it_is_what_is_asked_next(
    runtime: Runtime, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    brought = await bring_c_ssrs(runtime, http, tmp_path)
    await accept(http, form(1))
    task = await the(runtime, "Task")
    assert task["input"][0]["valueCanonical"] == f"{brought['url']}|{brought['version']}"


@pytest.mark.parametrize(
    ("said_yes", "reasons", "level"),
    [
        ({"/93247-5", "/93249-1"}, ["SAF-2"], "high"),
        ({"/93247-5", "/93248-3"}, ["SAF-1", "SAF-3"], None),
        ({"/93247-5"}, ["SAF-1", "SAF-4"], None),
        ({"/93246-7"}, ["SAF-4"], None),
    ],
)
async def test_what_c_ssrs_comes_to_stands_in_the_alert_so_that_care_follows_or_waits(
    runtime: Runtime, http: httpx.AsyncClient, tmp_path: Path, said_yes: set[str], reasons: list[str], level: str | None
) -> None:
    brought = await bring_c_ssrs(runtime, http, tmp_path)
    asked = {"/93246-7", "/93247-5", "/93267-3"} | (
        {"/93248-3", "/93249-1", "/93250-9"} if "/93247-5" in said_yes else set()
    )
    await accept(http, answers_to(brought, {link_id: YES if link_id in said_yes else NO for link_id in asked}))
    assessment = await the(runtime, "RiskAssessment")
    assert [each["coding"][0]["code"] for each in assessment["reasonCode"]] == reasons
    risk = assessment["prediction"][0].get("qualitativeRisk", {"coding": [{"code": None}]})
    assert (assessment["status"], risk["coding"][0]["code"]) == ("preliminary", level)
    assert (await the(runtime, "Task"))["reasonCode"]["coding"][0]["code"] == reasons[-1]


async def test_a_saved_form_with_a_yes_that_is_never_finished_has_its_alert(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await accept(http, answers("asq", {"/asq-1": YES}, status="in-progress"))
    assert len(await said(runtime, "safety-alert")) == 1


async def test_a_red_flag_asks_for_a_medical_review_which_an_outcome_completes(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Any
) -> None:
    await accept(http, answers("pain-phase-checklist", {}, item=red_flags("/new-seizure")))
    task = await the(runtime, "Task")
    assert task["code"]["coding"][0]["code"] == "medical-review"
    address = f"Task/{task['id']}"
    level = {"resourceType": "Parameters", "parameter": [{"name": "level", "valueCode": "low"}]}
    outcome = {"resourceType": "Parameters", "parameter": [{"name": "outcome", "valueCode": "continues"}]}
    assert (await http.post(f"{address}/$record-risk-level", json=level, headers=CLINICIAN)).status_code == 422
    unknown = {"resourceType": "Parameters", "parameter": [{"name": "outcome", "valueCode": "fine"}]}
    assert (await http.post(f"{address}/$record-review", json=unknown, headers=CLINICIAN)).status_code == 400
    assert (await http.post(f"{address}/$record-review", json=outcome, headers=WORKER)).status_code == 403
    assert (await http.post(f"{address}/$record-review", json=outcome, headers=CLINICIAN)).status_code == 200
    closed, assessment, flag = [await the(runtime, name) for name in ("Task", "RiskAssessment", "Flag")]
    assert (closed["status"], assessment["status"], flag["status"]) == ("completed", "final", "active")
    assert len(await said(runtime, "safety-alert")) == 2
    for resource in (closed, assessment, flag):
        validation.check(encode(resource), resource["resourceType"])
        emitted(resource)


def red_flags(*present: str) -> list[Resource]:
    """The checklist's group with these signs seen."""
    group = next(each for each in data.questionnaire("pain-phase-checklist")["item"] if each["linkId"] == "/red-flags")
    items = [
        {
            "linkId": each["linkId"],
            "answer": [{"valueCoding": {"system": LOINC, "code": YES if each["linkId"] in present else NO}}],
        }
        for each in group["item"]
    ]
    return [{"linkId": "/red-flags", "item": items}]


async def test_whoever_is_under_age_is_triaged_by_a_person_once(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await http.put("Patient/p1", json=patient(birthDate="2012-03"), headers=EHR)
    await accept(http, form(0), form(0), form(0, status="in-progress"))
    task = await the(runtime, "Task")
    assert task["code"]["coding"][0]["code"] == "manual-triage"
    assert (await the(runtime, "RiskAssessment"))["reasonCode"][0]["coding"][0]["code"] == "SAF-7"
    assert len(await said(runtime, "safety-alert")) == 1
