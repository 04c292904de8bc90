"""R5 at screening's door: an operation and a patch that are sent again under their key happen once."""

import httpx
from stepwell_shared.runtime import Runtime

from tests.services.screening.submitting import CLINICIAN, EHR, accept, form, said, the

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


def level(code: str) -> dict[str, object]:
    return {"resourceType": "Parameters", "parameter": [{"name": "level", "valueCode": code}]}


async def test_r5_a_risk_level_that_is_sent_twice_is_recorded_once(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await accept(http, form(1))
    address = f"Task/{(await the(runtime, 'Task'))['id']}/$record-risk-level"
    answers = [await http.post(address, json=level("low"), headers={**CLINICIAN, **KEY}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.content for answer in answers}) == 1
    assert len(await said(runtime, "safety-alert")) == 2  # opened, settled
    other = await http.post(address, json=level("high"), headers={**CLINICIAN, **KEY})
    assert other.status_code == 422
    without = await http.post(address, json=level("low"), headers=CLINICIAN)
    assert without.status_code == 409


async def test_r5_a_patch_that_is_sent_twice_is_applied_once(http: httpx.AsyncClient) -> None:
    patch = [{"op": "add", "path": "/name/-", "value": {"family": "Second"}}]
    headers = {**EHR, **KEY, "Content-Type": "application/json-patch+json"}
    answers = [await http.request("PATCH", "Patient/p1", json=patch, headers=headers) for _ in range(3)]
    assert {(answer.status_code, answer.headers["etag"]) for answer in answers} == {(200, 'W/"2"')}
    assert len((await http.get("Patient/p1", headers=EHR)).json()["name"]) == 2
