"""What reviewers need to know of a person, gathered from what routing keeps. What is not known stays unknown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from stepwell_shared.runtime import Runtime

from stepwell_routing.builders import case_reviews
from stepwell_routing.builders.econsults import ANSWER, CASE_REVIEW, QUESTION
from stepwell_routing.rules.decisions import EvidenceValue
from stepwell_routing.rules.evidence_names import CAPACITY
from stepwell_routing.rules.expressions import Scalar
from stepwell_routing.rules.policies import Policy
from stepwell_routing.tables import EXIT, HOLD, MANUAL_TRIAGE, RED_FLAG, RISK, STEP, Known
from stepwell_routing.use_cases.derivations import places_by_tier, rows_of
from stepwell_routing.use_cases.evidence import LEVELS, is_score, newest_versions
from stepwell_routing.use_cases.governing import governing_now
from stepwell_routing.use_cases.knowledge import evidence_now, known_of
from stepwell_routing.use_cases.persons import places_kept, surroundings
from stepwell_routing.use_cases.standing import Standing, key_of, standing_of

DECISIONS_MAX, TASKS_MAX = 20, 500

_REQUESTS = """SELECT body FROM fhir_servicerequest WHERE p_patient = $1 AND body IS NOT NULL
  ORDER BY last_updated DESC LIMIT $2"""
_PLANS = """SELECT body FROM fhir_careplan WHERE p_patient = $1 AND body IS NOT NULL AND p_status = 'active'
  ORDER BY last_updated DESC LIMIT $2"""
_MESSAGES = """SELECT body FROM fhir_communication WHERE p_patient = $1 AND body IS NOT NULL
  ORDER BY last_updated DESC LIMIT $2"""
_TOLD = "SELECT body FROM fhir_task WHERE p_status = 'requested' AND body IS NOT NULL ORDER BY p_due_low, id LIMIT $1"

Resource = dict[str, Any]


@dataclass(frozen=True)
class Course:
    """One measure over time, the oldest first."""

    name: str
    values: Sequence[tuple[datetime, str]]


@dataclass(frozen=True)
class Sheet:
    """Everything on one page. `values` are the evidence by the names of the policy, `safety` what is open."""

    task: Resource
    pathway: str
    courses: Sequence[Course]
    steps: Sequence[tuple[datetime, str, str]]
    requests: Sequence[Resource]
    safety: Sequence[tuple[datetime, str]]
    values: Mapping[str, Scalar]
    plans: Sequence[Resource]
    messages: Sequence[Resource]
    standing: Standing


async def sheet_of(runtime: Runtime, tenant: str, task: Resource) -> Sheet:
    """The sheet of the person whom a review Task is about."""
    key, now = key_of(runtime, task["for"]), runtime.clock()
    standing = await standing_of(runtime, tenant, key)
    known = await known_of(runtime, tenant, key)
    rows = newest_versions(known)
    async with runtime.database.transaction(tenant) as connection:
        requests, plans, messages = [
            [orjson.loads(row["body"]) for row in await connection.fetch(statement, key, DECISIONS_MAX)]
            for statement in (_REQUESTS, _PLANS, _MESSAGES)
        ]
    governed = await governing_now(runtime, tenant, standing, key)
    policy = governed.policy
    around = await surroundings(runtime, tenant, policy, governed.site, key, None)
    places = places_by_tier(rows_of(newest_versions(await places_kept(runtime, tenant)), now))
    return Sheet(
        task=task,
        pathway=policy.pathway,
        courses=_courses(policy, rows),
        steps=_steps(policy, rows),
        requests=requests,
        safety=[(row.observed_at, str(row.value)) for row in rows if _is_safety(row)],
        values=_values(policy, [*known, *around], standing, places, now),
        plans=plans,
        messages=[each for each in messages if _is_said(each)],
        standing=standing,
    )


async def told_by_rules(runtime: Runtime, tenant: str) -> list[Resource]:
    """Open reviews of a course whose rules name the case review, the one that is due first on top."""
    async with runtime.database.transaction(tenant) as connection:
        tasks = [orjson.loads(row["body"]) for row in await connection.fetch(_TOLD, TASKS_MAX)]
    told = [
        task
        for task in tasks
        if any(each.get("text") == case_reviews.REVIEW for each in task.get("performerType", ()))
        and "restriction" in task
    ]
    return sorted(told, key=lambda task: str(task["restriction"]["period"]["end"]))


def _courses(policy: Policy, rows: Sequence[Known]) -> list[Course]:
    names = {f"{system}|{code}": item.name for item in policy.inputs for system, code in item.codes}
    found: dict[str, list[tuple[datetime, str]]] = {}
    for row in rows:
        if is_score(row) and row.value is not None:
            found.setdefault(names.get(row.name, row.name.rpartition("|")[2]), []).append((row.observed_at, row.value))
    return [Course(name, sorted(values)) for name, values in sorted(found.items())]


def _steps(policy: Policy, rows: Sequence[Known]) -> list[tuple[datetime, str, str]]:
    """Entered, held and left, in order: when, what, and what the step is called."""
    displays = {step.code: step.offering.display.get("en", step.code) for step in policy.steps}
    found = [
        (row.observed_at, row.name.rpartition("/")[2], displays.get(str(row.value), str(row.value)))
        for row in rows
        if row.name in {STEP, HOLD, EXIT} and row.value is not None
    ]
    return sorted(found)


def _is_safety(row: Known) -> bool:
    return row.name in {RISK, RED_FLAG, MANUAL_TRIAGE} and row.value is not None and row.value not in LEVELS


def _values(
    policy: Policy,
    known: Sequence[Known],
    standing: Standing,
    places: Mapping[str, EvidenceValue],
    now: datetime,
) -> dict[str, Scalar]:
    """All that is known, the places of the step that leads, and the level of risk that was recorded last."""
    evidence = evidence_now(policy, known, standing, now)
    found = {name: each.value for name, each in evidence.values.items()}
    leading = standing.proposal or standing.plan
    if leading is not None and leading.tier in places:
        found[CAPACITY] = places[leading.tier].value
    return found if evidence.risk.level is None else {**found, "risk_level": evidence.risk.level}


def _is_said(message: Mapping[str, Any]) -> bool:
    """Choices of the person, and questions among colleagues."""
    codes = {
        coding.get("code")
        for each in message.get("category", ())
        for coding in each.get("coding", ())
        if coding.get("system") == CASE_REVIEW
    }
    return not codes.isdisjoint({"choose", QUESTION, ANSWER})
