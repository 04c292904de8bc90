"""Nothing about a person leaves by a side door: marked data goes through everything, and no log, figure, trace, address
or refusal has a mark in it.
"""

import asyncio
import re
from secrets import token_hex
from typing import Any

import orjson
from stepwell_shared.http_client import HttpResponse
from stepwell_shared.settings import SERVICES

from tests.support.suite import Clinic, Resource, Suite

MARK = "Quxlorem"
FAMILY, STREET, PHONE, NUMBER, WORDS = (f"{MARK}{each}" for each in ("Family", "Street", "Phone", "Number", "Words"))
PHQ_9_OF_16, PHQ_9_WITH_ITEM_NINE = (2, 2, 2, 2, 2, 2, 2, 2, 0), (2, 2, 2, 2, 2, 2, 2, 2, 1)

PERSON: Resource = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:oid:2.999.1", "value": NUMBER}],
    "name": [{"family": FAMILY, "given": [MARK]}],
    "telecom": [{"system": "phone", "value": PHONE}],
    "address": [{"line": [STREET], "city": MARK}],
}
# How clients go wrong with what they know of a person: method, address below the service, body, headers.
MISTAKES: tuple[tuple[str, str, Any, dict[str, str]], ...] = (
    ("POST", "Patient", {**PERSON, "gender": WORDS}, {}),
    ("POST", "Patient", {**PERSON, "birthDate": WORDS}, {}),
    ("POST", "Patient", {**PERSON, "deceasedBoolean": WORDS, "deceasedDateTime": WORDS}, {}),
    ("POST", "Patient", orjson.dumps(PERSON)[:-9], {}),
    ("POST", "Patient", orjson.dumps(PERSON).replace(b'"Patient"', b'"Pat\\u0000ient"'), {}),
    ("POST", "Patient", orjson.dumps(PERSON), {"Content-Type": "text/plain"}),
    ("POST", "Patient", PERSON, {"If-None-Exist": f"name={FAMILY}&nothing={WORDS}"}),
    ("PUT", f"Patient/{FAMILY}", {**PERSON, "id": WORDS}, {}),
    ("PUT", f"Patient/{FAMILY}", {**PERSON, "id": FAMILY}, {"If-Match": f'W/"{WORDS}"'}),
    ("PATCH", f"Patient/{FAMILY}", [{"op": "replace", "path": f"/{WORDS}", "value": WORDS}], {}),
    ("GET", f"Patient/{FAMILY}", None, {}),
    ("GET", f"Patient?birthdate={WORDS}", None, {}),
    ("GET", f"Patient?_sort={WORDS}", None, {}),
    ("GET", f"Patient?name:{MARK}={FAMILY}", None, {}),
    ("GET", f"Patient?_cursor={WORDS}", None, {}),
    ("GET", f"{FAMILY}/{WORDS}", None, {}),
    ("GET", f"Patient/{FAMILY}/_history/{WORDS}", None, {}),
    ("GET", f"Observation?code:in={WORDS}&subject={WORDS}", None, {}),
    ("POST", f"Patient/{FAMILY}/${WORDS}", PERSON, {}),
    ("POST", "Task", {"resourceType": "Task", "status": WORDS, "intent": "order", "description": WORDS}, {}),
    ("POST", "QuestionnaireResponse", {"resourceType": "QuestionnaireResponse", "status": "completed",
      "questionnaire": f"urn:{WORDS}", "item": [{"linkId": WORDS, "answer": [{"valueString": WORDS}]}]}, {}),
    ("POST", "ServiceRequest", {"resourceType": "ServiceRequest", "note": [{"text": WORDS}]}, {}),
    ("POST", "Observation", {"resourceType": "Observation", "valueString": WORDS}, {}),
    ("GET", f"$export?_type={WORDS}", None, {"Prefer": "respond-async"}),
    ("GET", f"$export?_typeFilter=Patient%3Fname%3D{FAMILY}&_since={WORDS}", None, {"Prefer": "respond-async"}),
    ("GET", f"Group/{FAMILY}/$export", None, {"Prefer": "respond-async"}),
    ("GET", f"Measure/{WORDS}/$evaluate-measure?periodStart={WORDS}&subject=Patient/{FAMILY}", None, {}),
    ("GET", f"AuditEvent?entity=Patient/{FAMILY}&date={WORDS}", None, {}),
    ("POST", f"Subscription/{FAMILY}/$events", {"resourceType": "Parameters", "parameter": [{"name": WORDS}]}, {}),
    ("GET", "Patient", None, {"Authorization": f"Bearer {WORDS}"}),
    ("GET", "Patient", None, {"Authorization": f"Basic {WORDS}"}),
    ("GET", "Patient", None, {"Prefer": WORDS, "Accept": f"text/{WORDS}"}),
)  # fmt: skip


