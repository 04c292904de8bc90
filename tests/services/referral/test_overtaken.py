"""What a client writes stays written, whatever referral was deciding on the version before it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from stepwell_referral.booking_tables import pace_effect
from stepwell_referral.use_cases import booking, renewing
from stepwell_referral.use_cases.renewing import work_on_paces
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.services.referral.booking import (
    COORDINATOR,
    SERVICE,
    ask,
    only,
    person,
    put_in,
    schedule,
    slot,
    waiting_task,
)
from tests.support.runtime import NORTH, START

Resource = dict[str, Any]

SAID = {"coding": [{"system": "http://example.org/notes", "code": "called"}], "text": "Somebody has called."}


@pytest.fixture
async def calendar(runtime: Runtime) -> None:
    """One place tomorrow, and two people who wait for it."""
    tasks = [waiting_task("t1", "a", 20), waiting_task("t2", "b", 3)]
    tomorrow = slot("d1", START + timedelta(days=1, hours=3))
    await put_in(runtime, schedule(), tomorrow, person("a"), person("b"), *tasks)
    await due(runtime)


async def due(runtime: Runtime) -> None:
    """The waits of the service are to be reckoned anew."""
    await runtime.store.commit(UnitOfWork(NORTH, effects=[pace_effect(SERVICE, None, START)]))


def overtake(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, http: httpx.AsyncClient, task: str
) -> Callable[[], Resource]:
    """Moves a Task when a function is called first, before it does its work; gives what the client was answered."""
    original = getattr(module, name)
    answers: list[Resource] = []

    async def moved(*arguments: Any, **named: Any) -> Any:
        if not answers:
            before = (await http.get(f"Task/{task}", headers=COORDINATOR)).json()
            moved = {**before, "status": "in-progress", "statusReason": SAID}
            answer = await http.put(f"Task/{task}", json=moved, headers=COORDINATOR)
            assert answer.status_code == 200, answer.text
            answers.append(answer.json())
        return await original(*arguments, **named)

    def answered() -> Resource:
        assert answers, f"{name} was not called"
        return answers[0]

    monkeypatch.setattr(module, name, moved)
    return answered


async def test_a_referral_that_moves_while_waits_are_reckoned_stays_moved_and_the_others_are_told(
    runtime: Runtime, http: httpx.AsyncClient, calendar: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = overtake(monkeypatch, renewing, "reckoned", http, "t1")
    assert await work_on_paces(runtime, [NORTH]) == 0, "the service stays due"
    answer = answered()
    assert (await http.get("Task/t1", headers=COORDINATOR)).json() == answer
    assert (await http.get("Task/t2", headers=COORDINATOR)).json()["meta"]["versionId"] == "2"
    await due(runtime)  # and not only once the lease is over
    assert await work_on_paces(runtime, [NORTH]) == 1
    assert (await http.get("Task/t1", headers=COORDINATOR)).json() == answer


async def test_a_referral_that_moves_while_a_time_is_booked_for_it_stays_moved(
    http: httpx.AsyncClient, calendar: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = overtake(monkeypatch, booking, "announce_event", http, "t1")
    wish: dict[str, Any] = {"slot": "Slot/d1", "patient_reference": "Patient/a", "overtaking_reason": "QUEUE-CLINICAL"}
    booked = only(await ask(http, "book", **wish))
    assert booked["status"] == "booked"
    answer = answered()
    assert (await http.get("Task/t1", headers=COORDINATOR)).json() == answer
