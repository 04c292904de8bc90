"""Promises of `$explain` and `$apply` over HTTP: who may ask, what is said in which words, and that nothing happens."""

import httpx
import pytest
from stepwell_routing.policies import policy_document
from stepwell_shared.fhir import validation
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import PATIENT, Resource, everything, hear, scored
from tests.support.runtime import NORTH, SOUTH, token

CLINICIAN = token(NORTH, "clinician", "Practitioner/dr-1")


def about(**supplied: int) -> Resource:
    rows: list[Resource] = [{"name": "subject", "valueReference": PATIENT}]
    rows.append({"name": "policy", "resource": policy_document("stepped-care")})
    for name, value in supplied.items():
        parts = [{"name": "name", "valueString": name}, {"name": "value", "valueInteger": value}]
        rows.append({"name": "evidence", "part": parts})
    return {"resourceType": "Parameters", "parameter": rows}


async def ask(http: httpx.AsyncClient, name: str, body: Resource, **headers: str) -> httpx.Response:
    return await http.post(f"PlanDefinition/${name}", json=body, headers=CLINICIAN | headers)


def said(answer: Resource, name: str) -> list[Resource]:
    return [row for row in answer["parameter"] if row["name"] == name]


@pytest.mark.parametrize("name", ["apply", "explain"])
async def test_only_who_may_read_scores_and_assignments_is_told(http: httpx.AsyncClient, name: str) -> None:
    for headers, status in (({}, 401), (token(NORTH, "analyst"), 403), (token(NORTH, "patient"), 403)):
        answer = await http.post(f"PlanDefinition/${name}", json=about(phq9=16), headers=headers)
        assert answer.status_code == status


async def test_what_is_no_question_is_refused_with_its_place(http: httpx.AsyncClient) -> None:
    nobody = {**about(), "parameter": about()["parameter"][1:]}
    wrong = about(phq9=16)
    wrong["parameter"][-1]["part"][1] = {"name": "value", "valueString": "many"}
    for body, place in ((nobody, "subject"), (about(height=180), "evidence"), (wrong, "evidence")):
        answer = await ask(http, "explain", body)
        assert answer.status_code == 400
        assert place in answer.json()["issue"][0]["expression"][0]


async def test_every_rule_is_named_fired_or_not(http: httpx.AsyncClient) -> None:
    answer = (await ask(http, "explain", about(phq9=16))).json()
    codes = [
        part["valueCode"]
        for name in ("rule-fired", "rule-not-fired")
        for row in said(answer, name)
        for part in row["part"]
        if part["name"] == "code"
    ]
    groups = policy_document("stepped-care")["action"]
    rules = [
        coding["code"]
        for group in groups
        for action in group.get("action", ())
        for code in action["code"]
        for coding in code["coding"]
        if coding["system"].endswith("/CodeSystem/rule")
    ]
    assert sorted(codes) == sorted(rules)


async def test_the_reason_carries_its_values_and_what_would_change_it(http: httpx.AsyncClient) -> None:
    answer = (await ask(http, "explain", about(phq9=16))).json()
    (step,) = said(answer, "step")
    assert step["valueCoding"]["code"] == "tier-3"
    assert "16" in said(answer, "reason-for-clinicians")[0]["valueString"]
    changes = [{part["name"]: part for part in row["part"]} for row in said(answer, "would-change")]
    assert {"15", "tier-2"} in [{each["instead"]["valueString"], each["step"]["valueCode"]} for each in changes]
    assert said(answer, "option")


async def test_words_come_in_the_language_that_is_asked_for(http: httpx.AsyncClient) -> None:
    english = (await ask(http, "explain", about(phq9=16))).json()
    german = (await ask(http, "explain", about(phq9=16), **{"Accept-Language": "de-AT,de;q=0.9"})).json()
    for name in ("reason-for-clinicians", "reason-for-the-person"):
        assert said(english, name) != said(german, name)


async def test_what_is_kept_counts_and_what_is_supplied_comes_first(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(16))
    kept = (await ask(http, "explain", about())).json()
    instead = (await ask(http, "explain", about(phq9=6))).json()
    assert said(kept, "step")[0]["valueCoding"]["code"] == "tier-3"
    assert said(instead, "step")[0]["valueCoding"]["code"] == "tier-1"


async def test_another_tenants_evidence_explains_nothing_here(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(16))
    headers = token(SOUTH, "clinician", "Practitioner/dr-1")
    answer = (await http.post("PlanDefinition/$explain", json=about(), headers=headers)).json()
    assert "16" not in said(answer, "reason-for-clinicians")[0]["valueString"]


async def test_a_policy_is_applied_as_a_plan_with_options_and_nothing_is_stored(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await hear(runtime, scored(16))
    before = await everything(runtime, NORTH)
    answer = await ask(http, "apply", about())
    assert answer.status_code == 200
    validation.check(answer.content, "CarePlan")
    plan = answer.json()
    (activity,) = plan["activity"]
    group, *options = plan["contained"]
    assert activity["reference"]["reference"] == f"#{group['id']}"
    assert group["resourceType"] == "RequestGroup"
    assert {option["intent"] for option in options} == {"option"}
    assert [a["resource"]["reference"][1:] for a in group["action"][0]["action"]] == [o["id"] for o in options]
    assert await everything(runtime, NORTH) == before
