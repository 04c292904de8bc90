"""One table of truth: every name that a shipped policy declares arrives in live decisions, by the real handlers."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import httpx
import pytest
from stepwell_routing.app import service
from stepwell_routing.data.answers import readings
from stepwell_routing.policies import active_policies
from stepwell_routing.rules.decisions import decide
from stepwell_routing.rules.evidence import Evidence
from stepwell_routing.rules.evidence_names import CODES, NAMES, known
from stepwell_routing.rules.policies import Input, Policy
from stepwell_routing.tables import AGREED, EXIT, SAID, STEP, Known
from stepwell_routing.use_cases.choosing import CHOSEN_OPTION, CHOSEN_STEP
from stepwell_routing.use_cases.course import AGREEMENTS, course_of, course_values
from stepwell_routing.use_cases.derivations import DERIVATIONS
from stepwell_routing.use_cases.evidence import gather, outcome_rows
from stepwell_routing.use_cases.knowledge import Situation, evidence_of, known_of
from stepwell_routing.use_cases.persons import surroundings
from stepwell_screening.data import questionnaire, scoring, shipped, skeletons
from stepwell_shared.canonical import code_system, extension_url, instant, topic
from stepwell_shared.runtime import Runtime

from tests.services.routing.caring import add_person
from tests.services.routing.hearing import PATIENT, Resource, activities, requests
from tests.services.routing.test_clinical import CONDITION, MEDICINE
from tests.services.routing.test_lives import flagged
from tests.support.runtime import NORTH, START, URLS, http_of, received, token

EHR = token(NORTH, "ehr")
POLICIES = sorted(active_policies())
DECLARED = [(name, item.name) for name in POLICIES for item in active_policies()[name].inputs]
NOW = START
RISK = frozenset({"positive_safety_item_open", "unanswered_safety_item_open", "risk_level"})
YES = {"valueCoding": {"code": "LA33-6"}}
NUMBERS = {"whodas": 12, "gph": 40, "gmh": 40, "pi4a": 55, "sd4a": 55, "tsk11": 30, "peg": 4}


def answered(form: str) -> Resource:
    """The form with every question answered by its first option but "not assessed", or by a number or words."""

    def fill(items: Any) -> list[Resource]:
        found: list[Resource] = []
        for item in items:
            options = item.get("answerOption")
            if item["type"] in {"group", "display"} or ("item" in item and item["type"] == "group"):
                found.append({"linkId": item["linkId"], "item": fill(item.get("item", ()))})
            elif options:
                found.append({"linkId": item["linkId"], "answer": [{"valueCoding": options[0]["valueCoding"]}]})
            else:
                value = {"valueInteger": 3} if item["type"] in {"integer", "decimal"} else {"valueString": "walk"}
                found.append({"linkId": item["linkId"], "answer": [value]})
        return found

    url = f"https://stepwell.health/fhir/Questionnaire/{form}|1.0.0"
    if form == "c-ssrs-screener":  # a skeleton: its words are the site's
        return {"questionnaire": url, "item": [{"linkId": "/93247-5", "answer": [YES]}]}
    return {"questionnaire": url, "item": fill(questionnaire(form)["item"])}


def score(name: str, response: str, given: datetime) -> Resource:
    ((system, code),) = CODES[name]
    value: Resource = {"valueQuantity": {"value": NUMBERS.get(name, 3)}}
    if name == "asq":
        value = {"valueCodeableConcept": {"coding": [{"system": code_system("band"), "code": "asq-negative"}]}}
    return {
        "resourceType": "Observation",
        "id": f"{response}-{code}",
        "meta": {"source": f"{URLS['screening']}/QuestionnaireResponse/{response}/_history/1"},
        "status": "final",
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": PATIENT,
        "effectiveDateTime": instant(given),
        **value,
    }


class Telling:
    """The services around routing, which tell it everything that they know of one person."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.handlers = service.listens(runtime)

    @property
    def now(self) -> datetime:
        return self.runtime.clock()

    async def tell(self, sender: str, name: str, *resources: Resource) -> None:
        """The focus first, as the sender's event has it."""
        entries = []
        for each in resources:
            owner = "measurement" if each["resourceType"] == "Observation" else sender
            entries.append((f"{URLS[owner]}/{each['resourceType']}/{each['id']}", each))
        await self.handlers[sender, name](received(topic(name), entries), NORTH)

    async def answers(self, id_: str, body: Resource, scores: tuple[str, ...] = ()) -> None:
        """A response comes in, with its scores and who the person is."""
        now = self.now
        response = {
            "resourceType": "QuestionnaireResponse",
            "id": id_,
            "meta": {"versionId": "1"},
            "status": "completed",
            "authored": instant(now),
            "subject": {"reference": "Patient/p1"},
            **body,
        }
        person = {
            "resourceType": "Patient",
            "id": "p1",
            "meta": {"versionId": "1"},
            "birthDate": "1980-11-30",
            "gender": "female",
        }
        found = [score(each, id_, now) for each in scores]
        await self.tell("screening", "score-finalized", response, *found, person)

    async def everything(self) -> None:
        """Scores, every form of ours, a consent, a referral with a promise, places, and a change that is reliable."""
        await self.answers("scores", {}, tuple(sorted(CODES)))
        for form in (*shipped(), "c-ssrs-screener"):
            await self.answers(form, answered(form))
        family = {"type": "permit", "actor": [{"reference": {"reference": "RelatedPerson/r1"}}]}
        await self.tell(
            "screening",
            "consent-changed",
            {
                "resourceType": "Consent",
                "id": "c1",
                "meta": {"versionId": "1"},
                "status": "active",
                "patient": {"reference": "Patient/p1"},
                "provision": family,
            },
        )
        await self.tell("referral", "referral-changed", self.referral())
        await self.tell("referral", "capacity-changed", self.place())
        for completed in (False, True):
            alerts = service.listens(self.runtime)["screening", "safety-alert"]
            await alerts(flagged("SAF-7", self.now, completed=completed), NORTH)

    def referral(self, **members: Any) -> Resource:
        now = self.now
        promise = [{"url": "upper", "valueDuration": {"value": 21}}]
        return {
            "resourceType": "Task",
            "id": "t1",
            "meta": {"versionId": "1"},
            "status": "requested",
            "focus": {"reference": f"{URLS['routing']}/ServiceRequest/s1"},
            "for": PATIENT,
            "lastModified": instant(now),
            "restriction": {"period": {"end": instant(now + timedelta(days=21))}},
            "extension": [{"url": extension_url("wait-promise"), "extension": promise}],
            **members,
        }

    def place(self, starts: str = "3.5", version: int = 1, **members: Any) -> Resource:
        capacity = [{"url": "weekly-starts", "valueDecimal": Decimal(starts)}]
        return {
            "resourceType": "HealthcareService",
            "id": "h1",
            "meta": {"versionId": str(version)},
            "extension": [{"url": extension_url("service-capacity"), "extension": capacity}],
            "category": [{"coding": [{"system": code_system("tier"), "code": "tier-2"}]}],
            **members,
        }

    async def evidence(self, name: str, rows: list[Known] | None = None, subject: str = "Patient/p1") -> Evidence:
        """What a decision by this policy would be made from now."""
        policy, now = active_policies()[name], self.now
        around = await surroundings(self.runtime, NORTH, policy, "Organization/valley", subject, None)
        kept = [*await known_of(self.runtime, NORTH, subject), *around, *(rows or [])]
        situation = Situation("active", now - timedelta(days=90), "EpisodeOfCare/e1")
        return evidence_of(policy, kept, course_of(kept), situation, now)


