"""A review that falls due with no data asks the person for data: routing and screening hear of each other for real."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from stepwell_routing.app import service as routing_service
from stepwell_routing.use_cases.dues import work_on_due
from stepwell_screening.app import service as screening_service
from stepwell_screening.use_cases.solicitation import Soliciting
from stepwell_shared.canonical import instant, topic
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.runtime import Runtime

from tests.services.screening.submitting import CLINICIAN, EHR, Resource, accept, form, patient
from tests.support.runtime import NORTH, Clock, announced, http_of, received, running, stored

DAY = timedelta(days=1)


class Both:
    """Two services that tell each other everything, in order, as delivery would; their clocks go alike."""

    def __init__(self, screening: Runtime, routing: Runtime, http: httpx.AsyncClient, care: httpx.AsyncClient) -> None:
        self.parts = {"screening": (screening, screening_service), "routing": (routing, routing_service)}
        self.screening, self.routing, self.http, self.care = screening, routing, http, care
        self._told = dict.fromkeys(self.parts, 0)

    async def tell(self) -> list[str]:
        """Brings every new event of one to the other; the topics."""
        topics = []
        for name, other in (("screening", "routing"), ("routing", "screening")):
            events = await announced(self.parts[name][0], NORTH)
            for each in events[self._told[name] :]:
                topics.append(each.topic)
                runtime, service = self.parts[other]
                handler = service.listens(runtime).get((name, each.topic))
                if handler is not None:
                    await handler(self._received(runtime, each.topic, each.entries), NORTH)
            self._told[name] = len(events)
        return topics

    async def pass_time(self, time: timedelta) -> list[str]:
        """Time passes in both; each looks for what is due, and tells."""
        for runtime, _ in self.parts.values():
            assert isinstance(runtime.clock, Clock)
            runtime.clock.now += time
        await work_on_due(self.routing, [NORTH])
        topics = await self.tell()
        await Soliciting(self.screening).look_at_due([NORTH])
        return topics + await self.tell()

    async def asked_for(self) -> list[Resource]:
        """The open Tasks that ask the person for a form."""
        tasks = await stored(self.screening, NORTH, "Task")
        return [
            each
            for each in tasks
            if each["code"]["coding"][0]["code"] == "complete-questionnaire" and each["status"] == "requested"
        ]

    async def review(self) -> Resource:
        """The person's open review in routing."""
        tasks = await stored(self.routing, NORTH, "Task")
        (found,) = [each for each in tasks if each["status"] == "requested"]
        return found

    @staticmethod
    def _received(runtime: Runtime, name: str, entries: dict[str, Resource]) -> ReceivedEvent:
        assert isinstance(runtime.clock, Clock)
        return replace(received(topic(name), list(entries.items())), timestamp=runtime.clock.now)


@pytest.fixture
async def both(database_of: Callable[[str], Awaitable[DatabaseUrls]], tmp_path: Path) -> AsyncIterator[Both]:
    first = running(screening_service, await database_of("screening"), tmp_path)
    second = running(routing_service, await database_of("routing"), tmp_path)
    async with (
        first as screening,
        second as routing,
        http_of(screening, screening_service) as http,
        http_of(routing, routing_service) as care,
    ):
        yield Both(screening, routing, http, care)


async def test_a_review_without_measures_asks_the_person_and_their_answer_settles_it(both: Both) -> None:
    await both.http.put("Patient/p1", json=patient(birthDate="1980-05-01"), headers=EHR)
    await accept(both.http, form(id="first"))
    await both.tell()
    (proposal,) = await stored(both.routing, NORTH, "ServiceRequest")
    taken = await both.care.post(f"ServiceRequest/{proposal['id']}/$accept", headers=CLINICIAN)
    assert taken.status_code == 200, taken.text
    slower = {"resourceType": "Parameters", "parameter": [{"name": "pace", "valueCode": "slower"}]}
    assert (await both.http.post("Patient/p1/$pause-questionnaires", json=slower, headers=CLINICIAN)).status_code == 200

    # The person is asked at their own pace and does not answer; the review falls due before they are asked again.
    topics: list[str] = []
    while "review-due" not in topics:
        topics = await both.pass_time(3 * DAY)
    assert stands(await both.review()) == "overdue"
    (task,) = await both.asked_for()
    assert task["reasonCode"]["coding"][0]["code"] == "CADENCE-REVIEW"
    asked = len([each for each in await stored(both.screening, NORTH, "Task") if each["code"] == task["code"]])
    await both.pass_time(DAY)
    assert [each["id"] for each in await both.asked_for()] == [task["id"]]

    await accept(both.http, form(id="second", authored=instant(both.screening.clock())))
    await both.pass_time(DAY)
    assert await both.asked_for() == []
    assert stands(await both.review()) == "scheduled"
    assert asked == len([each for each in await stored(both.screening, NORTH, "Task") if each["code"] == task["code"]])


def stands(review: Resource) -> str:
    return str(review["businessStatus"]["coding"][0]["code"])
