"""Promises of the contract over HTTP: Task, Appointment and ServiceRequest, every move by who may and who may not.

What is refused says what is allowed; whatever ends, nothing that is open is without somebody who is told.
"""

from collections.abc import AsyncIterator, Mapping
from itertools import count, product
from typing import Any

import httpx
import pytest
from stepwell_referral.app import service
from stepwell_referral.builders.referral import BSER_BUSINESS_STATUS
from stepwell_referral.rules.booking import STATUSES as APPOINTMENT_STATUSES
from stepwell_referral.rules.transitions import STATUSES, TERMINAL
from stepwell_shared.fhir.copies import ship
from stepwell_shared.runtime import Runtime

from tests.services.referral.rules.test_every_cell import ASKED, REQUEST_STATUSES, UNREACHED
from tests.services.referral.rules.test_loop_machine import APPOINTMENTS, CONTRACT
from tests.services.referral.test_loop import no, timers
from tests.services.referral.test_orders import NUMBERS, bundle, order
from tests.support.runtime import NORTH, http_of, stored, token

Resource = dict[str, Any]
TOKENS = {
    role: token(NORTH, role, f"Practitioner/{role}")
    for role in ("clinician", "ehr", "coordinator", "community-health-worker", "analyst", "service")
}
SIDES = {"clinician": "requester", "ehr": "requester", "coordinator": "owner", "community-health-worker": "owner"}
# How each state is reached: by whom, to what.
BEGUN = (("coordinator", "accepted"), ("coordinator", "in-progress"))
ASKED_FOR = ("clinician", "requested")
PATHS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "draft": (),
    "requested": (ASKED_FOR,),
    "received": (ASKED_FOR, ("coordinator", "received")),
    "accepted": (ASKED_FOR, ("coordinator", "accepted")),
    "in-progress": (ASKED_FOR, *BEGUN),
    "on-hold": (ASKED_FOR, ("coordinator", "accepted"), ("coordinator", "on-hold")),
    "rejected": (ASKED_FOR, ("coordinator", "rejected")),
    "cancelled": (ASKED_FOR, ("clinician", "cancelled")),
    "failed": (ASKED_FOR, *BEGUN, ("coordinator", "failed")),
    "completed": (ASKED_FOR, *BEGUN, ("coordinator", "completed")),
}
AT_ONCE = ("proposed", "waitlist", "pending", "booked")
AFTER_BOOKING = ("checked-in", "arrived", "noshow", "fulfilled", "cancelled", "entered-in-error")
ATTENDED = {**dict.fromkeys(AT_ONCE, ()), **dict.fromkeys(AFTER_BOOKING, ("booked",))}
CANCEL = {"coding": [{"system": BSER_BUSINESS_STATUS, "code": "5.2"}], "text": "the person wants it to end"}


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    await ship(runtime.engine, NORTH, {"resourceType": "Patient", "id": "p1", "active": True})
    async with http_of(runtime, service) as client:
        yield client


async def sent(http: httpx.AsyncClient, role: str, resource: Resource, **changed: Any) -> httpx.Response:
    body = {**resource, **changed}
    return await http.put(f"{body['resourceType']}/{body['id']}", json=body, headers=TOKENS[role])


def to(after: str) -> Resource:
    return no("declined-by-person", after) if after in {"rejected", "failed"} else {"status": after}


async def task_in(http: httpx.AsyncClient, status: str, number: int) -> Resource:
    """A new referral that people have brought to this state."""
    asked = bundle(order(str(number)), status="draft", identifier=[{"system": NUMBERS, "value": f"t{number}"}])
    answer = await http.post("", json=asked, headers=TOKENS["ehr"])
    assert answer.status_code == 200, answer.text
    id_ = answer.json()["entry"][1]["response"]["location"].split("/Task/")[1].split("/")[0]
    task: Resource = (await http.get(f"Task/{id_}", headers=TOKENS["ehr"])).json()
    for role, after in PATHS[status]:
        moved = await sent(http, role, task, **to(after))
        assert moved.status_code == 200, moved.text
        task = moved.json()
    return task


async def try_task(
    http: httpx.AsyncClient, role: str, task: Resource, after: str, allowed: set[str]
) -> Resource | None:
    """Moves a Task as somebody: the version that it became, or that it was refused with what is allowed."""
    answer = await sent(http, role, task, **to(after))
    if after in allowed:
        assert answer.status_code == 200, (task["status"], role, after, answer.text)
        found: Resource = answer.json()
        return found
    if after == task["status"]:
        return None  # the same again is no move
    assert answer.status_code == 422, (task["status"], role, after, answer.text)
    listed = answer.json()["issue"][0]["diagnostics"].rpartition("may move it to: ")[2]
    assert listed == f"{', '.join(sorted(allowed)) or 'nothing'}.", (task["status"], role, after)
    return None


