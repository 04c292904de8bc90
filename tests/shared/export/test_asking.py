"""Promises of the kick-off: who may export what, and what is refused before anything is made ready."""

from typing import Any

import pytest

from tests.shared.export.conftest import Hospital, observation, patient
from tests.support.runtime import NORTH

FORBIDDEN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("user/*.rs", {}),
    ("patient/*.rs", {"patient": "p1"}),
    ("system/*.rs", {"patient": "p1"}),
    ("system/Observation.r", {}),
    ("system/Observation.s", {}),
    ("system/Observation.cud", {}),
)
INVALID: tuple[dict[str, Any], ...] = (
    {"_type": "Nonsense"},
    {"_type": "Patient,Questionnaire"},
    {"_since": "yesterday"},
    {"_since": "2026"},
    {"_outputFormat": "text/csv"},
    {"_typeFilter": "Observation"},
    {"_typeFilter": "Observation?nonsense=1"},
    {"_typeFilter": "Observation?date=yesterday"},
    {"_typeFilter": "Observation?patient.name=x"},
    {"_typeFilter": "Observation?code:in=http://x.org"},
    {"_typeFilter": "Observation?_count=3"},
    {"_typeFilter": "Observation?status=final", "_type": "Patient"},
    {"includeAssociatedData": "LatestProvenanceResources"},
    {"patient": "Patient/p1"},
    {"nonsense": "1"},
)


@pytest.mark.parametrize(("scopes", "more"), FORBIDDEN)
async def test_nobody_but_a_system_with_read_and_search_exports(
    hospital: Hospital, scopes: str, more: dict[str, Any]
) -> None:
    await hospital.keep(observation("o1"))
    for path in ("$export", "Patient/$export"):
        answer = await hospital.ask(path, hospital.caller(scopes, **more))
        assert answer.status_code == 403, answer.text
        assert answer.json()["issue"][0]["code"] == "forbidden"


async def test_without_a_token_there_is_no_export(hospital: Hospital) -> None:
    assert (await hospital.http.get("$export")).status_code == 401
    assert (await hospital.http.get("https://stepwell.example/measurement/exports/x")).status_code == 401


async def test_a_type_that_the_token_does_not_grant_is_refused_when_it_is_named(hospital: Hospital) -> None:
    who = hospital.caller("system/Observation.rs")
    assert (await hospital.ask(caller=who, _type="Observation,Patient")).status_code == 403
    assert (await hospital.ask("Patient/$export", who, _type="Patient")).status_code == 403


async def test_what_is_not_served_is_refused_unless_the_client_is_lenient(hospital: Hospital) -> None:
    for parameters in INVALID:
        answer = await hospital.ask(**parameters)
        assert answer.status_code == 400, (parameters, answer.text)
        assert answer.json()["resourceType"] == "OperationOutcome"
    headers = {**hospital.caller(), "Prefer": "respond-async, handling=lenient"}
    for query in ("nonsense=1", "_type=Observation,Nonsense", "_typeFilter=Nonsense?a=b"):
        assert (await hospital.http.get(f"$export?{query}", headers=headers)).status_code == 202
    assert (await hospital.http.get("$export?_outputFormat=text/csv", headers=headers)).status_code == 400


async def test_an_export_of_patients_is_of_what_patients_have(hospital: Hospital) -> None:
    assert (await hospital.ask("Patient/$export", _type="Subscription")).status_code == 400
    assert (await hospital.ask("Patient/p1/$export")).status_code == 404


async def test_the_kick_off_names_the_status_whatever_the_client_prefers(hospital: Hospital) -> None:
    who = hospital.caller()
    answer = await hospital.http.get("$export?_outputFormat=ndjson", headers=who)
    assert (answer.status_code, answer.content) == (202, b"")
    assert answer.headers["content-location"].startswith("https://stepwell.example/measurement/exports/")
    working = await hospital.http.get(answer.headers["content-location"], headers=who)
    assert working.status_code == 202
    assert 0 < len(working.headers["x-progress"]) < 100
    assert working.headers["retry-after"] == "1"


async def test_more_than_a_tenant_may_have_at_work_are_sent_away_for_a_moment(hospital: Hospital) -> None:
    bounds = hospital.exports.bounds
    for _ in range(bounds.at_work):
        assert (await hospital.ask()).status_code == 202
    refused = await hospital.ask(caller=hospital.caller(name="another"))
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (429, "throttled")
    assert int(refused.headers["retry-after"]) > 0
    await hospital.work()
    assert (await hospital.ask()).status_code == 202


async def test_a_batch_kicks_off_nothing(hospital: Hospital) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": "$export"}}],
    }
    answer = await hospital.http.post("", json=bundle, headers=hospital.caller("system/*.cruds"))
    assert answer.json()["entry"][0]["response"]["status"].startswith("400")


async def test_a_posted_kick_off_is_the_same_and_may_name_patients(hospital: Hospital) -> None:
    await hospital.keep(patient("p1"), patient("p2"), observation("o1"), observation("o2", "p2"))
    parameters = [
        {"name": "_type", "valueString": "Observation"},
        {"name": "_since", "valueInstant": "2020-01-01T00:00:00Z"},
        {"name": "patient", "valueReference": {"reference": "Patient/p2"}},
    ]
    who = hospital.caller()
    asked = await hospital.http.post(
        "Patient/$export", json={"resourceType": "Parameters", "parameter": parameters}, headers=who
    )
    assert asked.status_code == 202, asked.text
    await hospital.work()
    manifest = (await hospital.http.get(asked.headers["content-location"], headers=who)).json()
    assert [each["count"] for each in manifest["output"]] == [1]
    assert b'"o2"' in (await hospital.files(manifest))[0]


async def test_an_analysts_export_holds_nothing_about_anybody(hospital: Hospital) -> None:
    await hospital.keep(patient("p1"), observation("o1"))
    await hospital.keep(observation("o2") | {"subject": {"reference": "Group/g1"}})
    analyst = hospital.caller("system/*.rs", roles=("analyst",))
    found = await hospital.exported(caller=analyst)
    assert found.pop("Observation") == ["o2"]
    assert found.keys() <= {"Measure", "MeasureReport", "Group"}
    whole = await hospital.manifest(_type="Observation")
    refused = await hospital.http.get(whole["output"][0]["url"], headers=hospital.caller(roles=("analyst",)))
    assert refused.status_code == 403


async def test_the_kick_off_is_on_record(hospital: Hospital) -> None:
    await hospital.ask()
    await hospital.ask("Patient/$export", hospital.caller("user/*.rs"))
    assert await hospital.audit() == [("$export", None, None, 202), ("$export", "Patient", None, 403)]
    assert hospital.caller()["Authorization"].startswith(f"Bearer {NORTH}")
