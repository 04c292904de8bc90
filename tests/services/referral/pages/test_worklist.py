"""Promises of the worklist's pages: who is refused, what stands on which list, and that a form does what FHIR would."""

import re
from datetime import timedelta
from typing import Any

import pytest
from stepwell_referral.use_cases.worklist import LISTS
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.services.referral.booking import SERVICE, put_in, schedule, slot
from tests.services.referral.pages.visiting import (
    DATA,
    WORKLIST,
    at_work,
    browser,
    do,
    form_of,
    put_on,
    request_behind,
    signed_in,
)
from tests.support.runtime import NORTH, SOUTH, START, stored

BEARER = {"Authorization": "Bearer x"}
VIEWS = (*LISTS, "unanswered", "queues", "load")
Resource = dict[str, Any]


async def lines(client: Any, view: str, **parameters: str) -> list[str]:
    """The Tasks of a list, in its order."""
    found = await client.get(f"{WORKLIST}/{view}", params=parameters, headers=DATA)
    assert found.status_code == 200, found.text
    return [each["task"].removeprefix("Task/") for each in found.json()["lines"]]


def why(page: Any) -> list[str]:
    """The words of the rules that refused something."""
    return re.findall(r'<li lang="en">([^<]*)', page.text)


async def audited(runtime: Runtime, tenant: str = NORTH) -> list[tuple[str, str | None, str | None, int]]:
    async with runtime.database.transaction(tenant) as connection:
        rows = await connection.fetch("SELECT interaction, resource_type, resource_id, status FROM audit ORDER BY id")
    return [tuple(row) for row in rows]


async def test_without_a_right_to_every_task_nothing_is_shown_and_nobody_is_named(runtime: Runtime) -> None:
    await put_on(runtime, "a", "Robin Secret", step=1)
    outside = [(None, 401), (at_work("analyst"), 403), (at_work("patient", patient="of-a"), 403),
               (at_work("related-person", fhir_user="RelatedPerson/r1"), 403)]  # fmt: skip
    for access, status in outside:
        async with browser(runtime, access) as client:
            for path in ("", "/overdue", f"/queues/{SERVICE}", "/lines/a", "/nothing"):
                refused = await client.get(WORKLIST + path, headers=BEARER)
                assert (refused.status_code, "Secret" in refused.text) == (status, False), path
            if status == 403:
                refused = await client.post(f"{WORKLIST}/lines/a/act", headers=BEARER, data={"act": "begin"})
                assert refused.status_code == 403
    (task,) = await stored(runtime, NORTH, "Task")
    assert task["status"] == "accepted"


async def test_another_tenant_and_another_service_are_out_of_reach(runtime: Runtime) -> None:
    await put_on(runtime, "a", step=1)
    await put_on(runtime, "b", step=1, owner={"reference": "HealthcareService/default-tier-2"})
    async with signed_in(runtime, at_work(tenant=SOUTH)) as south:
        assert await lines(south, "overdue") == []
        assert (await south.get(f"{WORKLIST}/lines/a")).status_code == 404
    narrow = "user/Task.rus?owner=HealthcareService/default-tier-2 user/Patient.rs"
    async with signed_in(runtime, at_work(scopes=narrow)) as client:
        assert await lines(client, "overdue") == ["b"]
        assert await lines(client, "overdue", tier="tier-3") == []
        for path in ("/lines/a", f"/queues/{SERVICE}"):
            assert (await client.get(WORKLIST + path)).status_code == 404
        report = (await client.get(f"{WORKLIST}/load", headers=DATA)).json()
        assert [each["owner"] for each in report["services"]] == ["HealthcareService/default-tier-2"]
        for view in ("messages", "decisions", "missed", "barriers"):  # they have no owner
            assert await lines(client, view) == []
        page = await client.get(f"{WORKLIST}/lines/b")
        sent = await client.post(f"{WORKLIST}/lines/a/act", data={**form_of(page, "begin"), "version": "1"})
        assert sent.status_code == 404