async def test_no_log_figure_trace_address_or_refusal_has_anything_about_a_person_in_it(suite: Suite) -> None:
    trace_id = token_hex(16)
    async with suite.clinic() as clinic:
        clinic.http.headers["traceparent"] = f"00-{trace_id}-{token_hex(8)}-01"
        refusals = [each for service in SERVICES for each in await _mistaken(clinic, service)]
        patient = await _lived_through(clinic)
        figures = [await clinic.http.request("GET", f"{_root(suite, service)}/metrics") for service in SERVICES]
    assert [where for where, answer in refusals if MARK in _said(answer)] == []
    assert [where for where, answer in refusals if answer.status_code >= 500] == []
    assert len([answer for _, answer in refusals if answer.status_code >= 400]) > 2 * len(MISTAKES)
    assert [answer.text for answer in figures if MARK in answer.text or patient in answer.text] == []
    logs = {service: suite.processes.log_of(service).read_text(encoding="utf-8") for service in SERVICES}
    assert all(len(text.splitlines()) > 10 for text in logs.values())
    found = [line for text in logs.values() for line in text.splitlines() if MARK in line or patient in line]
    assert found == []
    assert all(trace_id in text for text in logs.values())
    spans = suite.collector.wait_for(trace_id, lambda spans: {each.service for each in spans} == set(SERVICES))
    assert {each.service for each in spans} == set(SERVICES)
    assert [each for each in spans if MARK in str(each) or patient in str(each)] == []
    assert [body for body in suite.collector.bodies if MARK.encode() in body or patient.encode() in body] == []


async def _mistaken(clinic: Clinic, service: str) -> list[tuple[str, HttpResponse]]:
    answers = []
    for method, path, body, headers in MISTAKES:
        answer = await clinic.call(method, service, path, resource=body, headers=headers)
        answers.append((f"{method} {service} {path}", answer))
    return answers


def _said(answer: HttpResponse) -> str:
    """What a refusal says in its own words: its diagnostics and where the fault is."""
    if answer.status_code < 400:
        return ""
    headers = " ".join(value for name, value in answer.headers.items() if name.lower() != "x-correlation-id")
    return f"{answer.text} {headers}"


async def _lived_through(clinic: Clinic) -> str:
    """A marked person who is screened, told of, decided on, referred, refused and read of; the id."""
    patient = await clinic.create("screening", PERSON)
    subject = f"Patient/{patient['id']}"
    author = {"reference": subject, "display": FAMILY}
    assert (await clinic.submit(await clinic.form("phq-9", PHQ_9_OF_16, patient, author=author))).status_code == 201
    (request,) = await clinic.requests_for(patient)
    task = (await clinic.wait_for("referral", "Task", patient=subject))[0]
    alarming = await clinic.form("phq-9", PHQ_9_WITH_ITEM_NINE, patient, author=author)
    assert (await clinic.submit(alarming)).status_code == 201
    await clinic.wait_for("screening", "Flag", patient=subject)
    note = [{"text": WORDS}]
    await clinic.call(
        "PUT", "routing", f"ServiceRequest/{request['id']}", resource={**request, "note": note, "status": WORDS}
    )
    await clinic.call("PUT", "referral", f"Task/{task['id']}", resource={**task, "note": note, "status": "rejected"})
    goal = {
        "resourceType": "Goal",
        "lifecycleStatus": "active",
        "description": {"text": WORDS},
        "subject": {"reference": subject, "display": FAMILY},
        "note": note,
    }
    await clinic.create("measurement", goal)
    await clinic.wait_for("measurement", "Observation", patient=subject)
    for service in SERVICES:
        assert (await clinic.call("GET", service, f"Patient?name={FAMILY}&_id={patient['id']}")).status_code == 200
    await asyncio.sleep(1)  # until the last lines are written
    return str(patient["id"])


def _root(suite: Suite, service: str) -> str:
    return re.sub(rf"/{service}/fhir$", "", suite.deployment.url_of(service))
