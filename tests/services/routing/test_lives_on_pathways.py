"""Months of people's lives on four more pathways, the clock moved: every move of the ladder, and why it was made.

Comments name the rows of the pathways' tables: what lets somebody enter a step, stay, move on, rest, end and return.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from stepwell_routing.app import service
from stepwell_routing.builders import current_step, step_code
from stepwell_routing.policies import active_policies
from stepwell_routing.rules.expressions import Kind
from stepwell_routing.rules.policies import Input
from stepwell_routing.tables import EXIT, STEP, Known
from stepwell_routing.use_cases.course import course_of, course_values
from stepwell_shared.canonical import code_system, extension_url, instant, topic
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import PATIENT, Resource, alert, rules
from tests.services.routing.test_clinical import CONDITION
from tests.services.routing.test_live_evidence import score
from tests.services.routing.test_live_pathways import know_patient, start
from tests.services.routing.test_lives import CLINICIAN, Life, fired, flagged
from tests.support.runtime import NORTH, START, URLS, http_of, received, stored, token

EHR = token(NORTH, "ehr")
YES, NO = "LA33-6", "LA32-8"
RED_FLAGS = (
    *("cauda-equina", "weight-loss", "fever-night-pain", "progressive-neurology", "exertional-chest-pain"),
    *("new-seizure", "cancer-new-pain"),
)
PAST = ("course_without_benefit_step", "last_helped_step")


@dataclass(frozen=True)
class Why:
    """What `$explain` says: the step and outcome, the rules that fired with what they saw, and words for both."""

    step: str
    outcome: str
    deciding_rule: str
    review: str
    rules: dict[str, dict[str, str]]
    options: set[str]
    for_clinicians: str
    for_the_person: str


class Course(Life):
    """A life on a pathway that a clinician has chosen."""

    async def on(self, pathway: str) -> None:
        await know_patient(self.runtime)
        answer = await start(self.http, pathway)
        assert answer.status_code == 201, answer.text

    async def gives(
        self,
        form: str = "",
        answers: Mapping[str, Any] | None = None,
        scores: Mapping[str, int] | None = None,
        **more: int,
    ) -> None:
        """A response comes in with its scores, and perhaps with answers to a form of ours."""
        self.responses += 1
        id_ = f"r{self.responses}"
        response: Resource = {
            "resourceType": "QuestionnaireResponse",
            "id": id_,
            "meta": {"versionId": "1"},
            "status": "completed",
            "authored": instant(self.now),
            "subject": {"reference": "Patient/p1"},
        }
        if form:
            response["questionnaire"] = f"https://stepwell.health/fhir/Questionnaire/{form}|1.0.0"
            response["item"] = [
                {"linkId": f"/{name}", "answer": [_answer(value)]} for name, value in (answers or {}).items()
            ]
        found = [
            {**score(name, id_, self.now), "valueQuantity": {"value": value}}
            for name, value in {**(scores or {}), **more}.items()
        ]
        entries = [(f"{URLS['screening']}/QuestionnaireResponse/{id_}", response)]
        entries += [(f"{URLS['measurement']}/Observation/{each['id']}", each) for each in found]
        await self.handlers["screening", "score-finalized"](received(topic("score-finalized"), entries), NORTH)

    async def requests(self) -> list[Resource]:
        """Those of the steps; what runs beside them is asked for by `beside`."""
        return [each for each in await super().requests() if "basedOn" not in each]

    async def red_flag(self, *, is_reviewed: bool = False) -> None:
        """Something about the body needs a physician first, or has been looked at by one."""
        event = flagged("SAF-6", self.now, completed=is_reviewed)
        await self.handlers["screening", "safety-alert"](event, NORTH)

    async def has_condition(self, code: str) -> None:
        """A clinician has recorded a Condition, by its SNOMED CT code."""
        coding = [{"system": "http://snomed.info/sct", "code": code}]
        condition = {**CONDITION, "id": "c1", "subject": PATIENT, "code": {"coding": coding}}
        answer = await self.http.put("Condition/c1", json=condition, headers=EHR)
        assert answer.status_code == 201, answer.text

    async def ends(self) -> None:
        """People end care; boosters follow."""
        assert (await self.steers("finish")).status_code == 200
        assert [each["status"] for each in await self.episodes()] == ["finished"]
        assert len(await self.tasks("booster")) == 4
        is_open = [each for each in await stored(self.runtime, NORTH, "Task") if each["status"] == "requested"]
        assert {each["code"]["coding"][0]["code"] for each in is_open} <= {"booster"}, "nothing else stays open"
        requests = await stored(self.runtime, NORTH, "ServiceRequest")
        assert {each["status"] for each in requests} <= {"completed", "revoked"}

    async def beside(self, name: str) -> list[str]:
        """The status of each Task about this discipline, track or activity."""
        tasks = await stored(self.runtime, NORTH, "Task")
        return [each["status"] for each in tasks if f"'code': '{name}'" in str(each)]

    async def step(self) -> tuple[str | None, str]:
        """Where care has begun, and the episode's status."""
        episode = (await self.episodes())[-1]
        return current_step(episode), str(episode["status"])

    async def why(self) -> Why:
        body = {"resourceType": "Parameters", "parameter": [{"name": "subject", "valueReference": PATIENT}]}
        answer = await self.http.post("PlanDefinition/$explain", json=body, headers=CLINICIAN)
        assert answer.status_code == 200, answer.text
        rows = answer.json()["parameter"]
        one: Resource = {
            each["name"]: next((v for k, v in each.items() if k.startswith("value")), None) for each in rows
        }
        parts = [each["part"] for each in rows if each["name"] == "rule-fired"]
        saw = {
            _named(part, "code"): dict(_pair(each["part"]) for each in part if each["name"] == "saw") for part in parts
        }
        options = {_named(each["part"], "code") for each in rows if each["name"] == "option"}
        words = one["reason-for-clinicians"], one["reason-for-the-person"]
        return Why(one["step"]["code"], one["outcome"], one["deciding-rule"], one["review"], saw, options, *words)

    async def stays(self, rule: str, outcome: str = "stay") -> Why:
        """Nothing is proposed, and it is said why."""
        assert await self.proposal() is None
        why = await self.why()
        assert (why.outcome, rule in why.rules) == (outcome, True), why
        assert rule in fired(await self.last_decision())
        return why

    async def moves(self, step: str, rule: str, *, saw: Mapping[str, str] | None = None, is_new: bool = True) -> Why:
        """A step is proposed, said why to both, accepted, and begun. What `is_new` is explained as it was proposed."""
        proposal = await self.proposal()
        why = await self.why()
        assert proposal is not None, why
        assert (step_code(proposal), why.step) == (step, step), why
        assert why.deciding_rule in rules(proposal)
        assert rule in fired(await self.last_decision())
        assert (saw or {}).items() <= why.rules[rule].items(), why.rules[rule]
        said = (proposal["note"][0]["text"], proposal["patientInstruction"])
        assert all(said)
        assert not is_new or said == (why.for_clinicians, why.for_the_person)
        await self.accepts()
        await self.attends()
        assert await self.step() == (step, "active")
        assert len(await self.plans()) == 1, "the step before is complete with the first contact"
        return why