async def test_names_and_appointments_are_for_whom_the_token_lets_see_them(runtime: Runtime) -> None:
    await put_on(runtime, "a", "Robin Secret", step=1)
    actors = [{"actor": {"reference": each, "type": each.partition("/")[0]}, "status": "accepted"}
              for each in ("Patient/of-a", f"HealthcareService/{SERVICE}", "Practitioner/p1")]  # fmt: skip
    times = {"start": "2026-11-24T09:00:00Z", "end": "2026-11-24T10:00:00Z"}
    made = [{"resourceType": "Appointment", "id": each, "status": each, **times, "participant": actors}
            for each in ("proposed", "booked")]  # fmt: skip
    await put_in(runtime, *made)
    async with signed_in(runtime, at_work()) as client:
        page = (await client.get(f"{WORKLIST}/unanswered", headers=DATA)).json()["appointments"]
        assert [each["person"] for each in page] == ["Robin Secret"]
        case = (await client.get(f"{WORKLIST}/lines/a")).text
        assert "<title>Worklist</title>" in case, "a browser's history names nobody"
        assert "Robin Secret" in case
        load = (await client.get(f"{WORKLIST}/load", headers=DATA)).json()["practitioners"]
        assert load == [{"practitioner": "Practitioner/p1", "people": 1, "appointments": 1}]
    async with signed_in(runtime, at_work(scopes="user/Task.rs user/Patient.rs?_id=other")) as client:
        for view in ("overdue", "lines/a", f"queues/{SERVICE}"):
            shown = await client.get(f"{WORKLIST}/{view}")
            assert (shown.status_code, "Secret" in shown.text, "Patient/of-a" in shown.text) == (200, False, True)
        assert (await client.get(f"{WORKLIST}/unanswered", headers=DATA)).json() == {"appointments": []}
        assert (await client.get(f"{WORKLIST}/load", headers=DATA)).json()["practitioners"] == []


async def test_a_form_from_elsewhere_or_of_an_older_version_changes_nothing(runtime: Runtime) -> None:
    await put_on(runtime, "a", status="requested")
    await put_in(runtime, request_behind("a"))
    async with (
        signed_in(runtime, at_work()) as client,
        signed_in(runtime, at_work(fhir_user="Practitioner/x")) as other,
    ):
        address = f"{WORKLIST}/lines/a"
        ours = form_of(await client.get(address), "accept")
        foreign = form_of(await other.get(address), "accept")
        for given, status in (
            ({**ours, "csrf": ""}, 403),
            ({**ours, "csrf": foreign["csrf"]}, 403),
            ({**ours, "version": "7"}, 412),
            ({**ours, "act": "complete"}, 422),
            ({**ours, "act": "decline"}, 422),
        ):
            refused = await client.post(f"{address}/act", data=given)
            assert refused.status_code == status, why(refused)
        for elsewhere in ("", "/overdue", f"/queues/{SERVICE}", "/lines/a"):
            assert (await client.post(WORKLIST + elsewhere, data=ours)).headers["Allow"] == "GET, HEAD"
        assert (await client.put(f"{address}/act", content=b"")).headers["Allow"] == "GET, HEAD, POST"
        refused = await client.post(f"{address}/act", data={**ours, "act": "decline", "words": "<script>x</script>"})
        assert "<script>" not in refused.text
        assert "&lt;script&gt;x" in refused.text  # what was written is still there
    assert [each["status"] for each in await stored(runtime, NORTH, "Task")] == ["requested"]


async def test_from_the_list_to_an_accepted_and_booked_referral_by_forms_alone(runtime: Runtime) -> None:
    await put_on(runtime, "a", step=1, status="requested")
    await put_on(runtime, "first", "Kim First", days=9)
    await put_in(runtime, request_behind("a"), schedule(), slot("s1", START + timedelta(days=2)))
    async with signed_in(runtime, at_work()) as client:
        assert await lines(client, "overdue") == ["a"]
        accepted = await do(client, "a", "accept", words="Welcome")
        assert accepted.status_code == 303, why(accepted)
        assert accepted.headers["location"] == f"{WORKLIST}/lines/a?done=accept"
        assert await lines(client, "overdue") == []
        assert await lines(client, "unbooked", sort="waiting") == ["first", "a"]
        passing = await do(client, "a", "book", slot="s1")
        assert passing.status_code == 422
        assert "QUEUE-CLINICAL" in passing.text
        assert 'value="s1" required checked' in passing.text
        booked = await do(client, "a", "book", slot="s1", overtaking="QUEUE-CLINICAL")
        assert booked.status_code == 303, why(booked)
        assert await lines(client, "unbooked") == ["first"]
        page = await client.get(booked.headers["location"])
        assert "accepted, with an appointment" in page.text
    (appointment,) = await stored(runtime, NORTH, "Appointment")
    task = next(each for each in await stored(runtime, NORTH, "Task") if each["id"] == "a")
    assert (appointment["status"], task["status"], task["note"][0]["text"]) == ("booked", "accepted", "Welcome")
    assert ("update", "Task", "a", 200) in await audited(runtime)
    assert ("$book", "Appointment", appointment["id"], 200) in [
        (name, kind, appointment["id"] if name == "$book" else id_, status)
        for name, kind, id_, status in await audited(runtime)
    ]


