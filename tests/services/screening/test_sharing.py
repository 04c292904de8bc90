"""Promises to people: who acts for somebody close to them, or another organisation, sees what Consents permit."""

from typing import Any

import httpx
import pytest
from stepwell_shared.runtime import Runtime

from tests.services.screening.submitting import EHR, SOUTH_EHR, Resource, accept, form, patient
from tests.support.consents import ACT_CODES, label, of_types, opt_in, provision, sharing
from tests.support.horizon import settled
from tests.support.runtime import NORTH, SOUTH, token

MOTHER = token(NORTH, "related-person", "RelatedPerson/mother")
HUB = token(NORTH, "outside-organisation", "Organization/hub")
FORM = "Questionnaire/phq-9-1.0.0"


@pytest.fixture
async def people(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """p1 with a mother and answers of whom some are psychiatric, and p2 who is a stranger to her."""
    await http.put("Patient/p2", json=patient("p2"), headers=EHR)
    related = {"resourceType": "RelatedPerson", "id": "mother", "patient": {"reference": "Patient/p1"}}
    await http.put("RelatedPerson/mother", json=related, headers=EHR)
    await accept(
        http, form(id="r1", meta={"tag": [{"code": "first"}]}), form(id="r2", subject={"reference": "Patient/p2"})
    )
    await accept(http, form(id="r3", meta={"security": [label("PSY")]}))
    return http


async def give(http: httpx.AsyncClient, consent: Resource) -> None:
    answer = await http.put(f"Consent/{consent['id']}", json=consent, headers=EHR)
    assert answer.status_code in {200, 201}, answer.text


async def found(http: httpx.AsyncClient, query: str, headers: dict[str, str]) -> list[str]:
    answer = await http.get(query, headers=headers)
    assert answer.status_code == 200, answer.text
    entries: list[Any] = answer.json().get("entry", [])
    assert answer.json().get("total", len(entries)) >= 0
    return sorted(f"{each['resource']['resourceType']}/{each['resource']['id']}" for each in entries)


WAYS = [
    *(
        "Patient/p1",
        "QuestionnaireResponse/r1",
        "QuestionnaireResponse/r1/_history",
        "QuestionnaireResponse/r1/_history/1",
    ),
    *(
        "Patient",
        "QuestionnaireResponse?_total=accurate",
        "QuestionnaireResponse/_history",
        "QuestionnaireResponse?_id=r1",
    ),
    *(
        "QuestionnaireResponse?_include=QuestionnaireResponse:subject",
        "Patient/p1/*",
        "Patient/p1/QuestionnaireResponse",
    ),
    *("Patient?_revinclude=QuestionnaireResponse:subject", "QuestionnaireResponse?subject:Patient.name=example"),
    *(
        "Patient?_has:QuestionnaireResponse:subject:status=completed",
        "?_type=Patient,QuestionnaireResponse",
        "_history",
    ),
]


@pytest.mark.parametrize("headers", [MOTHER, HUB], ids=["related person", "organisation"])
@pytest.mark.parametrize("way", WAYS)
async def test_without_a_consent_there_is_nobody_by_any_way(
    people: httpx.AsyncClient, headers: dict[str, str], way: str
) -> None:
    await give(
        people, {**sharing("p1", provision("permit", "RelatedPerson/mother", "Organization/hub")), "status": "draft"}
    )
    answer = await people.get(way, headers=headers)
    if answer.status_code == 200:
        assert (answer.json().get("entry", []), answer.json().get("total", 0)) == ([], 0)
    else:
        assert answer.status_code in {403, 404}
    assert "Example" not in answer.text


@pytest.mark.parametrize("role", ["related-person", "outside-organisation"])
async def test_who_does_not_say_whom_they_act_for_sees_nobody(people: httpx.AsyncClient, role: str) -> None:
    await give(people, opt_in("p1"))
    assert (await people.get("Patient", headers=token(NORTH, role))).status_code == 403


async def test_a_related_person_sees_one_patient_and_nobody_else(people: httpx.AsyncClient, runtime: Runtime) -> None:
    await give(people, sharing("p1", provision("permit", "RelatedPerson/mother")))
    await give(people, opt_in("p2"))
    expected = ["QuestionnaireResponse/r1", "QuestionnaireResponse/r3"]
    assert await found(people, "Patient", MOTHER) == ["Patient/p1"]
    assert await found(people, "QuestionnaireResponse", MOTHER) == expected
    await settled(runtime.database)
    assert await found(people, "QuestionnaireResponse/_history", MOTHER) == expected
    assert {"Patient/p1", *expected} <= set(await found(people, "Patient/p1/*", MOTHER))
    assert await found(people, "Patient/p2/*", MOTHER) == []
    assert await found(people, "Patient?_revinclude=QuestionnaireResponse:subject", MOTHER) == ["Patient/p1", *expected]
    assert await found(people, "QuestionnaireResponse?subject:Patient.name=example", MOTHER) == expected
    for way, status in (
        ("Patient/p2", 404),
        ("QuestionnaireResponse/r2", 404),
        ("QuestionnaireResponse/r1/_history/1", 200),
    ):
        assert (await people.get(way, headers=MOTHER)).status_code == status
    assert (await people.get("QuestionnaireResponse?_total=accurate", headers=MOTHER)).json()["total"] == 2


async def test_seeing_is_not_writing(people: httpx.AsyncClient) -> None:
    await give(people, sharing("p1", provision("permit", "RelatedPerson/mother", "Organization/hub")))
    for headers in (MOTHER, HUB):
        for path, resource in (("Patient/p1", patient()), ("QuestionnaireResponse/r1", form(id="r1"))):
            assert (await people.put(path, json=resource, headers=headers)).status_code == 403


async def test_knowledge_that_is_about_no_person_needs_no_consent(people: httpx.AsyncClient) -> None:
    assert (await people.get(FORM, headers=MOTHER)).status_code == 200


async def test_a_withdrawal_holds_for_the_next_request(people: httpx.AsyncClient) -> None:
    consent = sharing("p1", provision("permit", "RelatedPerson/mother"))
    await give(people, consent)
    assert (await people.get("Patient/p1", headers=MOTHER)).status_code == 200
    await give(people, {**consent, "status": "inactive"})
    assert (await people.get("Patient/p1", headers=MOTHER)).status_code == 404


async def test_a_denied_label_stays_hidden_in_searches_includes_totals_and_reads(people: httpx.AsyncClient) -> None:
    exception = provision("deny", securityLabel=[label("PSY")])
    await give(people, sharing("p1", provision("permit", "RelatedPerson/mother", provision=[exception])))
    assert await found(people, "QuestionnaireResponse", MOTHER) == ["QuestionnaireResponse/r1"]
    assert await found(people, f"QuestionnaireResponse?_security={ACT_CODES}|PSY", MOTHER) == []
    assert await found(people, "Patient?_revinclude=QuestionnaireResponse:subject", MOTHER) == [
        *("Patient/p1", "QuestionnaireResponse/r1")
    ]
    assert (await people.get("QuestionnaireResponse/r3", headers=MOTHER)).status_code == 404
    assert (await people.get("QuestionnaireResponse/r3/_history", headers=MOTHER)).status_code == 404
    assert (await people.get("QuestionnaireResponse?_total=accurate", headers=MOTHER)).json()["total"] == 1


async def test_a_permitted_label_is_all_that_is_seen(people: httpx.AsyncClient) -> None:
    await give(people, sharing("p1", provision("permit", "Organization/hub", securityLabel=[label("PSY")])))
    assert await found(people, "QuestionnaireResponse", HUB) == ["QuestionnaireResponse/r3"]
    assert await found(people, "Patient", HUB) == []


async def test_classes_limit_an_organisation_to_their_types(people: httpx.AsyncClient) -> None:
    await give(people, sharing("p1", provision("permit", "Organization/hub", classes=of_types("Patient"))))
    assert await found(people, "Patient", HUB) == ["Patient/p1"]
    assert await found(people, "QuestionnaireResponse", HUB) == []
    assert await found(people, "Patient?_revinclude=QuestionnaireResponse:subject", HUB) == ["Patient/p1"]


async def test_an_organisation_sees_those_who_opted_in_and_not_who_denies_it(people: httpx.AsyncClient) -> None:
    await give(people, opt_in("p1"))
    await give(people, opt_in("p2"))
    await give(people, sharing("p2", provision("deny", "Organization/hub"), rule="OPTIN"))
    assert await found(people, "Patient", HUB) == ["Patient/p1"]
    other = token(NORTH, "outside-organisation", "Organization/other")
    assert await found(people, "Patient", other) == ["Patient/p1", "Patient/p2"]


async def test_a_consent_in_one_tenant_opens_nothing_in_another(runtime: Runtime, people: httpx.AsyncClient) -> None:
    await give(people, sharing("p1", provision("permit", "RelatedPerson/mother")))
    there = token(SOUTH, "related-person", "RelatedPerson/mother")
    assert await found(people, "Patient", there) == []
    assert (await people.get("Patient/p1", headers=there)).status_code == 404
    assert (await people.get("Patient/p1", headers=SOUTH_EHR)).status_code == 200


async def test_more_people_than_one_request_may_look_at_are_refused_and_not_left_out(
    people: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for person in ("p1", "p2"):
        await give(people, opt_in(person))
    monkeypatch.setattr("stepwell_shared.consent.sharing.PEOPLE_MAX", 1)
    assert (await people.get("Patient", headers=HUB)).status_code == 403
