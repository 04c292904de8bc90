"""Promises of what stands beside referrals on the worklist: messages, barriers and appointments are answered there."""

from datetime import timedelta
from typing import Any

import pytest
from stepwell_referral.use_cases.worklist_appointments import possible_with
from stepwell_shared.canonical import code_system, derived_id, instant
from stepwell_shared.runtime import Runtime

from tests.services.referral.booking import SERVICE, put_in, schedule, slot
from tests.services.referral.pages.visiting import DATA, WORKLIST, at_work, do, form_of, put_on, signed_in
from tests.support.runtime import NORTH, START, Clock, stored

PERSON = {"reference": "Patient/of-a"}
Resource = dict[str, Any]


def beside(code: str, **more: Any) -> Resource:
    """An open Task beside the referral of a person."""
    coding = {"system": code_system("task"), "code": code}
    return {
        "resourceType": "Task", "id": code, "status": "requested", "intent": "order", "code": {"coding": [coding]},
        "for": PERSON, "authoredOn": "2026-11-20T09:00:00Z", "lastModified": "2026-11-20T09:00:00Z", **more,
    }  # fmt: skip


def appointment(status: str, start: Any, **more: Any) -> Resource:
    people = [{"actor": {**each, "type": each["reference"].partition("/")[0]}, "status": "accepted"}
              for each in (PERSON, {"reference": f"HealthcareService/{SERVICE}"})]  # fmt: skip
    return {"resourceType": "Appointment", "id": "m1", "status": status, "start": instant(start),
            "end": instant(start + timedelta(hours=1)), "participant": people, **more}  # fmt: skip


async def one(runtime: Runtime, kind: str, id_: str) -> Resource:
    return next(each for each in await stored(runtime, NORTH, kind) if each["id"] == id_)


async def test_a_message_is_answered_in_the_name_of_who_is_signed_in(runtime: Runtime) -> None:
    await put_on(runtime, "a")
    asked = {"resourceType": "Communication", "id": "q1", "status": "completed", "subject": PERSON, "sender": PERSON,
             "payload": [{"contentString": "When does it begin? <b>"}]}  # fmt: skip
    id_ = derived_id(runtime.engine.base_url, NORTH, "answer-message", "q1")
    focus = {"reference": "Communication/q1"}
    await put_in(runtime, asked, beside("answer-message", id=id_, focus=focus, requester=PERSON))
    async with signed_in(runtime, at_work()) as client:
        page = await client.get(f"{WORKLIST}/lines/{id_}")
        assert "When does it begin? &lt;b&gt;" in page.text
        assert (await do(client, id_, "message", words=" ")).status_code == 422
        answered = await do(client, id_, "message", words="On Monday.")
        assert answered.status_code == 303, answered.text
    async with runtime.database.transaction(NORTH) as connection:
        read = await connection.fetchval("SELECT count(*) FROM audit WHERE resource_type = 'Communication'"
                                         " AND interaction = 'read' AND resource_id = 'q1'")  # fmt: skip
    assert read == 4  # each time that it was shown, with the page that refused to send nothing
    sent = next(each for each in await stored(runtime, NORTH, "Communication") if "inResponseTo" in each)
    assert (sent["sender"]["reference"], sent["payload"]) == ("Practitioner/nurse-1", [{"contentString": "On Monday."}])
    assert (await one(runtime, "Task", id_))["status"] == "completed"


async def test_a_barrier_is_answered_with_what_was_arranged(runtime: Runtime) -> None:
    await put_on(runtime, "a")
    barrier = {"coding": [{"system": code_system("barrier"), "code": "caregiving"}]}
    kind = {"coding": [{"system": code_system("task"), "code": "support-option"}]}
    options = [
        {"type": kind, "valueCodeableConcept": {"coding": [{"system": code_system("support"), "code": each}]}}
        for each in ("childcare", "flexible-hours")
    ]
    more = {"requester": {"type": "Device", "display": "x"}, "focus": {"reference": "QuestionnaireResponse/f1"}}
    task = beside("arrange-support", reasonCode=barrier, input=options, **more)
    await put_in(runtime, task)
    async with signed_in(runtime, at_work()) as client:
        assert "Care for children" in (await client.get(f"{WORKLIST}/barriers")).text
        assert (await do(client, "arrange-support", "done")).status_code == 422
        arranged = await do(client, "arrange-support", "done", support="childcare")
        assert arranged.status_code == 303, arranged.text
    closed = await one(runtime, "Task", "arrange-support")
    codes = [each["valueCodeableConcept"]["coding"][0]["code"] for each in closed["output"]]
    assert (closed["status"], codes) == ("completed", ["childcare"])


async def test_a_held_time_is_booked_and_what_became_of_an_appointment_is_said(runtime: Runtime) -> None:
    await put_on(runtime, "a")
    await put_on(runtime, "other", "Kim Other")
    later = START + timedelta(days=2)
    await put_in(runtime, schedule(), slot("s1", later), appointment("booked", later, id="m2"),
                 appointment("proposed", later + timedelta(days=1)))  # fmt: skip
    async with signed_in(runtime, at_work()) as client:
        found = (await client.get(f"{WORKLIST}/unanswered", headers=DATA)).json()["appointments"]
        assert [(each["appointment"], each["task"]) for each in found] == [("Appointment/m1", "Task/a")]
        page = await client.get(f"{WORKLIST}/lines/a")
        foreign = {**form_of(page, "confirm")}
        assert (await client.post(f"{WORKLIST}/lines/other/act", data=foreign)).status_code == 404
        assert (await client.post(f"{WORKLIST}/lines/a/act", data={**foreign, "act": "came"})).status_code == 422
        assert (await client.post(f"{WORKLIST}/lines/a/act", data=foreign)).status_code == 303
        assert (await one(runtime, "Appointment", "m1"))["status"] == "booked"
        cancelled = form_of(await client.get(f"{WORKLIST}/lines/a"), "cancel")
        assert (await client.post(f"{WORKLIST}/lines/a/act", data=cancelled)).status_code == 422
        assert isinstance(runtime.clock, Clock)
        runtime.clock.now = later + timedelta(minutes=5)
    async with signed_in(runtime, at_work()) as client:
        came = form_of(await client.get(f"{WORKLIST}/lines/a"), "came")
        assert came["appointment"] == "m2"
        assert (await client.post(f"{WORKLIST}/lines/a/act", data={**came, "version": "9"})).status_code == 412
        assert (await client.post(f"{WORKLIST}/lines/a/act", data=came)).status_code == 303
    assert (await one(runtime, "Appointment", "m2"))["status"] == "fulfilled"
    assert (await one(runtime, "Task", "a"))["status"] == "in-progress"


@pytest.mark.parametrize(
    ("status", "begun", "acts"),
    [
        ("proposed", False, ("confirm", "cancel")),
        ("pending", False, ("confirm", "cancel")),
        ("booked", False, ("cancel",)),
        ("booked", True, ("came", "missed")),
        ("noshow", True, ()),
        ("fulfilled", True, ()),
        ("cancelled", False, ()),
    ],
)
def test_a_time_to_come_is_booked_or_taken_back_and_of_one_that_has_come_is_said_what_it_was(
    status: str, begun: bool, acts: tuple[str, ...]
) -> None:
    made = appointment(status, START + timedelta(hours=-1 if begun else 1))
    assert possible_with(made, at_work(), START) == acts
    assert possible_with(made, at_work(scopes="user/Task.rus user/Appointment.rs"), START) == ()
