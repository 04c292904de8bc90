"""Killed between any two lines of a positive-safety submission, either nothing was answered or the alert exists and
escalates; a killed service that comes back tells whoever is on call, at the time that the site has set.
"""

import asyncio
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from stepwell_screening.app import service
from stepwell_screening.timers import set_on_call
from stepwell_screening.use_cases.escalation import Escalation
from stepwell_screening.use_cases.on_call import checked_on_call
from stepwell_shared.database.pool import Database
from stepwell_shared.runtime import Runtime, open_runtime

from tests.conftest import DatabaseOf
from tests.services.screening.submitting import EHR, patient
from tests.support.dying import settings_for
from tests.support.runtime import NORTH, Clock, http_of, stored
from tests.support.suite import Resource, Suite, running_suite

POINTS = 24
PHQ_9_WITH_ITEM_9 = (2, 2, 2, 2, 2, 2, 2, 1, 1)
OPENED = ("Task", "RiskAssessment", "Flag")
QUICK = {
    "zone": "UTC",
    "roles": [{"code": "duty", "display": "On duty", "recipient": {"display": "On duty"}}],
    "lastResort": {"code": "last", "display": "Last", "recipient": {"display": "Last"}},
    "ladders": {"at-once": {"afterMinutes": [0.03], "thenEveryMinutes": 600}},
}


async def die_often(database_url: str, folder: Path) -> list[dict[str, Any]]:
    """What became of a submission that was killed at each of many lines."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.dying", database_url, str(folder), str(POINTS),
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0
    return [json.loads(line) for line in said.splitlines()]


def caused_by(resource: Resource) -> str:
    """The response that it rests on."""
    basis = resource.get("basis") or [resource.get("reasonReference")]
    return str(basis[0]["reference"]).rpartition("/")[2]


async def test_at_whichever_line_it_dies_an_answer_is_stored_with_its_alert_or_not_at_all(
    database_of: DatabaseOf, tmp_path: Path
) -> None:
    urls = await database_of("screening")
    runtime = Runtime(clock=Clock())
    async with open_runtime(
        service, service.resources(runtime), runtime, settings_for(urls.runtime, tmp_path)
    ) as opened:
        async with http_of(opened, service) as client:
            assert (await client.put("Patient/p1", json=patient(), headers=EHR)).status_code == 201
        attempts = await die_often(urls.runtime, tmp_path)
        kept = {each["id"] for each in await stored(opened, NORTH, "QuestionnaireResponse")}
        answered = {each["id"] for each in attempts if each.get("status") == 201}
        died_late = {each["id"] for each in attempts if each["killed"]} & kept
        assert answered <= kept
        assert died_late, "no death fell between commit and answer: the points miss what they are for"
        assert len([each for each in attempts if each["killed"] and each["id"] not in kept]) > POINTS / 2
        tasks, assessments, flags = [await stored(opened, NORTH, name) for name in OPENED]
        assert sorted(map(caused_by, tasks)) == sorted(map(caused_by, assessments)) == sorted(kept)
        assert len(flags) == len(kept)
        assert isinstance(runtime.clock, Clock)
        runtime.clock.now = max_opened(tasks) + timedelta(minutes=16)
        replicas = await asyncio.gather(*(Escalation(opened).escalate_due([NORTH]) for _ in range(2)))
        told = await stored(opened, NORTH, "Communication")
        assert sum(replicas) == len(told) == len(tasks)
        assert {each["about"][0]["reference"] for each in told} == {f"Task/{task['id']}" for task in tasks}


def max_opened(tasks: list[Resource]) -> datetime:
    """When the last of them opened."""
    return max(datetime.fromisoformat(task["authoredOn"]) for task in tasks)


@pytest.fixture
def alone(tmp_path: Path) -> Any:
    """Screening by itself."""
    with running_suite(tmp_path, ["screening"]) as suite:
        yield suite


async def test_a_service_that_is_killed_again_and_again_loses_no_alert_and_tells_when_it_is_back(alone: Suite) -> None:
    urls = alone.deployment.databases["screening"]
    async with Database.open(urls.runtime, connections_max=1) as database, alone.clinic() as clinic:
        await set_on_call(database, NORTH, checked_on_call(json.dumps(QUICK)), Runtime().clock())
        acknowledged: list[str] = []
        person = await clinic.patient()
        for delay in (0.005, 0.02, 0.06):
            forms = [await clinic.form("phq-9", PHQ_9_WITH_ITEM_9, person) for _ in range(8)]
            sending = [asyncio.create_task(clinic.submit(each)) for each in forms]
            await asyncio.sleep(delay)
            alone.processes.kill("screening")
            answers = await asyncio.gather(*sending, return_exceptions=True)
            answered = [each for each in answers if not isinstance(each, BaseException) and each.status_code == 201]
            acknowledged += [each.json()["id"] for each in answered]
            alone.processes.start_one("screening")
            await asyncio.to_thread(alone.processes.wait_until_ready, "screening")
        subject = f"Patient/{person['id']}"
        responses = await clinic.search("screening", "QuestionnaireResponse", subject=subject, _count="100")
        assert set(acknowledged) <= {each["id"] for each in responses}
        last = (await clinic.submit(await clinic.form("phq-9", PHQ_9_WITH_ITEM_9, person))).json()
        tasks = await clinic.search("screening", "Task", subject=subject, code="safety", _count="100")
        assert sorted(map(caused_by, tasks)) == sorted([*(each["id"] for each in responses), last["id"]])
        told = await clinic.wait_for("screening", "Communication", count=len(tasks), subject=subject, _count="100")
        assert len({each["about"][0]["reference"] for each in told}) == len(told) == len(tasks)
