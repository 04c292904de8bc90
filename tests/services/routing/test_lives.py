"""Months of people's lives on stepped care, the clock moved: the moves a clinician would expect, each explained."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from stepwell_measurement import builders as measurement
from stepwell_measurement.data import trajectory_parameters
from stepwell_measurement.rules.reliable_change import Score
from stepwell_measurement.rules.trajectory import trajectory
from stepwell_routing.app import service
from stepwell_routing.builders import current_tier
from stepwell_routing.use_cases.dues import work_on_due
from stepwell_screening import builders, safety_builders
from stepwell_screening.instruments import safety_policy
from stepwell_screening.rules.safety import found
from stepwell_screening.safety_builders import SafetyCause
from stepwell_shared.canonical import derived_id, instant, topic
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import PATIENT, Resource, alert, assessment, rules, score_url, tier
from tests.services.screening.rules.answering import DEFINITIONS, answered, spread, total_of
from tests.support.runtime import NORTH, URLS, Clock, announced, http_of, received, stored, token

CLINICIAN = token(NORTH, "clinician", "Practitioner/dr-1")
ITEMS = {"phq-9": (9, 3), "gad-7": (7, 3), "phq-15": (15, 2)}


class Life:
    """One person among the services: what they answer, who sees them, what is decided."""

    def __init__(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        self.runtime, self.http, self.responses = runtime, http, 0
        self.handlers = service.listens(runtime)

    @property
    def now(self) -> datetime:
        assert isinstance(self.runtime.clock, Clock)
        return self.runtime.clock.now

    async def passes(self, **span: float) -> None:
        """Time passes, and the loop looks for what is due by then."""
        assert isinstance(self.runtime.clock, Clock)
        self.runtime.clock.now += timedelta(**span)
        await work_on_due(self.runtime, [NORTH])

    async def answers(self, total: int, instrument: str = "phq-9") -> None:
        """A form comes in, scored; no question about safety is open."""
        self.responses += 1
        response, (items, most) = f"r{self.responses}", ITEMS[instrument]
        url = f"{URLS['screening']}/QuestionnaireResponse/{response}"
        observation = builders.score_observation(
            observation_id=derived_id(URLS["screening"], NORTH, "score", response, instrument),
            definition=DEFINITIONS[instrument],
            result=total_of(instrument, answered(instrument, [*spread(total, items, most)])),
            response_url=url,
            subject=PATIENT,
            effective=instant(self.now),
            issued=self.now,
        )
        observation["meta"] = {"source": f"{url}/_history/1"}
        focus = {
            "resourceType": "QuestionnaireResponse",
            "id": response,
            "meta": {"versionId": "1"},
            "status": "completed",
            "subject": PATIENT,
        }
        entries = [(url, focus), (score_url(response, instrument), observation)]
        await self.handlers["screening", "score-finalized"](received(topic("score-finalized"), entries), NORTH)

    async def measured(self, *, baseline: int, current: int) -> None:
        """Measurement says whether the change on the PHQ-9 is reliable."""
        parameters = trajectory_parameters()["44261-6"]
        scores = [
            Score(reference=f"Observation/s{number}", value=Decimal(value), effective=moment)
            for number, (value, moment) in enumerate(
                [(baseline, self.now - timedelta(weeks=9)), (current, self.now - timedelta(minutes=1))]
            )
        ]
        path = trajectory(parameters, scores)
        assert path is not None
        result = measurement.reliable_change_observation(
            observation_id=f"change-{self.responses}",
            parameters=parameters,
            path=path,
            subject=PATIENT,
            issued=self.now,
        )
        result["meta"] = {"versionId": "1"}
        url = f"{URLS['measurement']}/Observation/{result['id']}"
        await self.handlers["measurement", "trajectory-changed"](
            received(topic("trajectory-changed"), [(url, result)]), NORTH
        )

    async def attends(self, *, times: int = 1, every: timedelta = timedelta(weeks=1)) -> None:
        """Contacts in the step, as referral tells of them: each is an event that took place."""
        for _ in range(times):
            assert isinstance(self.runtime.clock, Clock)
            self.runtime.clock.now += every
            request = (await self.plans())[-1]
            task = {
                "resourceType": "Task",
                "id": f"task-{request['id']}",
                "meta": {"versionId": str(1 + int((self.now - datetime.fromisoformat(request["authoredOn"])).days))},
                "status": "in-progress",
                "businessStatus": {"coding": [{"code": "5.1.4"}]},
                "focus": {"reference": f"{URLS['routing']}/ServiceRequest/{request['id']}"},
                "for": PATIENT,
                "authoredOn": request["authoredOn"],
                "lastModified": instant(self.now),
            }
            url = f"{URLS['referral']}/Task/{task['id']}"
            await self.handlers["referral", "referral-changed"](
                received(topic("referral-changed"), [(url, task)]), NORTH
            )

    async def accepts(self) -> Resource:
        """The clinician accepts what is proposed."""
        proposal = await self.proposal()
        assert proposal is not None
        answer = await self.http.post(f"ServiceRequest/{proposal['id']}/$accept", headers=CLINICIAN)
        assert answer.status_code == 200, answer.text
        return proposal

    async def steers(self, operation: str, **values: Any) -> httpx.Response:
        """The clinician does something about the course."""
        parameters = [{"name": name.replace("_", "-"), **value} for name, value in values.items()]
        episode = (await self.episodes())[-1]
        body = {"resourceType": "Parameters", **({"parameter": parameters} if parameters else {})}
        return await self.http.post(f"EpisodeOfCare/{episode['id']}/${operation}", json=body, headers=CLINICIAN)

    async def requests(self) -> list[Resource]:
        return await stored(self.runtime, NORTH, "ServiceRequest")

    async def proposal(self) -> Resource | None:
        """What waits for an answer."""
        waiting = [each for each in await self.requests() if each["intent"] == "proposal"]
        return next((each for each in waiting if each["status"] in {"active", "on-hold"}), None)

    async def plans(self) -> list[Resource]:
        """What was accepted and goes on or rests, the newest last."""
        found = [each for each in await self.requests() if each["intent"] == "plan"]
        return sorted(
            (each for each in found if each["status"] in {"active", "on-hold"}), key=lambda each: each["authoredOn"]
        )

    async def episodes(self) -> list[Resource]:
        found = await stored(self.runtime, NORTH, "EpisodeOfCare")
        return sorted(found, key=lambda each: each["period"]["start"])

    async def tasks(self, code: str) -> list[Resource]:
        found = await stored(self.runtime, NORTH, "Task")
        return [each for each in found if each["code"]["coding"][0]["code"] == code]

    async def last_decision(self) -> Resource:
        decisions = await stored(self.runtime, NORTH, "Provenance")
        return max(decisions, key=lambda each: each["recorded"])

    async def begins(self, total: int) -> None:
        """Screened, proposed, accepted: care begins."""
        await self.answers(total)
        await self.accepts()


@pytest.fixture
async def life(runtime: Runtime) -> AsyncIterator[Life]:
    async with http_of(runtime, service) as client:
        yield Life(runtime, client)


def fired(decision: Resource) -> list[str]:
    return [each["coding"][0]["code"] for each in decision["reason"]]


def business_status(task: Resource) -> str:
    return str(task["businessStatus"]["coding"][0]["code"])


async def test_no_response_at_week_eight_proposes_the_next_step_and_the_old_one_goes_on_until_the_first_contact(
    life: Life,
) -> None:
    await life.begins(15)
    for total in (14, 9, 9):
        await life.attends(times=2)
        await life.answers(total)
        assert await life.proposal() is None, "nobody is moved before the response has had its time"
    await life.passes(weeks=2, days=1)
    await life.answers(10)
    proposal = await life.proposal()
    assert proposal is not None
    assert (tier(proposal), proposal["intent"], rules(proposal)[0]) == ("tier-3", "proposal", "STEP-UP-A-PHQ9")
    old, new = (await life.plans())[-1]["id"], (await life.accepts())["id"]
    assert [each["id"] for each in await life.plans()] == [old, new]
    assert current_tier((await life.episodes())[0]) == "tier-3"
    await life.attends()
    assert [each["id"] for each in await life.plans()] == [new]
    assert {each["id"]: each["status"] for each in await life.requests()}[old] == "completed"


async def test_getting_worse_is_decided_on_at_once_and_the_person_hears_why(life: Life) -> None:
    await life.begins(10)
    await life.passes(days=10)
    await life.answers(16)
    await life.measured(baseline=10, current=16)
    proposal = await life.proposal()
    assert proposal is not None
    assert tier(proposal) == "tier-3"
    assert "STEP-UP-B-PHQ9" in fired(await life.last_decision())
    assert proposal["patientInstruction"]
    assert proposal["note"][0]["text"]


async def test_a_stall_after_an_adequate_course_proposes_more_and_never_before(life: Life) -> None:
    await life.begins(12)
    await life.attends(times=3)
    await life.answers(11)
    await life.attends(times=2)
    await life.answers(12)
    assert await life.proposal() is None
    await life.attends(times=2)
    await life.answers(11)
    proposal = await life.proposal()
    assert proposal is not None
    assert "STEP-UP-C-PHQ9" in fired(await life.last_decision())


async def test_the_end_is_proposed_then_decided_by_people_and_a_relapse_begins_a_new_episode(
    life: Life, emitted: Callable[[Resource], None]
) -> None:
    await life.begins(6)
    for _ in range(3):
        await life.passes(weeks=3)
        await life.answers(2)
        await life.answers(2, "gad-7")
    (proposed,) = await life.tasks("exit-review")
    assert proposed["status"] == "requested"
    assert [each["status"] for each in await life.episodes()] == ["active"]
    assert (await life.steers("finish")).status_code == 200
    (ended,) = await life.episodes()
    assert (ended["status"], "end" in ended["period"]) == ("finished", True)
    assert len(await life.tasks("booster")) == 4
    await life.passes(weeks=4, days=1)
    assert [business_status(each) for each in await life.tasks("booster")].count("due") == 1
    await life.answers(2)
    assert [each["status"] for each in await life.tasks("booster")].count("completed") == 1
    assert len(await life.episodes()) == 1
    await life.passes(weeks=6)
    await life.answers(12)
    before, after = await life.episodes()
    assert (before["status"], after["status"]) == ("finished", "active")
    proposal = await life.proposal()
    assert proposal is not None
    assert {"reference": f"EpisodeOfCare/{before['id']}"} in proposal["supportingInfo"]
    assert {each["status"] for each in await life.tasks("booster")} == {"completed", "cancelled"}
    for kind in ("Task", "EpisodeOfCare", "Provenance", "ServiceRequest"):
        for resource in await stored(life.runtime, NORTH, kind):
            validation.check(encode(resource), kind)
            emitted(resource)


async def test_a_review_without_measures_is_overdue_asks_and_tells_and_moves_nobody(
    life: Life, replica: Runtime
) -> None:
    await life.begins(13)
    plan = (await life.plans())[0]
    before = len(await announced(life.runtime, NORTH))
    await life.passes(days=15)
    assert await work_on_due(replica, [NORTH]) == 0
    (review,) = await life.tasks("course-review")
    assert (business_status(review), review["status"]) == ("overdue", "requested")
    told = (await announced(life.runtime, NORTH))[before:]
    assert [(each.topic, each.focus["id"]) for each in told] == [("review-due", review["id"])]
    assert await life.plans() == [plan]
    await life.answers(12)
    (review,) = await life.tasks("course-review")
    assert business_status(review) == "scheduled"


async def test_a_hold_rests_the_step_until_its_date_is_told_and_somebody_resumes(life: Life) -> None:
    await life.begins(13)
    date = (life.now + timedelta(days=10)).date().isoformat()
    assert (await life.steers("hold", reason={"valueCode": "tired"})).status_code == 400
    answer = await life.steers("hold", reason={"valueCode": "not-ready"}, resume_check={"valueDate": date})
    assert (answer.status_code, answer.json()["status"]) == (200, "onhold")
    await life.answers(13)
    assert [each["status"] for each in await life.plans()] == ["on-hold"]
    assert (await life.episodes())[0]["status"] == "onhold"
    await life.passes(days=11)
    (check,) = await life.tasks("resume-check")
    assert business_status(check) == "due"
    assert (await life.steers("resume")).status_code == 200
    assert [each["status"] for each in await life.plans()] == ["active"]
    assert [each["status"] for each in await life.tasks("resume-check")] == ["completed"]


async def test_a_red_flag_rests_what_it_touches_until_its_medical_review(life: Life) -> None:
    await life.begins(13)
    handler = life.handlers["screening", "safety-alert"]
    await handler(flagged("SAF-6", life.now), NORTH)
    assert [each["status"] for each in await life.plans()] == ["on-hold"]
    assert (await life.episodes())[0]["status"] == "onhold"
    assert (await life.steers("resume")).status_code == 422
    await handler(flagged("SAF-6", life.now, completed=True), NORTH)
    assert [each["status"] for each in await life.plans()] == ["active"]
    assert (await life.episodes())[0]["status"] == "active"


async def test_while_safety_is_open_nobody_ends_care(life: Life) -> None:
    await life.begins(6)
    await life.handlers["screening", "safety-alert"](alert(response="r9"), NORTH)
    assert (await life.steers("finish")).status_code == 422
    assert assessment()["status"] == "preliminary"


def flagged(rule: str, now: datetime, *, completed: bool = False) -> Any:
    """Topic safety-alert for what is not a question of risk: a Task that opens, or that somebody has completed."""
    finding = found(safety_policy().rules[rule], "cauda-equina", "cauda equina signs", now)
    cause = SafetyCause(finding, "QuestionnaireResponse/r9", {"reference": "Patient/p1"}, instant(now), now)
    risk = safety_builders.risk_assessment(assessment_id="flag", cause=cause, policy=safety_policy())
    task = safety_builders.safety_task(task_id="task-flag", assessment="RiskAssessment/flag", cause=cause)
    version = "2" if completed else "1"
    risk["meta"] = {"versionId": version, "lastUpdated": instant(now)}
    task |= {"meta": {"versionId": version}, **({"status": "completed"} if completed else {})}
    entries = [(f"{URLS['screening']}/{each['resourceType']}/{each['id']}", each) for each in (task, risk)]
    return received(topic("safety-alert"), entries)