def _answer(value: Any) -> Resource:
    if isinstance(value, int):
        return {"valueInteger": value}
    return {"valueCoding": {"code": value}} if " " not in value else {"valueString": value}


def _named(parts: list[Resource], name: str) -> str:
    return next(str(v) for each in parts if each["name"] == name for k, v in each.items() if k.startswith("value"))


def _pair(parts: list[Resource]) -> tuple[str, str]:
    return _named(parts, "name"), _named(parts, "value")


@pytest.mark.parametrize(
    ("pathway", "steps", "not_enough", "helped"),
    [
        ("rural", "l1 l2 l3", 2, None),
        ("rural", "l1 l2 l1", 1, 2),
        ("somatic", "p1 p2", 1, None),
        ("somatic", "p1 p2 p3 p4", 2, 3),
        ("somatic", "p3 p4 p3", None, 3),
        ("pain", "p1 p2a", None, 1),
        ("pain", "p1 p2a p1", None, 1),
        # Care ended in between: who comes back at more has left no step for it, and where it ended has helped.
        ("rural", "l1 end l3", None, 1),
        ("rural", "l1 l2 end l3", 1, 2),
        ("rural", "l2 end l1 l3", 1, 2),
        ("rural", "l2 end l1", None, 2),
        ("rural", "l3 l2 end", None, 2),
        ("somatic", "p1 p2 p4 end p3", 1, 2),
        ("pain", "p1 p2a end p3", None, 1),
    ],
)
def test_more_independence_is_a_sign_that_the_step_before_has_helped(
    pathway: str, steps: str, not_enough: int | None, helped: int | None
) -> None:
    policy = next(each for each in active_policies().values() if each.steps[0].code.startswith(pathway))
    policy = replace(policy, inputs=tuple(Input(name, Kind.NUMBER, "EpisodeOfCare", (), None) for name in PAST))
    rows = [
        Known(EXIT if each == "end" else STEP, f"{pathway}-{each}", START + timedelta(weeks=n), f"r/{n}", 1)
        for n, each in enumerate(steps.split())
    ]
    found = course_values(policy, course_of(rows), START, status="active", started_at=START, is_overdue=False)
    assert (found.get(PAST[0]), found.get(PAST[1])) == (not_enough, helped)