async def test_each_list_holds_what_it_says(runtime: Runtime) -> None:
    """Waiting or in care, at risk or not, with and without a place or an appointment."""
    booked: Resource = {
        "businessStatus": {"coding": [{"system": "urn:oid:2.16.840.1.113883.4.642.40.44.16.1", "code": "5.1.1"}]}
    }
    await put_on(runtime, "calm")
    await put_on(runtime, "near", promise=(5, True), days=20)
    await put_on(runtime, "new", promise=(5, True), days=1)
    await put_on(runtime, "over", promise=(90, False), priority="urgent")
    await put_on(runtime, "never", promise=(None, False), status="requested")
    await put_on(runtime, "booked", promise=(2, False), **booked)
    await put_on(runtime, "late", step=2, status="in-progress", promise=None)
    await put_on(runtime, "nowhere", step=1, status="requested", owner={"display": "nobody yet"})
    beside = []
    for code, focus in (("next-step", "Task/calm"), ("urgent-contingency", "Task/over"), ("outreach", "Appointment/x"),
                        ("answer-message", "Communication/m"), ("arrange-support", "Task/calm")):  # fmt: skip
        system = "https://stepwell.health/fhir/CodeSystem/task"
        beside.append({
            "resourceType": "Task", "id": code, "status": "requested", "intent": "order",
            "code": {"coding": [{"system": system, "code": code}]}, "focus": {"reference": focus},
            "for": {"reference": "Patient/of-calm"}, "authoredOn": "2026-11-20T09:00:00Z",
        })  # fmt: skip
    await runtime.store.commit(UnitOfWork(NORTH, [built(runtime.engine, each, START) for each in beside]))
    async with signed_in(runtime, at_work()) as client:
        assert await lines(client, "promises") == ["never", "near", "over"]
        assert await lines(client, "promises", sort="urgency") == ["over", "near", "never"]
        assert await lines(client, "overdue") == ["late", "nowhere"]
        assert await lines(client, "overdue", state="in-progress") == ["late"]
        assert await lines(client, "unbooked") == ["near", "new", "calm", "over"]
        assert await lines(client, "decisions") == ["next-step", "urgent-contingency"]
        for view, only in (("missed", "outreach"), ("messages", "answer-message"), ("barriers", "arrange-support")):
            assert await lines(client, view) == [only]
        report = (await client.get(WORKLIST, headers=DATA)).json()
        assert report["counts"] == {"queues": 7, "promises": 3, "overdue": 2, "unbooked": 4, "decisions": 2,
                                    "barriers": 1, "messages": 1, "missed": 1}  # fmt: skip
        places = (await client.get(f"{WORKLIST}/queues", headers=DATA)).json()["services"]
        assert [(each["waiting"], each["urgent"], each["overLongestWait"], each["inCare"]) for each in places] == [
            (6, 1, 3, 1)
        ]
        queue = (await client.get(f"{WORKLIST}/queues/{SERVICE}", headers=DATA)).json()
        assert next((each["position"], each["task"]) for each in queue["waiting"]) == (1, "Task/over")
        assert (queue["people"], len(queue["waiting"])) == (6, 6)