@pytest.fixture
async def telling(runtime: Runtime) -> Telling:
    return Telling(runtime)


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    await add_person(runtime)
    async with http_of(runtime, service) as client:
        yield client


@cache
def computed_scores() -> frozenset[tuple[str, str]]:
    """The codes of every score that screening computes."""
    scores = (each for form in (*shipped(), *skeletons()) for each in scoring(form)["scores"])
    return frozenset((each["code"]["system"], each["code"]["code"]) for each in scores)


def with_inputs(*names: str) -> Policy:
    """A shipped policy that asks for these names instead."""
    asked = [known(name) for name in names]
    inputs = [
        Input(name, each.kind, each.resource_type, (), None)
        for name, each in zip(names, asked, strict=True)
        if each is not None
    ]
    return replace(active_policies()["stepped-care"], inputs=tuple(inputs), derived={})


def course_rows(policy: Policy, now: datetime) -> list[Known]:
    """A life in steps, as accepted plans, agreements and choices leave it: up, down, an end, and up again."""

    def row(name: str, value: str, days: int) -> Known:
        return Known(name, value, now - timedelta(days=days), f"ServiceRequest/{name}-{days}", 1)

    first, second = policy.steps[0].code, policy.steps[1].code
    steps = [row(STEP, first, 200), row(STEP, second, 170), row(STEP, first, 140), row(EXIT, first, 120)]
    agreed = [row(AGREED + code, "true", 1) for code in AGREEMENTS]
    return [*steps, row(STEP, first, 60), row(STEP, second, 30), *agreed, row(CHOSEN_STEP, "1", 1)]


@pytest.mark.parametrize(("policy", "name"), DECLARED)
def test_every_declared_score_is_one_that_screening_computes(policy: str, name: str) -> None:
    """By its codes in the policy, else by the usual ones, which are those of the same instrument."""
    found, item = known(name), next(each for each in active_policies()[policy].inputs if each.name == name)
    assert found is not None
    if name in CODES:
        assert set(item.codes or CODES[name]) <= computed_scores()
        assert not item.codes or set(item.codes) == set(CODES[name])