@pytest.fixture
async def life(runtime: Runtime) -> AsyncIterator[Course]:
    async with http_of(runtime, service) as client:
        yield Course(runtime, client)


def when(moment: datetime) -> str:
    return moment.date().isoformat()


async def test_rural_from_the_community_to_therapy_and_back_and_again_after_a_relapse(life: Course) -> None:
    await life.on("rural")
    # L1, entry: open to all; mild
    await life.gives(phq9=7, gad7=6, phq15=4, wsas=6)
    await life.moves("rural-l1", "FLOOR-PHQ9-L1", saw={"phq9": "7"})
    # L1, up: symptoms grow, a T2 floor
    await life.passes(weeks=2)
    await life.gives(phq9=12, gad7=6, phq15=4, wsas=9)
    await life.moves("rural-l2", "FLOOR-PHQ9-L2", saw={"phq9": "12"})
    # L2: weekly check-in; no step up before an adequate course, and then for a stall (C)
    await life.gives(phq9=12, gad7=6, phq15=4, wsas=9)
    assert (await life.why()).review[:10] == when(life.now + timedelta(weeks=1))
    # a pause at somebody's own pace: harvest is no time for it
    date = {"valueDate": when(life.now + timedelta(days=10))}
    assert (await life.steers("hold", reason={"valueCode": "not-ready"}, resume_check=date)).status_code == 200
    assert await life.step() == ("rural-l2", "onhold")
    await life.passes(days=11)
    assert (await life.steers("resume")).status_code == 200
    await life.attends(times=3)
    await life.gives(phq9=11, gad7=6, phq15=4, wsas=9)
    assert await life.proposal() is None, "the course is not complete"
    await life.attends(times=3)
    await life.gives(phq9=12, gad7=6, phq15=4, wsas=9)
    await life.moves("rural-l3", "STEP-UP-C-PHQ9", saw={"phq9_stalled": "true"})
    # L3, down: caseness left behind at two measures four weeks apart, and the person agrees
    for _ in range(2):
        await life.attends(times=4)
        await life.gives(phq9=4, gad7=3, phq15=3, wsas=4)
    await life.stays("KEEP-STEP")
    assert (await life.steers("agree", to={"valueCode": "step-down"})).status_code == 200
    await life.moves("rural-l2", "STEP-DOWN", saw={"phq9_sustained": "4", "step_down_agreed": "true"})
    await life.passes(weeks=2)
    await life.gives(phq9=4, gad7=3, phq15=3, wsas=4)
    assert await life.proposal() is None, "what was agreed in one step does not hold for the next"
    assert (await life.steers("agree", to={"valueCode": "step-down"})).status_code == 200
    await life.moves("rural-l1", "STEP-DOWN")
    # L1, exit: two measures four weeks apart below every T1 floor, then people end it
    await life.gives(phq9=3, gad7=2, phq15=2, wsas=2)
    assert (await life.why()).outcome == "exit"
    assert len(await life.tasks("exit-review")) == 1
    await life.ends()
    # a booster finds the person well: nothing begins again, although two layers were not enough the last time
    await life.passes(weeks=5)
    await life.gives(phq9=2, gad7=2, phq15=2, wsas=2)
    assert [each["status"] for each in await life.episodes()] == ["finished"]
    assert [each["status"] for each in await life.tasks("booster")].count("completed") == 1
    # section 2, 14: back within a year without a new referral; two layers were not enough
    await life.passes(weeks=7)
    await life.gives(phq9=13, gad7=6, phq15=4, wsas=12)
    before, after = await life.episodes()
    assert (before["status"], after["status"]) == ("finished", "active")
    why = await life.moves("rural-l3", "MOD-PRIOR-COURSE", saw={"course_without_benefit_step": "2"})
    assert {"RE-ENTRY", "RELAPSE-SIGNAL"} <= why.rules.keys()


