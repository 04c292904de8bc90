"""Brings a synthetic region through the real APIs, as record systems would: places, people and answers, referrals.

Everything carries a business identifier and is created only where it is not there: stopped and started again it goes
on, and what is sent twice is there once.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from stepwell_shared.canonical import CANONICAL
from stepwell_shared.cli.demo import resources
from stepwell_shared.cli.demo.courses import ITEMS, Attendance
from stepwell_shared.cli.demo.referring import ORDER, Step, steps_of
from stepwell_shared.cli.demo.region import Person, Region
from stepwell_shared.cli.demo.sending import Sender
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.http_client import HttpResponse

REFUSED = frozenset({422})
NOT_KNOWN = "not known here yet"
BEGUN = frozenset({"accepted", "in-progress"})
PAUSE_SECONDS, PATIENCE_SECONDS = 0.5, 300.0

Resource = dict[str, Any]


@dataclass
class Player:
    """A region on its way into a suite: `ehr` speaks for the practices, `desk` for the places."""

    region: Region
    ehr: Sender
    desk: Sender
    practices: dict[int, Resource] = field(default_factory=dict)
    places: dict[str, Resource] = field(default_factory=dict)
    _forms: resources.Forms | None = None

    async def set_up(self) -> None:
        """Reads the forms; makes the practices, and the places with who cares there."""
        self._forms = resources.Forms({name: await self._form(name) for name in ITEMS})
        region, url = self.region, self.ehr.urls["referral"]
        for practice in region.practices():
            made = await self._create(resources.practice_resource(practice, region.seed))
            self.practices[practice.number] = {"reference": f"{url}/{made}"}
        for place in region.places():
            await self._create(resources.practitioner_resource(place, region.seed))
            self.places[place.id] = {"reference": await self._create(resources.place_resource(place, region.seed))}

    async def play(self, person: Person) -> None:
        """One person: who they are and what they answered, then their referrals and contacts."""
        assert self._forms is not None, "the region is set up first"
        practice = self.practices[person.practice.number]
        bundle = resources.answers_bundle(person, self.region.seed, self._forms, practice)
        answer = await self.ehr.send("POST", "screening", "", bundle)
        subject = {"reference": _made(answer)[0]}
        for step in steps_of(person.course):
            await self._refer(person, subject, step)
        uses = resources.use_resources(person, self.region.seed, subject)
        if uses:
            _checked(await self.ehr.send("POST", "measurement", "", _bundle("batch", [_once(each) for each in uses])))

    async def _form(self, name: str) -> Resource:
        found = await self.ehr.send("GET", "screening", "Questionnaire", url=f"{CANONICAL}/Questionnaire/{name}")
        entries = found.json().get("entry", [])
        if not entries:
            raise SetupError(f"screening does not ship {name}: is it of this release?")
        questionnaire: Resource = entries[0]["resource"]
        return questionnaire

    async def _create(self, resource: Resource) -> str:
        """The reference of what referral made, or had."""
        answer = await self.ehr.send("POST", "referral", "", _bundle("transaction", [_once(resource)]))
        return _made(answer)[0]

    async def _refer(self, person: Person, subject: Resource, step: Step) -> None:
        """One step of care: the order and its Task, who came when, and what the place says of it."""
        seed, place = self.region.seed, self.places[self.region.place(person.practice.number, step.tier).id]
        practice = self.practices[person.practice.number]
        request, task = resources.referral_resources(
            person, seed, step.tier, moment=step.asked_at, subject=subject, place=place, practice=practice
        )
        order = {"fullUrl": f"urn:uuid:{person.id}", **_once(request)}
        sent = _bundle("transaction", [order, _once({**task, "focus": {"reference": order["fullUrl"]}})])
        order_entry, task_entry = (await self._once_known(sent)).json()["entry"]
        based_on, task_reference = {"reference": _reference(order_entry)}, _reference(task_entry)
        name = partial(resources.identifier, seed, "contact", person.number)
        appointments = [
            (resources.appointment_resource(name(number), each, based_on, subject, place), each.attendance)
            for number, each in step.contacts
        ]
        stands = ORDER[0] if _is_new(task_entry) else await self._status(self.desk, task_reference)
        left = [each for each in step.moves() if ORDER.index(stands) < ORDER.index(each[0])]
        for status, patch in left:
            if status not in BEGUN:
                # While care has not begun each contact is written into the referral: then one after the other.
                await self._appoint(appointments, at_once=len(appointments) if step.began_at else 1)
            await self._move(task_reference, status, patch)
        if not left or left[-1][0] in BEGUN:
            await self._appoint(appointments, at_once=len(appointments) if step.began_at else 1)

    async def _move(self, task: str, status: str, patch: list[Any]) -> None:
        """Whoever has asked takes back, and says that somebody has left; the rest is the place's to say."""
        sender = self.ehr if status == "cancelled" else self.desk
        await sender.send("PATCH", "referral", task, patch)

    async def _once_known(self, sent: bytes) -> HttpResponse:
        """The answer to a referral once referral has heard of the person. Raises SetupError when it never does."""
        for _ in range(round(PATIENCE_SECONDS / PAUSE_SECONDS)):
            answer = await self.ehr.send("POST", "referral", "", sent, allowed=REFUSED)
            if answer.is_success:
                return answer
            if NOT_KNOWN not in answer.text:
                raise SetupError(f"referral refused a referral: {answer.text}")
            await asyncio.sleep(PAUSE_SECONDS)
        raise SetupError("referral has not heard of people for minutes: do events arrive? See the logs of screening.")

    async def _status(self, sender: Sender, reference: str) -> str:
        """How something stands that an earlier run has made."""
        return str((await sender.send("GET", "referral", reference)).json()["status"])

    async def _appoint(self, appointments: Sequence[tuple[Resource, str]], at_once: int) -> None:
        """Contacts as they were booked, and then what became of each."""
        if not appointments:
            return
        booked = await self.desk.send(
            "POST", "referral", "", _bundle("batch", [_once(each) for each, _ in appointments])
        )
        ended = []
        for entry, (appointment, status) in zip(_checked(booked), appointments, strict=True):
            reference = _reference(entry)
            if not _is_new(entry) and await self._status(self.desk, reference) == status:
                continue
            why = {"cancelationReason": resources.BY_THE_PERSON} if status == Attendance.CANCELLED else {}
            updated = {**appointment, "id": reference.rpartition("/")[2], "status": status, **why}
            ended.append({"resource": updated, "request": {"method": "PUT", "url": reference}})
        for start in range(0, len(ended), at_once):
            together = _bundle("batch", ended[start : start + at_once])
            _checked(await self.desk.send("POST", "referral", "", together))


