"""`stepwell policy` at routing's operations: a refusal has its place, a trial its figures, a version its state."""

import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.cli.policy import Policies, broken, id_of, problems, read_file, rows_of

from tests.services.routing.rules.shipped import rule_action
from tests.services.routing.rules.test_simulation import without_safety
from tests.services.routing.test_publishing import URL, policy, setting
from tests.support.runtime import NORTH, token

LEAD = token(NORTH, "analyst")["Authorization"].removeprefix("Bearer ")
WRITER = token(NORTH, "ehr", "Practitioner/lead-1")["Authorization"].removeprefix("Bearer ")


@asynccontextmanager
async def policies_of(http: httpx.AsyncClient, bearer: str = WRITER) -> AsyncIterator[Policies]:
    yield Policies(http, str(http.base_url).rstrip("/"), bearer)


async def test_a_policy_that_could_not_leave_draft_is_refused_with_each_place(http: httpx.AsyncClient) -> None:
    document = copy.deepcopy(policy())
    rule_action(document, "SAF-1")["condition"][0]["expression"]["expression"] = "%nobody"
    async with policies_of(http) as policies:
        with pytest.raises(SetupError, match=r"PlanDefinition.action\[1\].action\[0\].condition\[0\]"):
            await policies.validate(document)
        with pytest.raises(SetupError, match="between 15 and 16"):
            await policies.validate(setting(9))
        await policies.validate(policy())
        await policies.validate(setting(15))
        assert [each for each in await policies.all() if each["url"] == URL] == []


async def test_a_version_goes_from_shadow_into_force_and_is_found_by_name(http: httpx.AsyncClient) -> None:
    async with policies_of(http) as policies:
        with pytest.raises(SetupError, match="shadow"):
            await policies.publish(policy(), "active")
        for state, stands in (
            ("shadow", ("active", True)),
            ("active", ("active", False)),
            ("retired", ("retired", False)),
        ):
            stored = await policies.publish(policy(), state)
            assert (stored["status"], stored["experimental"]) == stands
        assert (await policies.read("stepped|1"))["id"] == "own-1"
        with pytest.raises(SetupError, match="There is no policy nothing"):
            await policies.read("nothing|1")
        with pytest.raises(SetupError):
            await policies.read("nothing")


async def test_a_trial_tells_its_figures_and_counts_broken_promises(http: httpx.AsyncClient) -> None:
    asked: list[dict[str, Any]] = [
        {"name": "cohort", "valueString": "synthetic"},
        {"name": "people", "valueInteger": 200},
    ]
    capacity = {"name": "capacity", "valueString": "tier-3:1:4"}
    async with policies_of(http, LEAD) as policies:
        report = await policies.simulate(policy(), [*asked, capacity])
        unsafe = await policies.simulate({**without_safety(), "version": "1.0.1"}, asked)
    rows = list(rows_of(report))
    assert rows[0] == ("safety-promises-broken", "", "0")
    assert sum(int(much) for name, who, much in rows if name == "proposed-steps" and who) == 200
    assert any(name == "moves" and who.startswith("present ") for name, who, _ in rows)
    assert any(name == "arrivals-per-week" and much.endswith("/wk") for name, who, much in rows if who)
    assert (broken(report), broken(unsafe) > 0) == (0, True)


def test_a_file_that_is_no_policy_is_refused_and_one_without_an_id_gets_one(tmp_path: Path) -> None:
    assert read_file(tmp_path / "none.json") is None
    file = tmp_path / "policy.json"
    for content, words in (
        ("{", "is not JSON"),
        ("[]", "holds no PlanDefinition"),
        ('{"resourceType":"Basic"}', "holds no"),
    ):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(SetupError, match=words):
            read_file(file)
    file.write_text(json.dumps({"resourceType": "PlanDefinition", "url": "https://a/My_plan", "version": "2"}))
    assert (read_file(file) or {})["id"] == "My-plan-2"
    assert id_of({"url": "https://a/" + "x" * 100, "version": "1"}) == "x" * 64


def test_a_refusal_names_each_problem_on_a_line() -> None:
    issues = [{"expression": ["PlanDefinition.url"], "diagnostics": "one"}, {"diagnostics": "two"}]
    assert problems(422, {"issue": issues}) == "PlanDefinition.url: one\nrequest: two"
    assert problems(502, {}) == "Routing answered 502."
