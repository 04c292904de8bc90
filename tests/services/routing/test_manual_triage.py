"""Promises of SAF-7: where a person must decide, no score does; care goes on once a person has said so."""

import pytest
from stepwell_screening import safety_builders
from stepwell_screening.instruments import safety_policy
from stepwell_screening.rules.safety import found
from stepwell_screening.safety_builders import SafetyCause
from stepwell_shared.canonical import topic
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import CLINICIAN, OPENED, Resource, activities, hear, requests, rules, scored, tier
from tests.support.runtime import URLS, received


def triage(concern: str, outcome: str | None = None) -> ReceivedEvent:
    """Topic safety-alert: a person raised this concern, or a clinician has recorded what came of it."""
    policy = safety_policy()
    kind = policy.concerns[concern]
    finding = found(kind.rule, concern, kind.topic, OPENED)
    cause = SafetyCause(finding, "Patient/p1", {"reference": "Patient/p1"}, "2026-11-21T08:50:00Z", OPENED)
    risk: Resource = safety_builders.risk_assessment(assessment_id="t1", cause=cause, policy=policy)
    task: Resource = safety_builders.safety_task(task_id="task-t1", assessment="RiskAssessment/t1", cause=cause)
    version = "1"
    if outcome is not None:
        result, version = policy.outcomes[outcome], "2"
        risk = safety_builders.final_risk_assessment(risk, result=result, recorded=OPENED, clinician=CLINICIAN)
        task = safety_builders.completed_task(task, result=result, recorded=OPENED, clinician=CLINICIAN)
    entries = [
        (f"{URLS['screening']}/{each['resourceType']}/{each['id']}", {**each, "meta": {"versionId": version,
         "lastUpdated": "2026-11-21T08:55:00Z"}}) for each in (task, risk)
    ]  # fmt: skip
    return received(topic("safety-alert"), entries)


@pytest.mark.parametrize("concern", ["psychosis-or-mania", "perinatal"])
@pytest.mark.parametrize("first", ["triage", "score"])
async def test_no_score_decides_where_a_person_must(runtime: Runtime, concern: str, first: str) -> None:
    events = [triage(concern), scored(3)]
    await hear(runtime, *(events if first == "triage" else reversed(events)))
    (request,) = [each for each in await requests(runtime) if each["status"] != "revoked"]
    assert request["status"] == "on-hold"
    assert any(rule.startswith("SAF-7") for rule in rules(request))
    assert tier(request) == "tier-1"


async def test_care_goes_on_once_a_person_has_decided(runtime: Runtime) -> None:
    await hear(runtime, triage("psychosis-or-mania"), scored(16))
    await hear(runtime, triage("psychosis-or-mania", "resolved"))
    (request,) = [each for each in await requests(runtime) if each["status"] != "revoked"]
    assert (request["status"], tier(request)) == ("active", "tier-3")
    assert not [rule for rule in rules(request) if rule.startswith("SAF-7")]
    assert (await activities(runtime))[-1] in {"assign", "modify"}
