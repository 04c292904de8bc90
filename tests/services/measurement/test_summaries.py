"""Promises of `$lastn` and `$stats`: one person's own, the newest of each kind, figures of what stands."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from stepwell_measurement.app import service
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.measurement.test_http import blood_pressure
from tests.services.measurement.test_trajectories import own_score
from tests.support.runtime import NORTH, SOUTH, http_of, token

EHR = token(NORTH, "ehr")
Resource = dict[str, Any]


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """With six Observations of one person, one of them wrong, and one of another."""
    async with http_of(runtime, service) as client:
        bodies = [own_score(value, day) for value, day in ((30, "2026-08-01"), (20, "2026-10-01"), (24, "2026-09-01"))]
        bodies += [own_score(39, "2026-11-01", status="entered-in-error"), blood_pressure()]
        two = {"coding": [*blood_pressure()["code"]["coding"], {"system": "https://clinic.example", "code": "rr"}]}
        bodies += [
            blood_pressure(code=two, effectiveDateTime="2026-11-19", valueQuantity={"value": 130, "unit": "kPa"})
        ]
        bodies += [own_score(5, "2026-11-01", subject={"reference": "Patient/p2"})]
        for body in bodies:
            assert (await client.post("Observation", json=body, headers=EHR)).status_code == 201
        yield client


async def last(http: httpx.AsyncClient, query: str, headers: dict[str, str] = EHR) -> list[Any]:
    response = await http.get(f"Observation/$lastn?{query}", headers=headers)
    assert response.status_code == 200, response.text
    bundle = response.json()
    assert bundle["type"] == "searchset"
    return [entry["resource"]["valueQuantity"]["value"] for entry in bundle.get("entry", [])]


@pytest.mark.parametrize(
    "query",
    [
        *("", "patient=p1", "code=wsas", "patient=p1&code=wsas&max=0", "patient=p1&code=wsas&max=x"),
        *("patient=p1%00&code=wsas", "patient=p1&code=wsas&nonsense=1", "patient=p1&subject=p1&code=wsas"),
        "patient=p1&code=wsas&max=1000000",
    ],
)
async def test_a_question_that_is_not_clear_is_refused(http: httpx.AsyncClient, query: str) -> None:
    assert (await http.get(f"Observation/$lastn?{query}", headers=EHR)).status_code == 400


async def test_the_newest_of_each_code_come_newest_first(http: httpx.AsyncClient) -> None:
    assert sorted(await last(http, "patient=p1&code=wsas,8480-6,rr&status=final")) == [20, 120, 130]
    assert await last(http, "patient=p1&code=wsas&max=2&status=final") == [20, 24]
    assert await last(http, "subject=Patient/p1&code=wsas&max=2&date=lt2026-10-01") == [24, 30]
    assert await last(http, "patient=p2&category=survey") == []
    assert await last(http, "patient=p1&code=wsas", token(SOUTH, "ehr")) == []
    posted = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "patient", "valueReference": {"reference": "Patient/p2"}},
            {"name": "code", "valueCode": "wsas"},
            {"name": "max", "valuePositiveInt": 3},
        ],
    }
    answer = await http.post("Observation/$lastn", json=posted, headers=EHR)
    assert [entry["resource"]["valueQuantity"]["value"] for entry in answer.json()["entry"]] == [5]


async def test_figures_are_those_of_what_stands(http: httpx.AsyncClient) -> None:
    asked = "subject=Patient/p1&code=wsas&statistic=average&statistic=count&statistic=median&statistic=std-dev"
    answer = await http.get(f"Observation/$stats?{asked}", headers=EHR)
    assert answer.status_code == 200, answer.text
    validation.check(encode(answer.json()), "Parameters")
    (found,) = answer.json()["parameter"]
    figures = {each["code"]["coding"][0]["code"]: each for each in found["resource"]["component"]}
    assert {code: each["valueQuantity"]["value"] for code, each in figures.items()} == {
        "average": 24.6667, "count": 3, "median": 24, "std-dev": 5.0332
    }  # fmt: skip


async def test_values_in_different_units_are_never_added_up(http: httpx.AsyncClient) -> None:
    asked = "subject=Patient/p1&code=8480-6&system=http://loinc.org&statistic=sum&include=true"
    parameters = (await http.get(f"Observation/$stats?{asked}", headers=EHR)).json()["parameter"]
    sums = [each["resource"]["component"][0]["valueQuantity"] for each in parameters if each["name"] == "statistics"]
    assert sorted((each["value"], each["unit"]) for each in sums) == [(120, "mmHg"), (130, "kPa")]
    assert len(parameters) == 4


@pytest.mark.parametrize(
    "query",
    ["code=wsas&statistic=sum", "subject=Patient/p1&statistic=sum", "subject=Patient/p1&code=wsas",
     "subject=Patient/p1&code=wsas&statistic=kurtosis", "subject=Patient/p1&code=wsas&statistic=sum&limit=-1",
     "subject=Patient/p1&code=wsas&statistic=sum&period=nonsense/"],
)  # fmt: skip
async def test_figures_that_cannot_be_reckoned_are_refused(http: httpx.AsyncClient, query: str) -> None:
    assert (await http.get(f"Observation/$stats?{query}", headers=EHR)).status_code == 400


async def test_figures_of_nothing_count_zero(http: httpx.AsyncClient) -> None:
    asked = "subject=Patient/p1&code=wsas&statistic=count&statistic=average&period=2025-01-01/2025-02-01"
    (found,) = (await http.get(f"Observation/$stats?{asked}", headers=EHR)).json()["parameter"]
    count, average = found["resource"]["component"]
    assert count["valueQuantity"]["value"] == 0
    assert "dataAbsentReason" in average