def test_every_name_of_the_list_has_a_source() -> None:
    """Scores, answers, what is counted, the course, and what people choose or consent to; a new name needs one too."""
    answers = {each.name for form in readings().values() for each in form}
    course = set(
        course_values(with_inputs(*NAMES), course_of([]), NOW, status="active", started_at=NOW, is_overdue=True)
    )
    course |= set(
        course_values(
            with_inputs(*NAMES),
            course_of(course_rows(active_policies()["stepped-care"], NOW)),
            NOW,
            status="onhold",
            started_at=NOW,
            is_overdue=False,
        )
    )
    chosen = {CHOSEN_OPTION, CHOSEN_STEP, f"{SAID}family_takes_part"}
    said = {each.removeprefix(SAID) for each in chosen} | {"red_flag", "manual_triage"}  # once people have looked
    held = {"paused_weeks", "capacity"}  # test_lives: while a hold stands; test_places: that of the proposed step
    assert not NAMES.keys() - CODES.keys() - answers - DERIVATIONS.keys() - course - said - held - RISK


def test_what_the_last_decision_came_to_is_kept_where_the_policy_asks_for_it() -> None:
    asking, quiet = with_inputs("previous_outcome"), active_policies()["stepped-care"]
    decision = decide(quiet, Evidence(), NOW)
    assert outcome_rows(quiet, decision, "Provenance/1") == []
    found = gather(asking, outcome_rows(asking, decision, "Provenance/1"), now=NOW)
    assert found.values["previous_outcome"].value == decision.outcome == "assign"


async def test_every_declared_name_is_gathered_from_what_really_arrives(
    telling: Telling, http: httpx.AsyncClient
) -> None:
    patient = {"resourceType": "Patient", "id": "p1", "meta": {"versionId": "2"}, "birthDate": "1980-11-30"}
    await telling.tell("screening", "patient-changed", {**patient, "gender": "female"})
    await telling.everything()
    for resource in (CONDITION, MEDICINE):
        body = {**resource, "id": "x1", "subject": {"reference": "Patient/p1"}}
        answer = await http.put(f"{resource['resourceType']}/x1", json=body, headers=EHR)
        assert answer.status_code == 201, answer.text
    for name in POLICIES:
        policy = active_policies()[name]
        evidence = await telling.evidence(name, course_rows(policy, telling.now))
        missing = {item.name for item in policy.inputs} - evidence.values.keys() - RISK - {"capacity"}
        assert not missing, name
        assert bool(evidence.places) is bool(policy.asks_places), "capacity is that of the step which is proposed"
        assert (evidence.values["age"].value, evidence.values["sex"].value) == (45, "female")


async def test_what_nobody_has_said_is_missing_and_never_zero(telling: Telling) -> None:
    quiet = {"paused", "review_overdue", "episode_status", "episode_weeks", "site"}  # what routing itself keeps
    for name in POLICIES:
        found = await telling.evidence(name, subject="Patient/nobody")
        assert found.values.keys() <= quiet


async def test_who_waits_waits_no_more_once_care_has_begun(telling: Telling) -> None:
    await telling.tell("referral", "referral-changed", telling.referral())
    assert (await telling.evidence("rural")).values["wait_days"].value == 21
    begun = telling.referral(status="in-progress", meta={"versionId": "2"})
    await telling.tell("referral", "referral-changed", begun)
    assert "wait_days" not in (await telling.evidence("rural")).values


async def test_capacity_is_that_of_the_places_of_the_step_by_their_newest_version(telling: Telling) -> None:
    await telling.tell("referral", "capacity-changed", telling.place("3.5"))
    await telling.tell("referral", "capacity-changed", telling.place("0", 3))
    await telling.tell("referral", "capacity-changed", telling.place("9", 2))
    assert (await telling.evidence("rural")).places["tier-2"].value == 0
    assert not (await telling.evidence("chronic-pain-rehabilitation")).places


async def test_a_withdrawn_consent_takes_family_out_again(telling: Telling) -> None:
    await telling.everything()
    assert (await telling.evidence("rural")).values["family_takes_part"].value is True
    consent = {"resourceType": "Consent", "id": "c1", "status": "inactive", "patient": {"reference": "Patient/p1"}}
    await telling.tell("screening", "consent-changed", {**consent, "meta": {"versionId": "2"}})
    assert "family_takes_part" not in (await telling.evidence("rural")).values


async def test_answers_that_count_begin_no_course_and_are_decided_on_within_one(telling: Telling) -> None:
    await telling.answers("first", answered("preference-and-barriers"))
    await telling.answers("diary", answered("tracker"))
    assert await requests(telling.runtime) == []
    await telling.answers("scores", {}, ("phq9",))
    await telling.answers("diary-2", answered("tracker"))
    await telling.answers("second", answered("goals"))
    assert await activities(telling.runtime) == ["assign", "stay"]