async def test_pages_of_a_list_show_each_line_once(runtime: Runtime) -> None:
    ids = [f"t{number:02}" for number in range(12)]
    for number, id_ in enumerate(ids):
        await put_on(runtime, id_, step=1, days=number % 3, priority="urgent" if number % 2 else "routine")
    async with signed_in(runtime, at_work()) as client:
        for sort in ("urgency", "due", "waiting"):
            seen, parameters = [], {"sort": sort, "count": "5"}
            while True:
                page = (await client.get(f"{WORKLIST}/overdue", params=parameters, headers=DATA)).json()
                seen += [each["task"].removeprefix("Task/") for each in page["lines"]]
                if "after" not in page:
                    break
                parameters["after"] = page["after"]
            assert sorted(seen) == ids, sort
        overview = await client.get(WORKLIST)
        assert f'<a href="{WORKLIST}/overdue">All of: Overdue</a>' in overview.text
        queue, begins, positions = f"{WORKLIST}/queues/{SERVICE}", 0, []
        while begins is not None:
            found = (await client.get(queue, params={"from": str(begins), "count": "5"}, headers=DATA)).json()
            positions += [each["position"] for each in found["waiting"]]
            begins = found.get("from")
        assert positions == list(range(1, 13))


async def test_a_coordinator_narrows_to_a_site_and_to_where_they_work(runtime: Runtime) -> None:
    def place(id_: str, site: str) -> Resource:
        tier = {"system": "https://stepwell.health/fhir/CodeSystem/tier", "code": "tier-3"}
        return {"resourceType": "HealthcareService", "id": id_, "active": True, "name": id_.title(),
                "category": [{"coding": [tier]}], "location": [{"reference": f"Location/{site}"}]}  # fmt: skip

    role = {"resourceType": "PractitionerRole", "id": "r1", "active": True,
            "practitioner": {"reference": "Practitioner/nurse-1"},
            "healthcareService": [{"reference": "HealthcareService/east"}]}  # fmt: skip
    sites = [{"resourceType": "Location", "id": each, "name": f"Site {each}"} for each in ("l1", "l2")]
    await put_in(runtime, *sites, place("east", "l1"), place("west", "l2"), role)
    for id_ in ("east", "west"):
        await put_on(runtime, f"of-{id_}", step=1, owner={"reference": f"HealthcareService/{id_}"})
    async with signed_in(runtime, at_work()) as client:
        assert await lines(client, "overdue", site="Location/l2") == ["of-west"]
        assert await lines(client, "overdue", team="mine") == ["of-east"]
        assert await lines(client, "overdue", service="west", team="mine") == []
        assert sorted(await lines(client, "overdue", tier="tier-3")) == ["of-east", "of-west"]
        page = await client.get(f"{WORKLIST}/overdue?site=Location/l1")
        assert '<option value="Location/l1" selected>Site l1</option>' in page.text
        assert f'href="{WORKLIST}/queues?site=Location%2Fl1"' in page.text


async def test_every_page_is_there_in_each_language_and_is_put_on_record(runtime: Runtime) -> None:
    await put_on(runtime, "a", "Robin Example", step=1)
    async with signed_in(runtime, at_work()) as client:
        before = len(await audited(runtime))
        for language in ("en", "de", "es", "fr"):
            for path in ("", *(f"/{each}" for each in VIEWS), f"/queues/{SERVICE}", "/lines/a"):
                page = await client.get(WORKLIST + path, headers={"Accept-Language": language})
                assert page.status_code == 200, page.text
                assert f'<html lang="{language}">' in page.text
                assert page.text.count("<h1>") == 1
                assert "style-src 'sha256-" in page.headers["Content-Security-Policy"]
                assert page.headers["Cache-Control"] == "no-store"
        rows = (await audited(runtime))[before:]
        assert len(rows) == 4 * (3 + len(VIEWS))
        assert {(name, kind, status) for name, kind, _, status in rows} == {
            ("search-type", "Task", 200), ("read", "Task", 200),
        }  # fmt: skip
        assert (await client.get(f"{WORKLIST}?language=it")).status_code == 406
        assert (await client.get(f"{WORKLIST}?_format=xml")).status_code == 406
        lead = await client.get("/worklist/overdue")
        assert (lead.status_code, lead.headers["location"]) == (308, f"{WORKLIST}/overdue")


@pytest.mark.parametrize("path", ["/worklist", "/worklist/", "/worklist//evil.example", "/worklist/a?b=https://x"])
async def test_the_short_address_leads_nowhere_else(runtime: Runtime, path: str) -> None:
    async with browser(runtime, None) as client:
        assert (await client.get(path)).headers["location"].startswith(WORKLIST)
