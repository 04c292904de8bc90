"""Promises of recurring measurement: who is asked is asked once, reminded once, and never forgotten."""

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from stepwell_screening.app import service
from stepwell_screening.subscriptions import TIER_ASSIGNED, TRAJECTORY_CHANGED
from stepwell_screening.use_cases.solicitation import Soliciting, look
from stepwell_shared.auth.tenants import add_tenant
from stepwell_shared.canonical import code_system, instant, topic
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.runtime import Runtime

from tests.services.screening.pages.conftest import SITE
from tests.services.screening.rules.answering import answered, spread
from tests.services.screening.submitting import CLINICIAN, EHR, Resource, accept, form, patient, said
from tests.support.runtime import NORTH, SOUTH, START, URLS, Clock, received, stored, token

DAY = timedelta(days=1)
ANALYST = token(NORTH, "analyst")
PERSON = {"reference": f"{URLS['screening']}/Patient/p1"}
PHQ_9 = "https://stepwell.health/fhir/Questionnaire/phq-9|1.0.0"


@pytest.fixture(autouse=True)
def site(runtime: Runtime, tmp_path: Any) -> Any:
    """North has crisis contacts, so that its forms have links."""
    path = tmp_path / "site.json"
    runtime._settings = runtime.settings.model_copy(update={"site_file": path})

    def write(content: Any) -> None:
        path.write_text(json.dumps(content))

    write(SITE)
    return write


def pass_time(runtime: Runtime, time: timedelta) -> None:
    assert isinstance(runtime.clock, Clock)
    runtime.clock.now += time


def assignment(tier: str = "tier-1", id_: str = "s1", **members: Any) -> Resource:
    return {
        "resourceType": "ServiceRequest",
        "id": id_,
        "meta": {"versionId": "1"},
        "instantiatesCanonical": ["https://stepwell.health/fhir/PlanDefinition/stepped-care|1.0.0"],
        "status": "active",
        "intent": "proposal",
        "category": [{"coding": [{"system": code_system("tier"), "code": tier}]}],
        "subject": PERSON,
        "occurrencePeriod": {"start": instant(START), "end": instant(START + 90 * DAY)},
        **members,
    }


def course(kind: str, instrument: str = "phq-9", **members: Any) -> Resource:
    system = code_system("reliable-change")
    return {
        "resourceType": "Observation",
        "id": f"c-{instrument}",
        "meta": {"versionId": "1"},
        "status": "final",
        "code": {"coding": [{"system": system, "code": f"{instrument}-reliable-change"}]},
        "subject": PERSON,
        "effectiveDateTime": instant(START),
        "valueCodeableConcept": {"coding": [{"system": system, "code": kind}]},
        **members,
    }


async def hear(runtime: Runtime, *resources: Resource) -> None:
    handlers = service.listens(runtime)
    for resource in resources:
        kind = TIER_ASSIGNED if resource["resourceType"] == "ServiceRequest" else TRAJECTORY_CHANGED
        url = f"{URLS[kind[0]]}/{resource['resourceType']}/{resource['id']}"
        await handlers[kind](received(topic(kind[1]), [(url, resource)]), NORTH)


async def ask(http: httpx.AsyncClient, name: str, headers: dict[str, str] = CLINICIAN, **given: Any) -> httpx.Response:
    parameters = [{"name": key, **value} for key, value in given.items()]
    body = {"resourceType": "Parameters", **({"parameter": parameters} if parameters else {})}
    return await http.post(f"Patient/p1/${name}", json=body, headers=headers)


async def poll(runtime: Runtime, times: int = 1) -> None:
    soliciting = Soliciting(runtime)
    for _ in range(times):
        await soliciting.look_at_due([NORTH])


async def tasks(runtime: Runtime, code: str = "complete-questionnaire") -> list[Resource]:
    found = await stored(runtime, NORTH, "Task")
    wanted = [each for each in found if each["code"]["coding"][0]["code"] == code]
    return sorted(wanted, key=lambda task: str(task["authoredOn"]))


async def messages(runtime: Runtime) -> list[Resource]:
    return await stored(runtime, NORTH, "Communication")


def stands(task: Resource) -> tuple[str, str]:
    return task["status"], task["businessStatus"]["coding"][0]["code"]


def answers(runtime: Runtime, *, id_: str = "later", **members: Any) -> Resource:
    assert isinstance(runtime.clock, Clock)
    return form(id=id_, authored=instant(runtime.clock.now), **members)


