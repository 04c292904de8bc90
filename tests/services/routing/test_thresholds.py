"""Promises of trying a cut-off: a draft differs in one value, and measurement can read what the simulation says."""

import httpx
import pytest
from stepwell_measurement.rules.thresholds import Tried, trial_of
from stepwell_routing.policies import policy_document
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.cli.thresholds import draft_with, in_force, question
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import hear, scored
from tests.services.routing.test_simulating import ANALYST
from tests.support.runtime import URLS

NAME = "phq9_tier_3_minimum"


def test_what_is_no_cut_off_of_the_policy_is_not_tried() -> None:
    policy = policy_document("stepped-care")
    for name in ("absent", "phq9_tier_4_needs_more", ""):
        with pytest.raises(SetupError):
            in_force(policy, name)
    assert in_force(policy, NAME) == 16


def test_a_draft_differs_in_one_value_and_its_bounds_alone() -> None:
    policy = policy_document("stepped-care")
    assert draft_with(policy, NAME, 16) == policy
    draft = draft_with(policy, NAME, 13)
    changed = [(one, other) for one, other in zip(policy["extension"], draft["extension"], strict=True) if one != other]
    assert len(changed) == 1
    values = {part["url"]: part.get("valueInteger") for part in changed[0][1]["extension"]}
    assert (values["value"], values["minimum"], values["maximum"]) == (13, 13, 16)
    assert {**draft, "extension": ()} == {**policy, "extension": ()}
    assert in_force(policy, NAME) == 16


async def test_a_lower_cut_off_offers_more_care_and_what_routing_says_is_what_measurement_reads(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    for number in range(12):
        subject = {"reference": f"{URLS['screening']}/Patient/p{number}"}
        await hear(runtime, scored(14 if number < 7 else 6, f"r{number}", subject=subject))
    policy, trials = policy_document("stepped-care"), {}
    asked = {"start": "2026-11-01", "end": "2026-12-01", "cohort": ""}
    for value in (13, 16):
        body = question(draft_with(policy, NAME, value), asked, ["tier-3:1:4"])
        answer = await http.post("PlanDefinition/$simulate", json=body, headers=ANALYST)
        assert answer.status_code == 200, answer.text
        trials[value] = trial_of(answer.json(), Tried("stepped-care", NAME, value, 16))
    same, lower = trials[16], trials[13]
    assert (same.more_care, same.less_care, same.promises_broken, same.is_synthetic) == (0, 0, 0, False)
    assert (lower.more_care, lower.less_care, lower.promises_broken) == (5, 0, 0)
    assert (dict(same.steps)["tier-2"], dict(lower.steps)["tier-3"]) == (5, 5)
    assert (lower.start, lower.end) == ("2026-11-01", "2026-12-01")
    loads = {each.step: each for each in lower.loads}
    assert loads["tier-3"].arrivals is not None
    assert loads["tier-3"].use is not None
    assert loads["tier-3"].wait_weeks is not None
    assert loads["tier-1"].wait_weeks is None