async def test_primary_to_specialty_with_a_consult_and_a_bridge_to_a_scarce_place(life: Course) -> None:
    await life.on("primary-to-specialty")
    # S1, entry: any T1 floor
    await life.gives(phq9=8, gad7=6, phq15=6, wsas=8)
    await life.moves("primary-to-specialty-s1", "FLOOR-PHQ9-S1", saw={"phq9": "8"})
    # S1, up: worse means re-triage quickly (B), without waiting for a course
    await life.passes(days=10)
    await life.gives(phq9=15, gad7=6, phq15=6, wsas=9)
    (proposal,) = [each for each in await life.requests() if each["intent"] == "proposal"]
    assert proposal["priority"] == "urgent"
    await life.moves("primary-to-specialty-s2", "STEP-UP-B-PHQ9", saw={"phq9_change": "7"})
    # S2, input: too few contacts for a verdict at the time of response, so an expert is asked without transfer
    for total in (13, 12):
        await life.attends(times=2, every=timedelta(weeks=2))
        await life.gives(phq9=total, gad7=6, phq15=6, wsas=9)
        assert await life.proposal() is None
    await life.stays("STEP-UP-A-EARLY")
    assert await life.beside("psychosomatic-consult") == ["requested"]
    # S2, up: an adequate course by now, and not enough response (A); the place is scarce
    await life.attends(times=2)
    await life.handlers["referral", "capacity-changed"](place("0"), NORTH)
    await life.gives(phq9=13, gad7=6, phq15=6, wsas=9)
    scarce = await life.proposal()
    assert scarce is not None
    assert "need not wait without help" in scarce["patientInstruction"], "said with the first proposal already"
    why = await life.why()
    assert "WAITING-SUPPORT" in why.rules
    assert {"group-psychoeducation", "symptom-monitoring"} <= why.options, "never silence"
    await life.moves("primary-to-specialty-s3", "STEP-UP-A-PHQ9", saw={"attended": "7"}, is_new=False)
    await life.handlers["referral", "capacity-changed"](place("3", version=2), NORTH)
    # S3, down: not while a question of safety is open, which section 8 lets every routine move wait for
    for _ in range(2):
        await life.attends(times=4)
        await life.gives(phq9=4, gad7=3, phq15=3, wsas=4)
    await life.handlers["screening", "safety-alert"](alert(response="r9"), NORTH)
    assert (await life.steers("agree", to={"valueCode": "step-down"})).status_code == 200
    why = await life.why()
    assert (await life.proposal(), why.step) == (None, "primary-to-specialty-s3")
    assert "SAF-1" in why.rules
    await life.handlers["screening", "safety-alert"](alert("low", response="r9"), NORTH)
    why = await life.moves("primary-to-specialty-s2", "STEP-DOWN", saw={"phq9_sustained": "4"})
    assert "SAF-4" in why.rules
    assert "kept" not in why.for_clinicians, "one down is not the present step kept"
    assert (await life.steers("agree", to={"valueCode": "step-down"})).status_code == 200
    await life.moves("primary-to-specialty-s1", "STEP-DOWN")
    # S1, exit as T1
    await life.gives(phq9=3, gad7=2, phq15=2, wsas=2)
    assert (await life.why()).outcome == "exit"
    await life.ends()


