"""Promises of `$override-rates`: for those who may see figures, of the tenant alone, never about single answers."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from stepwell_routing.proposal_answers import ACCEPTED, LESS, answer_effect
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import Resource, hear, open_request, scored
from tests.support.runtime import NORTH, token

CLINICIAN, ANALYST = token(NORTH, "clinician", "Practitioner/dr-1"), token(NORTH, "analyst")


async def keep(runtime: Runtime, prefix: str, many: int, answer: str, **given: str) -> None:
    """Answers as acceptances and overrides leave them."""
    now = runtime.clock() - timedelta(days=1)
    effects = [
        answer_effect(f"{prefix}{number}", now, answer, "policy|1", {"FLOOR-PHQ9-T3"}, **given)
        for number in range(many)
    ]
    await runtime.store.commit(UnitOfWork(NORTH, effects=effects))


def shares(report: Resource, group: str) -> dict[tuple[str, str], int]:
    """The figures of a group by label and name, in per cent."""
    (found,) = [each for each in report["group"] if each["code"]["text"] == group]
    return {
        tuple(component["value"]["text"] for component in stratum["component"]): stratum["measureScore"]["value"]
        for stratifier in found.get("stratifier", ())
        for stratum in stratifier["stratum"]
    }


@pytest.mark.parametrize("headers", [token(NORTH, "patient"), token(NORTH, "community-health-worker"), {}])
async def test_rates_are_for_those_who_may_see_figures(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await http.get("PlanDefinition/$override-rates", headers=headers)).status_code in {401, 403}


async def test_rates_say_how_often_and_why_and_never_who(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await keep(runtime, "few", 4, LESS, reason="other")
    assert (await http.get("PlanDefinition/$override-rates", headers=ANALYST)).status_code == 422
    await keep(runtime, "accepted", 30, ACCEPTED, site="Organization/o1")
    await keep(runtime, "less", 10, LESS, reason="person-prefers", site="Organization/o1")
    assert (await http.get("PlanDefinition/$override-rates?start=nonsense", headers=ANALYST)).status_code == 400
    report = (await http.get("PlanDefinition/$override-rates", headers=ANALYST)).json()
    assert shares(report, "overridden-by-rule")["FLOOR-PHQ9-T3", "share"] == round(100 * 14 / 44)
    reasons = next(each for each in report["group"] if each["code"]["text"] == "overrides-by-reason")
    assert [each["value"]["text"] for each in reasons["stratifier"][0]["stratum"]] == ["other / person-prefers"]
    validation.check(encode(report), "MeasureReport")
    emitted(report)
    old = {"resourceType": "Parameters", "parameter": [{"name": "end", "valueDateTime": "2020-01-01"}]}
    assert (await http.post("PlanDefinition/$override-rates", json=old, headers=ANALYST)).status_code == 422


async def test_each_answer_is_a_row_and_a_figure_for_each_rule(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(16))
    proposal: Any = await open_request(runtime)
    given = [{"name": "tier", "valueCode": "tier-2"}, {"name": "reason", "valueCode": "person-prefers"}]
    body = {"resourceType": "Parameters", "parameter": given}
    assert (await http.post(f"ServiceRequest/{proposal['id']}/$override", json=body, headers=CLINICIAN)).is_success
    async with runtime.database.transaction(NORTH) as connection:
        (row,) = await connection.fetch("SELECT * FROM proposal_answer")
    assert (row["proposal"], row["answer"], row["reason"]) == (proposal["id"], LESS, "person-prefers")
    rules = row["rules"].split()
    assert "FLOOR-PHQ9-T3" in rules
    text = runtime.metrics.text().decode()
    assert all(f'answer="overridden-less",rule="{rule}"}} 1' in text for rule in rules)
