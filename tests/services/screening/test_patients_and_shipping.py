"""Promises of Patients, whose every version is announced, and of the Questionnaires that screening ships."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from stepwell_screening.instruments import instruments
from stepwell_screening.use_cases.adaptive import adaptive_forms
from stepwell_screening.use_cases.shipping import ship_questionnaires
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.screening.submitting import EHR, Resource, patient, said, the
from tests.support.runtime import NORTH, SOUTH, URLS, stored


async def test_a_patient_that_is_refused_is_not_announced(runtime: Runtime, http: httpx.AsyncClient) -> None:
    refused = await http.put("Patient/p9", json=patient("p9", gender="somebody"), headers=EHR)
    assert refused.status_code == 400
    assert len(await said(runtime, "patient-changed")) == 1


async def test_a_patient_cannot_be_deleted_behind_the_others_backs(http: httpx.AsyncClient) -> None:
    assert (await http.delete("Patient/p1", headers=EHR)).status_code == 405


async def test_every_version_of_a_patient_is_announced_once(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await http.put("Patient/p1", json=patient(active=False), headers=EHR)
    first, second = await said(runtime, "patient-changed")
    assert [event.focus["meta"]["versionId"] for event in (first, second)] == ["1", "2"]
    assert (second.subject, list(second.entries)) == ("Patient/p1", [f"{URLS['screening']}/Patient/p1"])
    assert second.focus == await the(runtime, "Patient")
    emitted(second.focus)


@pytest.mark.parametrize("tenant", [NORTH, SOUTH])
async def test_shipped_questionnaires_are_there_once_however_often_they_are_shipped(
    runtime: Runtime, emitted: Callable[[Resource], None], tenant: str
) -> None:
    before = await stored(runtime, tenant, "Questionnaire")
    await asyncio.gather(*(ship_questionnaires(runtime, tenant) for _ in range(3)))
    assert await stored(runtime, tenant, "Questionnaire") == before
    assert {f"{each['url']}|{each['version']}" for each in before} == {*instruments(), *adaptive_forms()}
    for questionnaire in before:
        validation.check(encode(questionnaire), "Questionnaire")
        emitted(questionnaire)