async def test_somatic_symptoms_through_four_phases_two_stops_and_a_setback(life: Course) -> None:
    await life.on("somatic-symptom-primary-care")
    # P1, entry: the pair of scores waits until a clinician confirms it by a Condition
    scores = {"phq9": 8, "gad7": 6, "phq15": 12, "ssd12": 15, "sss8": 14, "wsas": 18}
    await life.gives(scores=scores)
    proposal = await life.proposal()
    assert proposal is not None
    assert (proposal["status"], "SOM-ENTRY-PAIR2" in rules(proposal)) == ("on-hold", True), "it says what it waits for"
    assert "SOM-ENTRY-UNKNOWN" not in rules(proposal)
    await life.has_condition("31297008")
    await life.gives("goals", {"goal-words": "walk with friends"}, scores=scores)
    await life.moves("somatic-p1", "SOM-ENTRY-CONDITION", saw={"condition_somatic": "true"})
    # P1, up: symptoms persist after two reviews with goals set
    await life.passes(weeks=2)
    await life.gives(scores=scores)
    await life.stays("SOM-STAY-P1")
    await life.passes(weeks=2)
    await life.gives(scores=scores)
    await life.moves("somatic-p2", "SOM-UP-P1", saw={"step_reviews": "2", "phq15": "12"})
    # track SPEC beside the phase: overwhelming anxiety
    await life.attends(times=2)
    await life.gives(scores={**scores, "gad7": 16})
    await life.stays("SOM-SPEC-GAD7")
    assert await life.beside("specialist") == ["requested"]
    # a new red flag stops what it touches, and is looked at by a physician; the phase goes on
    await life.red_flag()
    assert "SAF-6" in (await life.why()).rules
    assert await life.step() == ("somatic-p2", "active")
    assert await life.beside("medical") == await life.beside("somatic-cbt") == ["requested"]
    await life.red_flag(is_reviewed=True)
    assert "SAF-6" not in (await life.why()).rules
    assert await life.beside("somatic-cbt") == ["completed"], "what rested goes on"
    # P2, up: stalled on function and symptom distress
    await life.attends(times=2)
    await life.gives(scores=scores)
    await life.attends(times=2)
    await life.gives(scores=scores)
    await life.moves("somatic-p3", "SOM-UP-P2", saw={"wsas_stalled": "true", "sss8_stalled": "true"})
    # P3: eases, so its intensity tapers; steady for four weeks, so it is consolidated
    eased = {**scores, "sss8": 9, "wsas": 8}
    await life.attends(times=3)
    await life.gives(scores=eased)
    await life.stays("SOM-P3-TAPER", "modify")
    await life.attends(times=4)
    await life.gives(scores=eased)
    await life.moves("somatic-p4", "SOM-ADVANCE-P4", saw={"wsas_sustained": "8"})
    # P4, a setback: the phase that last helped
    await life.attends(times=3)
    await life.gives(scores={**scores, "wsas": 17})
    await life.moves("somatic-p3", "SOM-SETBACK-FUNCTION", saw={"wsas_change_from_best": "9"})
    for _ in range(2):
        await life.attends(times=4)
        await life.gives(scores=eased)
    await life.moves("somatic-p4", "SOM-ADVANCE-P4")
    # P4, exit: gains hold, a relapse plan is in place, and the person agrees
    await life.attends(times=4)
    await life.gives("pain-phase-checklist", {"relapse-plan": "in-place"}, scores=eased)
    await life.stays("SOM-STAY-P4")
    assert (await life.steers("agree", to={"valueCode": "exit"})).status_code == 200
    why = await life.why()
    assert (why.outcome, "SOM-EXIT" in why.rules) == ("exit", True)
    assert len(await life.tasks("exit-review")) == 1
    await life.ends()
    # re-entry: where help last was enough, and never where people already manage on their own
    await life.passes(weeks=10)
    await life.gives(scores=scores)
    assert await life.proposal() is None, "care begins again when somebody says so"
    await life.on("somatic-symptom-primary-care")
    await life.moves("somatic-p3", "SOM-REENTER", saw={"exit_weeks": "10"})