async def test_every_move_of_a_task_by_every_side_succeeds_or_names_what_does(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    numbers, visited = count(), set()
    for before in PATHS:
        task = await task_in(http, before, next(numbers))
        for role, side in SIDES.items():
            allowed = CONTRACT.get((before, side), set())
            others = STATUSES if role in {"clinician", "coordinator"} else ("ready",)
            for after in others:
                if after not in allowed:
                    await try_task(http, role, task, after, allowed)
                    visited.add((before, after, role))
            for after in sorted(allowed):
                assert await try_task(http, role, await task_in(http, before, next(numbers)), after, allowed)
                visited.add((before, after, role))
        if before not in TERMINAL and before != "draft":
            asked = await sent(http, "clinician", task, businessStatus=CANCEL)
            assert asked.status_code == 200, asked.text
            allowed = CONTRACT[before, "owner"] | {"cancelled"}
            assert await try_task(http, "coordinator", asked.json(), "cancelled", allowed)
            visited.add((before, "cancelled", ASKED))
        for role in ("analyst", "service"):
            assert (await sent(http, role, task)).status_code == 403
    reachable = set(STATUSES) - UNREACHED
    assert {each for each in visited if each[2] in {"clinician", "coordinator"}} == {
        (before, after, role) for before, after, role in product(reachable, STATUSES, ("clinician", "coordinator"))
    }
    assert {(b, a, r) for (b, s), found in CONTRACT.items() for a in found for r in SIDES if SIDES[r] == s} <= visited
    await nothing_dangles(runtime)


async def nothing_dangles(runtime: Runtime) -> None:
    """Whatever is open has a time at which somebody is told, and no request is open that nobody looks after."""
    tasks, due = await stored(runtime, NORTH, "Task"), await timers(runtime)
    opened = {each["id"] for each in tasks if each["status"] not in TERMINAL}
    assert opened == {id_ for id_, at in due.items() if at is not None}
    looked_after = {str(each["focus"]["reference"]) for each in tasks if each["id"] in opened}
    deciding = {each["focus"]["reference"] for each in tasks if each["id"] in opened}
    asked_for = {f"Task/{each['id']}": each["focus"]["reference"] for each in tasks}
    looked_after |= {asked_for[each] for each in deciding if each in asked_for}
    ids = {each.rpartition("/")[2] for each in looked_after}
    requests = await stored(runtime, NORTH, "ServiceRequest")
    assert {each["id"] for each in requests if each["status"] in {"active", "on-hold", "draft"}} <= ids


def appointment(status: str) -> Resource:
    return {
        "resourceType": "Appointment",
        "status": status,
        "start": "2026-11-21T10:00:00Z",
        "end": "2026-11-21T10:50:00Z",
        "participant": [{"actor": {"reference": "Patient/p1"}, "status": "accepted"}],
    }


async def appointment_in(http: httpx.AsyncClient, status: str) -> Resource:
    """A new Appointment without a slot that people have brought to this state."""
    path = ATTENDED[status]
    made = appointment(path[0] if path else status)
    answer = await http.post("Appointment", json=made, headers=TOKENS["coordinator"])
    assert answer.status_code == 201, answer.text
    found: Resource = answer.json()
    if path:
        answer = await sent(http, "coordinator", found, status=status)
        assert answer.status_code == 200, answer.text
        found = answer.json()
    return found


async def test_every_move_of_an_appointment_succeeds_or_names_what_does(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    visited = set()
    for after in APPOINTMENT_STATUSES:
        answer = await http.post("Appointment", json=appointment(after), headers=TOKENS["clinician"])
        assert answer.status_code == (201 if after in APPOINTMENTS[""] else 422), answer.text
        visited.add(("", after))
    for before in APPOINTMENT_STATUSES:
        kept = await appointment_in(http, before)
        for after in APPOINTMENT_STATUSES:
            is_allowed = after in APPOINTMENTS[before]
            used = await appointment_in(http, before) if is_allowed else kept
            role = ("coordinator", "clinician", "community-health-worker")[len(visited) % 3]
            answer = await sent(http, role, used, status=after)
            assert answer.status_code == (200 if is_allowed or after == before else 422), (before, after, answer.text)
            if answer.status_code == 422:
                listed = ", ".join(sorted(APPOINTMENTS[before])) or "nothing"
                assert answer.json()["issue"][0]["diagnostics"].endswith(f"From here it may go to: {listed}.")
            visited.add((before, after))
        assert (await sent(http, "analyst", kept)).status_code == 403
    assert visited == set(product(["", *APPOINTMENT_STATUSES], APPOINTMENT_STATUSES))


async def test_a_request_comes_active_and_nobody_moves_it_but_its_task(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    for number, status in enumerate(REQUEST_STATUSES):
        answer = await http.post("ServiceRequest", json=order(str(number), status=status), headers=TOKENS["clinician"])
        assert answer.status_code == (201 if status == "active" else 422), answer.text
    (request,) = [each for each in await stored(runtime, NORTH, "ServiceRequest") if "identifier" in each
                  and each["identifier"][0]["system"] == NUMBERS]  # fmt: skip
    for role, status in product(TOKENS, REQUEST_STATUSES):
        assert (await sent(http, role, request, status=status)).status_code in {403, 405}
    ends = {"completed": "completed", "cancelled": "revoked", "rejected": "active", "failed": "active"}
    for number, (end, closed) in enumerate(ends.items(), start=100):
        task = await task_in(http, end, number)
        found = (await http.get(task["focus"]["reference"], headers=TOKENS["clinician"])).json()
        assert (end, found["status"]) == (end, closed)
    for decide in [each for each in await stored(runtime, NORTH, "Task") if "next-step" in str(each["code"])]:
        assert (await sent(http, "coordinator", decide, status="completed")).status_code == 200
    await nothing_dangles(runtime)
    assert "active" not in {
        each["status"]
        for each in await stored(runtime, NORTH, "ServiceRequest")
        if each["id"] != request["id"] and request["id"] not in str(each.get("basedOn"))
    }