@pytest.fixture
async def asked(runtime: Runtime, http: httpx.AsyncClient) -> Resource:
    """A form that has just been asked for: the baseline is two weeks old."""
    await accept(http, form(id="baseline"))
    await hear(runtime, assignment())
    pass_time(runtime, 14 * DAY)
    await poll(runtime)
    (task,) = await tasks(runtime)
    return task


class TestRefusals:
    async def test_what_makes_no_sense_changes_nothing(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        refused: list[tuple[str, dict[str, str], dict[str, Any], int]] = [
            ("pause-questionnaires", {}, {}, 401),
            ("pause-questionnaires", ANALYST, {}, 403),
            ("pause-questionnaires", CLINICIAN, {"pace": {"valueCode": "faster"}}, 400),
            ("pause-questionnaires", CLINICIAN, {"until": {"valueDate": "2026-11-01"}}, 400),
            ("pause-questionnaires", CLINICIAN, {"until": {"valueDate": "soon"}}, 400),
            ("pause-questionnaires", CLINICIAN, {"until": {"valueDate": "2027-11-01"}}, 422),
            ("pause-questionnaires", CLINICIAN, {"colour": {"valueCode": "red"}}, 400),
            ("ask-questionnaires", CLINICIAN, {}, 400),
            ("ask-questionnaires", CLINICIAN, {"occasion": {"valueCode": "birthday"}}, 400),
            ("ask-questionnaires", ANALYST, {"occasion": {"valueCode": "session"}}, 403),
        ]
        for name, headers, given, status in refused:
            assert (await ask(http, name, headers, **given)).status_code == status, (name, given)
        assert await look(runtime, NORTH, "Patient/p1") is None

    async def test_nobody_who_is_not_there_is_asked(self, http: httpx.AsyncClient) -> None:
        answer = await http.post("Patient/nobody/$pause-questionnaires", json={}, headers=CLINICIAN)
        assert answer.status_code in {400, 404}

    async def test_what_was_asked_stays_and_only_a_response_answers_it(
        self, http: httpx.AsyncClient, asked: Resource
    ) -> None:
        changes: list[tuple[Resource, int]] = [
            ({"for": {"reference": "Patient/p2"}}, 422),
            ({"authoredOn": instant(START)}, 422),
            ({"output": [{"type": {"text": "done"}, "valueString": "yes"}]}, 422),
            ({"status": "accepted", "owner": {"reference": "Patient/p1"}}, 200),
            ({"status": "rejected"}, 200),
            ({"status": "requested"}, 409),
        ]
        for changed, status in changes:
            answer = await http.put(f"Task/{asked['id']}", json={**asked, **changed}, headers=EHR)
            assert answer.status_code == status, answer.text

    async def test_a_safety_operation_does_not_close_it(self, http: httpx.AsyncClient, asked: Resource) -> None:
        body = {"resourceType": "Parameters", "parameter": [{"name": "level", "valueCode": "low"}]}
        answer = await http.post(f"Task/{asked['id']}/$record-risk-level", json=body, headers=CLINICIAN)
        assert answer.status_code == 422

    async def test_a_message_says_how_far_it_is_and_nothing_else(
        self, runtime: Runtime, http: httpx.AsyncClient, asked: Resource
    ) -> None:
        (message,) = await messages(runtime)
        url = f"Communication/{message['id']}"
        other = {**message, "payload": [{"contentString": "something else"}]}
        assert (await http.put(url, json=other, headers=EHR)).status_code == 422
        sent = {**message, "status": "completed", "sent": instant(START)}
        assert (await http.put(url, json=sent, headers=EHR)).status_code == 200
        assert (await http.put(url, json=message, headers=EHR)).status_code == 409

    async def test_an_event_without_its_focus_is_refused(self, runtime: Runtime) -> None:
        event = received(topic("tier-assigned"), [(f"{URLS['routing']}/ServiceRequest/s1", assignment())])
        event.resources.clear()
        with pytest.raises(FhirError):
            await service.listens(runtime)[TIER_ASSIGNED](event, NORTH)


class TestAsking:
    async def test_what_runs_beside_a_step_changes_no_pace(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        await accept(http, form(id="baseline"))
        step = {"reference": f"{URLS['routing']}/ServiceRequest/s0"}
        for request, asked in ((assignment(id_="s2", basedOn=[step]), 0), (assignment(), 1)):
            await hear(runtime, request)
            pass_time(runtime, 20 * DAY)
            await poll(runtime)
            assert len(await tasks(runtime)) == asked

    async def test_nobody_is_asked_before_the_time(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        await accept(http, form(id="baseline"))
        await hear(runtime, assignment())
        for _ in range(13):
            await poll(runtime)
            pass_time(runtime, DAY)
        assert await tasks(runtime) == []

    async def test_a_form_is_asked_for_with_a_task_a_message_and_an_event(
        self, runtime: Runtime, asked: Resource, emitted: Callable[[Resource], None]
    ) -> None:
        (message,) = await messages(runtime)
        assert stands(asked) == ("requested", "due")
        assert asked["input"][0]["valueCanonical"] == PHQ_9
        assert asked["input"][0]["type"]["coding"][0]["code"] == "questionnaire"
        assert asked["reasonCode"]["coding"][0]["code"] == "CADENCE-T1"
        assert (asked["for"], message["subject"]) == ({"reference": "Patient/p1"},) * 2
        (event,) = await said(runtime, "questionnaire-changed")
        assert event.focus == asked
        assert [each["resourceType"] for each in event.entries.values()] == ["Task", "Communication"]
        for resource in (asked, message):
            validation.check(encode(resource), resource["resourceType"])
            emitted(resource)

    async def test_the_link_stands_in_the_message_alone_and_opens_the_form(
        self, runtime: Runtime, http: httpx.AsyncClient, asked: Resource, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        (message,) = await messages(runtime)
        text = message["payload"][0]["contentString"]
        assert "https://stepwell.example/screening/forms/open/north." in text
        assert "forms/open" not in json.dumps(asked) + caplog.text
        words = " ".join(word for word in text.lower().split() if "forms/open" not in word)
        assert not any(word in words for word in ("phq", "depress", "anxi", "example", "p1"))
        async with runtime.database.transaction(NORTH) as connection:
            row = await connection.fetchrow("SELECT subject, task, questionnaire_id FROM form_link")
        assert tuple(row) == ("Patient/p1", f"Task/{asked['id']}", "phq-9-1.0.0")

    async def test_without_crisis_contacts_there_is_a_task_and_no_link(
        self, runtime: Runtime, http: httpx.AsyncClient, site: Any
    ) -> None:
        site({"*": {}})
        await accept(http, form(id="baseline"))
        await hear(runtime, assignment())
        pass_time(runtime, 14 * DAY)
        await poll(runtime)
        (message,) = await messages(runtime)
        assert "forms/open" not in message["payload"][0]["contentString"]

    async def test_each_person_is_written_to_in_their_language(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        for code, language in (("de-AT", "de"), ("es", "es"), ("fr", "fr"), ("fi", "en")):
            spoken = [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": code}]}, "preferred": True}]
            await http.put("Patient/p1", json=patient(communication=spoken), headers=EHR)
            assert (await ask(http, "ask-questionnaires", occasion={"valueCode": "contact"})).status_code == 200
            sent = [each for each in await messages(runtime) if each["status"] == "preparation"]
            assert [each["language"] for each in sent] == [language]

    async def test_replicas_that_look_at_once_ask_once(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        await accept(http, form(id="baseline"))
        await hear(runtime, assignment())
        pass_time(runtime, 14 * DAY)
        await asyncio.gather(*(look(runtime, NORTH, "Patient/p1") for _ in range(4)))
        await poll(runtime, 3)
        assert (len(await tasks(runtime)), len(await messages(runtime))) == (1, 1)

    async def test_whoever_died_or_left_is_not_asked(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        for gone in ({"deceasedBoolean": True}, {"active": False}):
            await http.put("Patient/p1", json={**patient(), **gone}, headers=EHR)
            assert (await ask(http, "ask-questionnaires", occasion={"valueCode": "contact"})).status_code == 200
        assert await tasks(runtime) == []

    async def test_a_site_has_its_own_numbers_within_the_bounds(
        self, runtime: Runtime, http: httpx.AsyncClient, site: Any
    ) -> None:
        await accept(http, form(id="baseline"))
        await hear(runtime, assignment())
        for days, kept in ((21, False), (3, True)):
            site({"north": {**SITE["north"], "cadence": {"CADENCE-T1": days}}})
            pass_time(runtime, 14 * DAY / 2)
            await poll(runtime)
            assert await tasks(runtime) == [], kept  # too often is refused, and then nobody is asked

    async def test_the_loop_runs_beside_the_requests(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        await add_tenant(runtime.database, NORTH, runtime.clock())
        await accept(http, form(id="baseline"))
        await hear(runtime, assignment())
        pass_time(runtime, 14 * DAY)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.8):
                await Soliciting(runtime).run()
        assert len(await tasks(runtime)) == 1


class TestAnswering:
    @pytest.mark.parametrize("status", ["completed", "amended"])
    async def test_a_response_completes_the_task_whichever_way_it_came(
        self, runtime: Runtime, http: httpx.AsyncClient, asked: Resource, status: str
    ) -> None:
        soliciting = Soliciting(runtime)
        await soliciting.look_at_due([NORTH])
        pass_time(runtime, DAY)
        await accept(http, answers(runtime, status=status))
        await soliciting.look_at_due([NORTH])
        (task,) = await tasks(runtime)
        assert stands(task) == ("completed", "answered")
        assert task["output"][0]["valueReference"] == {"reference": "QuestionnaireResponse/later"}
        (message,) = await messages(runtime)
        assert message["status"] == "not-done"
        assert "payload" not in message

    async def test_a_response_that_commits_late_is_not_missed(
        self, runtime: Runtime, http: httpx.AsyncClient, asked: Resource
    ) -> None:
        soliciting = Soliciting(runtime)
        await soliciting.look_at_due([NORTH])
        soliciting._heard.note(NORTH, "Patient/p1")
        await soliciting.look_at_due([NORTH])  # it was noted, and is not there yet
        await accept(http, answers(runtime))
        soliciting._heard._new.clear()
        await soliciting.look_at_due([NORTH])
        assert stands((await tasks(runtime))[0]) == ("completed", "answered")

    async def test_after_a_restart_what_was_answered_is_found(
        self, runtime: Runtime, http: httpx.AsyncClient, asked: Resource
    ) -> None:
        await accept(http, answers(runtime))
        runtime.cache.clear()
        await poll(runtime)
        assert stands((await tasks(runtime))[0]) == ("completed", "answered")

    @pytest.mark.parametrize(
        "other",
        [
            {"authored": "2026-11-21T09:50:00+01:00"},
            {"status": "in-progress"},
            {"subject": {"reference": "Patient/p2"}},
        ],
    )
    async def test_what_answers_something_else_completes_nothing(
        self, runtime: Runtime, http: httpx.AsyncClient, asked: Resource, other: Resource
    ) -> None:
        await http.put("Patient/p2", json=patient("p2"), headers=EHR)
        await accept(http, {**answers(runtime), **other})
        await poll(runtime, 2)
        assert stands((await tasks(runtime))[0]) == ("requested", "due")

    async def test_what_was_answered_just_before_is_asked_again_where_people_meet(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        await accept(http, answers(runtime))
        await ask(http, "ask-questionnaires", occasion={"valueCode": "session"})
        await poll(runtime, 2)
        assert stands((await tasks(runtime))[0]) == ("requested", "due")

    async def test_another_form_completes_nothing(
        self, runtime: Runtime, http: httpx.AsyncClient, asked: Resource
    ) -> None:
        assert isinstance(runtime.clock, Clock)
        other = {**answered("gad-7", spread(3, 7, 3)), "subject": {"reference": "Patient/p1"}}
        await accept(http, {**other, "id": "g1", "authored": instant(runtime.clock.now)})
        await poll(runtime, 2)
        assert stands((await tasks(runtime))[0]) == ("requested", "due")

    async def test_the_next_form_comes_an_interval_after_the_answer(
        self, runtime: Runtime, http: httpx.AsyncClient, asked: Resource
    ) -> None:
        await accept(http, answers(runtime))
        await poll(runtime)
        pass_time(runtime, 13 * DAY)
        await poll(runtime)
        assert len(await tasks(runtime)) == 1
        pass_time(runtime, DAY)
        await poll(runtime)
        assert len(await tasks(runtime)) == 2


class TestWaiting:
    async def test_one_reminder_then_the_care_team_is_told_then_a_newer_form_takes_its_place(
        self, runtime: Runtime, http: httpx.AsyncClient, asked: Resource
    ) -> None:
        seen = []
        for _ in range(14):
            pass_time(runtime, DAY)
            await poll(runtime, 2)
            waiting = await tasks(runtime)
            told = await tasks(runtime, "questionnaire-overdue")
            seen.append((len(await messages(runtime)), stands(waiting[0])[1], len(told), len(waiting)))
        assert seen[1:3] == [(1, "due", 0, 1), (2, "due", 0, 1)]
        assert seen[5:7] == [(2, "due", 0, 1), (2, "overdue", 1, 1)]
        assert seen[12:] == [(2, "overdue", 1, 1), (3, "superseded", 1, 2)]
        old, new = await tasks(runtime)
        assert (stands(old), stands(new)) == (("cancelled", "superseded"), ("requested", "due"))

    async def test_an_overdue_form_is_found_and_announced(
        self, runtime: Runtime, http: httpx.AsyncClient, asked: Resource, emitted: Callable[[Resource], None]
    ) -> None:
        for days in (3, 4):
            pass_time(runtime, days * DAY)
            await poll(runtime)
        query = "Task?code=complete-questionnaire&business-status=overdue"
        found = (await http.get(query, headers=CLINICIAN)).json()["entry"]
        assert [entry["resource"]["id"] for entry in found] == [asked["id"]]
        (follow_up,) = await tasks(runtime, "questionnaire-overdue")
        assert follow_up["focus"] == {"reference": f"Task/{asked['id']}"}
        event = (await said(runtime, "questionnaire-changed"))[-1]
        assert [each["id"] for each in event.entries.values()] == [asked["id"], follow_up["id"]]
        emitted(follow_up)

    async def test_a_late_answer_settles_both_tasks(
        self, runtime: Runtime, http: httpx.AsyncClient, asked: Resource
    ) -> None:
        for days in (3, 4):
            pass_time(runtime, days * DAY)
            await poll(runtime)
        await accept(http, answers(runtime))
        await poll(runtime)
        found = [*await tasks(runtime), *await tasks(runtime, "questionnaire-overdue")]
        assert [stands(each) for each in found] == [("completed", "answered")] * 2

    async def test_a_form_that_was_declined_is_not_reminded_of(
        self, runtime: Runtime, http: httpx.AsyncClient, asked: Resource
    ) -> None:
        await http.put(f"Task/{asked['id']}", json={**asked, "status": "rejected"}, headers=EHR)
        for days in (3, 4):
            pass_time(runtime, days * DAY)
            await poll(runtime)
        assert len(await messages(runtime)) == 1
        assert stands((await tasks(runtime))[0]) == ("rejected", "withdrawn")


class TestPace:
    async def test_a_pause_withdraws_what_waits_and_ends_by_itself(
        self, runtime: Runtime, http: httpx.AsyncClient, asked: Resource
    ) -> None:
        answer = await ask(http, "pause-questionnaires", until={"valueDate": "2026-12-25"})
        assert answer.status_code == 200, answer.text
        assert stands((await tasks(runtime))[0]) == ("cancelled", "withdrawn")
        given = {each["name"]: each for each in answer.json()["parameter"]}
        assert given["pace"]["valueCode"] == "paused"
        assert given["rule"]["valueCodeableConcept"]["coding"][0]["code"] == "CADENCE-PAUSE"
        pass_time(runtime, 15 * DAY)
        await poll(runtime)
        assert len(await tasks(runtime)) == 1
        pass_time(runtime, 10 * DAY)
        await poll(runtime)
        assert len(await tasks(runtime)) == 2

    async def test_safety_goes_on_in_a_pause(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        await accept(http, form(1, id="baseline"))
        await hear(runtime, assignment("tier-4"))
        assert (await ask(http, "pause-questionnaires")).status_code == 200
        pass_time(runtime, 7 * DAY)
        await poll(runtime)
        (task,) = await tasks(runtime)
        assert (task["priority"], task["reasonCode"]["coding"][0]["code"]) == ("urgent", "CADENCE-SAFETY")

    async def test_a_safety_item_that_opens_later_hastens_the_next_form(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        await accept(http, form(id="baseline"))
        await hear(runtime, assignment("tier-4"))
        await poll(runtime)
        concern = {"resourceType": "Parameters", "parameter": [{"name": "concern", "valueCode": "self-harm"}]}
        raised = await http.post("Patient/p1/$raise-safety-concern", json=concern, headers=CLINICIAN)
        assert raised.status_code == 201
        for _ in range(7):
            pass_time(runtime, DAY)
            await poll(runtime)
        (task,) = await tasks(runtime)
        assert task["reasonCode"]["coding"][0]["code"] == "CADENCE-SAFETY"

    async def test_a_session_asks_at_once_and_the_schedule_says_what_comes_next(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        answer = await ask(http, "ask-questionnaires", occasion={"valueCode": "session"})
        (task,) = await tasks(runtime)
        assert task["reasonCode"]["coding"][0]["code"] == "CADENCE-OCCASION"
        given = {each["name"]: each for each in answer.json()["parameter"]}
        assert given["task"]["valueReference"] == {"reference": f"Task/{task['id']}"}
        shown = await http.get("Patient/p1/$questionnaire-schedule", headers=CLINICIAN)
        assert {each["name"] for each in shown.json()["parameter"]} >= {"pace", "task", "next", "rule"}
        assert len(await tasks(runtime)) == 1


class TestHearing:
    async def schedule(self, http: httpx.AsyncClient) -> dict[str, Any]:
        shown = await http.get("Patient/p1/$questionnaire-schedule", headers=CLINICIAN)
        return {each["name"]: each for each in shown.json()["parameter"]}

    async def rule(self, http: httpx.AsyncClient) -> str:
        found: str = (await self.schedule(http))["rule"]["valueCodeableConcept"]["coding"][0]["code"]
        return found

    async def test_a_plan_stands_beside_a_new_proposal_until_it_is_withdrawn(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        seen = []
        for request in (
            assignment("tier-2"),
            assignment("tier-2", intent="plan"),
            assignment("tier-3", "s2"),
            assignment("tier-2", intent="plan", status="revoked"),
            assignment("tier-3", "s2", intent="plan"),
            assignment("tier-3", "s2", intent="plan", status="completed"),
            assignment("tier-1", "s3"),
        ):
            await hear(runtime, request, request)
            seen.append((await self.rule(http)).removeprefix("CADENCE-"))
        assert seen == ["T2", "T2", "T2", "NO-TIER", "T3", "ENDED", "T1"]

    async def test_a_step_whose_referral_is_complete_goes_on_until_care_ends(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        reason = {"coding": [{"system": code_system("request-status-reason"), "code": "given"}]}
        url = "http://hl7.org/fhir/StructureDefinition/request-statusReason"
        seen: list[str] = []
        changes: list[dict[str, Any]] = [{}, {"extension": [{"url": url, "valueCodeableConcept": reason}]}, {}]
        for more in changes:
            status = "completed" if seen else "active"
            await hear(runtime, assignment("tier-3", intent="plan", status=status, **more))
            seen.append((await self.rule(http)).removeprefix("CADENCE-"))
        assert seen == ["T3", "T3", "ENDED"]

    async def test_a_course_speeds_up_and_slows_down(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        await accept(http, form(id="baseline"))
        await hear(runtime, assignment(), course("deterioration"))
        assert await self.rule(http) == "CADENCE-DETERIORATION"
        await hear(runtime, course("no-reliable-change"))
        pass_time(runtime, 43 * DAY)
        assert "stable" in (await self.schedule(http))["rule"]["valueCodeableConcept"]["text"]
        await hear(runtime, course("no-reliable-change", status="entered-in-error"))
        assert "stable" not in (await self.schedule(http))["rule"]["valueCodeableConcept"]["text"]

    async def test_what_is_heard_twice_is_written_once(self, runtime: Runtime) -> None:
        await hear(runtime, assignment(), assignment(), course("improvement"), course("improvement"))
        async with runtime.database.transaction(NORTH) as connection:
            assert await connection.fetchval("SELECT changes FROM measurement_schedule") == 2

    async def test_a_person_known_by_an_identifier_alone_is_left_out(self, runtime: Runtime) -> None:
        await hear(runtime, assignment(subject={"identifier": {"value": "7"}}))
        async with runtime.database.transaction(NORTH) as connection:
            assert await connection.fetchval("SELECT count(*) FROM measurement_schedule") == 0

    async def test_another_tenant_has_nothing_of_it(self, runtime: Runtime, asked: Resource) -> None:
        await Soliciting(runtime).look_at_due([SOUTH])
        assert await stored(runtime, SOUTH, "Communication") == []
        async with runtime.database.transaction(SOUTH) as connection:
            assert await connection.fetchval("SELECT count(*) FROM measurement_schedule") == 0