async def test_chronic_pain_through_its_phases_with_flares_and_a_red_flag(life: Course) -> None:
    await life.on("chronic-pain-rehabilitation")
    scores = {"peg": 6, "phq9": 8, "gad7": 6, "isi": 18, "pseq": 30, "wsas": 18}
    # Start and P1, entry: not before the assessment is done
    await life.gives(scores=scores)
    proposal = await life.proposal()
    assert proposal is not None
    assert (proposal["status"], "PAIN-ENTRY-NOT-ASSESSED" in rules(proposal)) == ("on-hold", True)
    await life.gives("team-review", {"assessment-done": YES}, scores=scores)
    await life.moves("pain-p1", "PAIN-ENTRY", saw={"assessment_done": "true"})

    async def review(*, task: str = "met", flare: str = NO, home: str = "not-agreed", **more: Any) -> None:
        await life.passes(weeks=2)
        form = {"task-met": task, "flare": flare, "home-practice": home, **dict.fromkeys(RED_FLAGS, NO), **more}
        await life.gives("pain-phase-checklist", form, scores=scores)

    # P1, advance: tasks met at two reviews running, no flare open, and no red flag, which somebody has looked at
    await review(**{"new-seizure": "not-assessed"})
    await life.stays("PAIN-STAY-P1")
    await review(**{"new-seizure": "not-assessed"})
    await life.stays("PAIN-STAY-P1")
    assert "PAIN-CHECKLIST-ASK" in (await life.why()).rules, "what nobody has looked at is asked for"
    await review()
    await life.moves("pain-p2a", "PAIN-ADVANCE-P1", saw={"tasks_met_reviews": "3", "red_flag": "false"})
    # P2a, return: a flare makes movement gentler; after the second, back to the dose of P1
    await review(flare=YES)
    await life.stays("PAIN-FLARE", "modify")
    assert await life.beside("guided-movement") == ["requested"]
    await review()
    await review(flare=YES)
    await life.moves("pain-p1", "PAIN-RETURN-P2A", saw={"flares": "2"})
    await review()
    await review()
    await life.moves("pain-p2a", "PAIN-ADVANCE-P1")
    # a red flag: what is done with the body rests until a clinician has looked, and nobody advances
    await review()
    await life.red_flag()
    await review()
    await life.stays("SAF-6", "pause")
    assert await life.beside("medical") == await life.beside("graded-exposure") == ["requested"]
    assert await life.step() == ("pain-p2a", "active")
    await life.red_flag(is_reviewed=True)
    await life.moves("pain-p2b", "PAIN-ADVANCE-P2A", saw={"red_flag": "false"})
    # P2b: the dose of sleep work by ISI; advance when sleep is better and self-efficacy not lower
    await review()
    await life.stays("PAIN-SLEEP-FULL", "modify")
    scores |= {"isi": 12, "pseq": 34, "peg": 5}
    await review()
    await life.moves("pain-p3", "PAIN-ADVANCE-P2B", saw={"isi": "12"})
    # P3, advance: home plan kept, relapse plan written, work in place or not wanted
    await review(home="not-kept")
    await life.stays("PAIN-ACTIVATION", "modify")
    await review(home="kept", **{"relapse-plan": "in-place", "work-plan": "not-wanted"})
    await life.moves("pain-p4", "PAIN-ADVANCE-P3", saw={"home_practice": "kept"})
    # P4: boosters are part of the phase, after 1, 3 and 6 months; with the third and the person's agreement it ends
    assert [each["status"] for each in await life.tasks("booster")] == ["requested"] * 4
    await review(home="kept")
    await life.stays("PAIN-STAY-P4")
    await has_three_boosters(life, scores)
    await life.ends()
    # the last booster goes on after the end: well enough at it; a setback, and back at P3
    await life.passes(weeks=5)
    await life.gives(scores=scores)
    assert await life.proposal() is None, "well enough"
    assert "requested" in [each["status"] for each in await life.tasks("booster")]
    await life.passes(weeks=5)
    await life.gives(scores={**scores, "peg": 8, "phq9": 17})
    why = await life.moves("pain-p3", "PAIN-REENTER", saw={"exit_weeks": "10"})
    assert {"PAIN-INPUT-PEG", "PAIN-INPUT-PHQ9"} <= why.rules.keys()
    assert "requested" not in [each["status"] for each in await life.tasks("booster")], "reviews take its place"


async def has_three_boosters(life: Course, scores: Mapping[str, int]) -> None:
    """Two weeks into the last phase of pain rehabilitation: each booster by the measures that come once it is due."""
    for done, days in enumerate((17, 61, 91), start=1):
        assert "PAIN-EXIT" not in (await life.why()).rules
        assert (await life.steers("agree", to={"valueCode": "exit"})).status_code == 200
        await life.passes(days=days)
        await life.gives(scores=scores)
        booster = [each["status"] for each in await life.tasks("booster")]
        assert sorted(booster) == ["completed"] * done + ["requested"] * (4 - done)
    why = await life.why()
    assert (why.outcome, why.deciding_rule) == ("exit", "PAIN-EXIT")
    assert why.rules["PAIN-EXIT"]["boosters_done"] == "3"
    assert [each["status"] for each in await life.tasks("exit-review")] == ["requested"], (
        "with the third booster itself"
    )


def place(starts: str, version: int = 1) -> Any:
    """Topic capacity-changed: so many can begin in a week at places of tier 3."""
    capacity = [{"url": "weekly-starts", "valueDecimal": Decimal(starts)}]
    body = {
        "resourceType": "HealthcareService",
        "id": "h1",
        "meta": {"versionId": str(version)},
        "extension": [{"url": extension_url("service-capacity"), "extension": capacity}],
        "category": [{"coding": [{"system": code_system("tier"), "code": "tier-3"}]}],
    }
    return received(topic("capacity-changed"), [(f"{URLS['referral']}/HealthcareService/h1", body)])
