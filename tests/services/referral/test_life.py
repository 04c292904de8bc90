"""Promises of a whole way through care over HTTP: the person hears of every turn in plain words of their language, and
the step that they have stays open until somebody has seen them in the next one."""

import re
from datetime import timedelta
from typing import Any

import httpx
from stepwell_referral.use_cases.due import tell_of_due
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import accepted, assigned, assignment, hear, referrals
from tests.services.referral.booking import ask, only, put_in, schedule, slot
from tests.services.referral.test_loop import another_place, beside, no, put, said, told
from tests.services.referral.test_match import GERMAN, known
from tests.support.runtime import NORTH, START, Clock, token

Resource = dict[str, Any]
COORDINATOR = token(NORTH, "coordinator", "Practitioner/co-1")
# What is for those who work here: steps, codes, scores, conditions, and words that nobody is to read of themselves.
NOT_FOR_PEOPLE = re.compile(
    r"tier|stufe [0-9]|phq|gad|score|SAF-|MATCH-|WAIT-|HealthcareService|failed|refractory|no-show|non-compliant", re.I
)
GERMAN_WORDS = re.compile(r"\b(Ihr|Ihre|Ihnen|Sie)\b")


class Way:
    """One person on their way: what was done, and what they have heard of it."""

    def __init__(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        self.runtime, self.http = runtime, http
        self._heard = 0

    async def hears(self, *parts: str, count: int = 1) -> None:
        """So many messages have come since, and together they say this."""
        messages = await told(self.runtime)
        new, self._heard = messages[self._heard :], len(messages)
        assert len(new) == count, [said(each) for each in new]
        text = "\n".join(said(each) for each in new)
        assert all(part in text for part in parts), text
        for each in new:
            assert (each["language"], each["recipient"]) == ("de", [each["subject"]])
            assert all(GERMAN_WORDS.search(part["contentString"]) for part in each["payload"])
            assert not NOT_FOR_PEOPLE.search(str([part["contentString"] for part in each["payload"]]))

    async def task(self, focus: str, number: int = -1) -> Resource:
        """The newest referral of a request."""
        return [each for each in await referrals(self.runtime) if each["focus"]["reference"].endswith(focus)][number]

    async def moves(self, focus: str, **changed: Any) -> None:
        answer = await put(self.http, await self.task(focus), COORDINATOR, **changed)
        assert answer.status_code == 200, answer.text

    async def comes(self, appointment: Resource, status: str) -> None:
        current = (await self.http.get(f"Appointment/{appointment['id']}", headers=COORDINATOR)).json()
        changed = {**current, "status": status}
        answer = await self.http.put(f"Appointment/{appointment['id']}", json=changed, headers=COORDINATOR)
        assert answer.status_code == 200, answer.text


async def begins_the_first_step(way: Way, first: Resource) -> None:
    """From the request to the first appointment that took place."""
    runtime, http = way.runtime, way.http
    await hear(runtime, assigned(first))
    # why, where and how long, what helps until then, that they may say no, and what is arranged beside it
    await way.hears(
        *("Ihre Antworten zeigen", "Ihr Platz: ", "Hälfte", "Bis dahin: ", "Was Sie jetzt haben", "Geld"), count=2
    )
    (support,) = await beside(runtime, "arrange-support")
    reason = {"text": "nothing there"}
    assert (await put(http, support, COORDINATOR, status="rejected", statusReason=reason)).status_code == 200
    await way.hears("keine Hilfe gefunden: Geld")
    for status, part in (
        ("received", "gesehen"),
        ("accepted", "zugesagt"),
        ("on-hold", "ruht"),
        ("accepted", "zugesagt"),
    ):
        await way.moves("s1", status=status)
        await way.hears(part)
    place = (await way.task("s1"))["owner"]["reference"].partition("/")[2]
    slots = [slot(f"d{day}", START + timedelta(days=day), calendar="first") for day in (3, 4)]
    await put_in(runtime, schedule("first", place), *slots)
    booked = only(await ask(http, "book", slot="Slot/d3", patient_reference="Patient/p1"))
    await way.hears("Sie haben einen Termin am 24. November 2026")
    booked = only(await ask(http, "reschedule", at=f"{booked['id']}/", slot="Slot/d4"))
    await way.hears("Ihr Termin hat sich geändert: Er ist jetzt am 25. November 2026")
    await way.comes(booked, "arrived")
    await way.hears("hat begonnen")
    assert [each["status"] for each in await beside(runtime, "interim-support")] == ["completed"]


async def goes_on_to_the_second_step(way: Way) -> None:
    """The first step is not enough: from the proposal of the next one to the first appointment there."""
    runtime, http = way.runtime, way.http
    await another_place(http)
    second = {**assignment("s2", phq9=16), "replaces": [{"reference": "ServiceRequest/s1"}]}
    await hear(runtime, assigned(second))
    await way.hears(count=0)
    await hear(runtime, assigned(accepted(second), 2))
    await way.hears("Was Sie jetzt haben, geht weiter", "Bis dahin: ")
    assert (await way.task("s1"))["status"] == "in-progress"
    await way.moves("s2", **no("no-capacity"))
    await way.hears("kann Sie nicht aufnehmen", "eine andere Stelle gefragt", "Was Sie jetzt haben, geht weiter")
    await way.moves("s2", status="accepted")
    await way.hears("zugesagt")
    place = (await way.task("s2"))["owner"]["reference"].partition("/")[2]
    slots = [slot(f"e{day}", START + timedelta(days=day), calendar="second") for day in (6, 7)]
    await put_in(runtime, schedule("second", place), *slots)
    missed = only(await ask(http, "book", slot="Slot/e6", patient_reference="Patient/p1"))
    await way.hears("Sie haben einen Termin am 27. November 2026")
    await way.comes(missed, "noshow")
    await way.hears(count=0)  # a person asks after them, no machine
    assert len(await beside(runtime, "outreach")) == 1
    assert ((await way.task("s2"))["status"], (await way.task("s1"))["status"]) == ("accepted", "in-progress")
    came = only(await ask(http, "book", slot="Slot/e7", patient_reference="Patient/p1"))
    await way.hears("Sie haben einen Termin am 28. November 2026")
    await way.comes(came, "arrived")
    await way.hears("hat begonnen")
    assert ((await way.task("s2"))["status"], (await way.task("s1"))["status"]) == ("in-progress", "in-progress")


async def test_every_turn_reaches_the_person_and_the_old_step_stays_until_they_were_seen_in_the_new_one(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    way = Way(runtime, http)
    await known(runtime, {"income": "often"}, communication=GERMAN)
    first = accepted(assignment("s1", phq9=12))
    await begins_the_first_step(way, first)
    await goes_on_to_the_second_step(way)
    # routing has ended the first step with this contact; people end it here, and the person hears of both
    await hear(runtime, assigned({**first, "status": "completed"}, 3))
    assert isinstance(runtime.clock, Clock)
    await tell_of_due(runtime, [NORTH])
    assert any("still open here" in each["payload"][0]["contentString"] for each in await told(runtime, "alert"))
    await way.moves("s1", status="completed")
    await way.hears("abgeschlossen")
    await way.moves("s2", status="completed")
    await way.hears("abgeschlossen")
    opened = [each["id"] for each in await referrals(runtime) if each["status"] not in {"completed", "rejected"}]
    assert [each for each in opened if each not in {one["id"] for one in await beside(runtime, "outreach")}] == []