def _once(resource: Resource) -> Resource:
    """The entry that creates a resource unless one with its identifier is there."""
    name = resource["identifier"][0]
    criteria = f"identifier={name['system']}|{name['value']}"
    url = str(resource["resourceType"])
    return {"resource": resource, "request": {"method": "POST", "url": url, "ifNoneExist": criteria}}


def _bundle(kind: str, entries: Sequence[Resource]) -> bytes:
    return orjson.dumps({"resourceType": "Bundle", "type": kind, "entry": entries})


def _made(answer: HttpResponse) -> list[str]:
    """The references of what a transaction made or found, in the order of its entries."""
    return [_reference(entry) for entry in answer.json()["entry"]]


def _checked(answer: HttpResponse) -> list[Resource]:
    """The entries of a batch's answer. Raises SetupError when one was refused."""
    entries: list[Resource] = answer.json()["entry"]
    for entry in entries:
        if not entry["response"]["status"].startswith("2"):
            raise SetupError(f"a contact or a use of care was refused: {orjson.dumps(entry).decode()}")
    return entries


def _reference(entry: Resource) -> str:
    location: str = entry["response"]["location"]
    return "/".join(location.partition("/_history/")[0].split("/")[-2:])


def _is_new(entry: Resource) -> bool:
    return str(entry["response"]["status"]).startswith("201")
