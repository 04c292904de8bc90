"""Promises of Consents at the door: what is kept can be honoured, a withdrawal is final and announced at once."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from stepwell_shared.canonical import extension_url
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.screening.submitting import EHR, SOUTH_EHR, Resource, patient, places, said, the
from tests.support.consents import ACT_CODES, SCOPES, coded, opt_in, provision, sharing, treatment
from tests.support.runtime import NORTH, URLS, stored, token

MOTHER = {"resourceType": "RelatedPerson", "id": "mother", "active": True, "patient": {"reference": "Patient/p1"}}
OPTION, QUESTIONS = extension_url("treatment-option"), extension_url("question-period")


async def give(http: httpx.AsyncClient, consent: Resource, headers: dict[str, str] = EHR) -> httpx.Response:
    return await http.put(f"Consent/{consent['id']}", json=consent, headers=headers)


def without(resource: Resource, *names: str) -> Resource:
    return {name: value for name, value in resource.items() if name not in names}


def about_questions(**period: str) -> Resource:
    option, _ = treatment("p1")["extension"]
    return treatment("p1", extension=[option, {"url": QUESTIONS, "valuePeriod": period}])


@pytest.mark.parametrize(
    ("consent", "place"),
    [
        (without(opt_in("p1"), "patient"), "Consent.patient"),
        (without(opt_in("p1"), "dateTime"), "Consent.dateTime"),
        ({**opt_in("p1"), "scope": {"coding": [{"system": SCOPES, "code": "research"}]}}, "Consent.scope"),
        ({**opt_in("p1"), "patient": {"reference": "Patient/nobody"}}, "Consent.patient.reference"),
        (
            sharing("p1", {"data": [{"meaning": "instance", "reference": {"reference": "Task/t"}}]}),
            "Consent.provision.data",
        ),
        (sharing("p1", {"dataPeriod": {"start": "2020"}}), "Consent.provision.dataPeriod"),
        (sharing("p1", {"purpose": [{"system": "https://x.example", "code": "y"}]}), "Consent.provision.purpose"),
        (sharing("p1", {"class": [{"code": "Task"}]}), "Consent.provision.class"),
        (sharing("p1", {"action": [{"text": "see"}]}), "Consent.provision.action"),
        (sharing("p1", {"code": [{"text": "the scores"}]}), "Consent.provision.code"),
        (sharing("p1", {"provision": [{"code": [coded("x")]}]}), "Consent.provision.provision[0].type"),
        (sharing("p1", provision("permit", "Group/family")), "Consent.provision.actor[0].reference"),
        (sharing("p1", provision("permit", "RelatedPerson/nobody")), "Consent.provision.actor[0].reference"),
        (without(treatment("p1"), "extension"), "Consent.extension"),
        (treatment("p1", extension=treatment("p1")["extension"][1:]), "Consent.extension"),
        (about_questions(start="2026-11-20T09:00:00Z"), "Consent.extension"),
        (about_questions(start="2026-11-20T09:00:00Z", end="2026-11-21T09:30:00+01:00"), "Consent.dateTime"),
        (treatment("p1", policyRule={"coding": [{"system": "https://clinic.example/texts"}]}), "Consent.policyRule"),
    ],
)
async def test_what_no_service_could_honour_is_refused_with_its_place(
    runtime: Runtime, http: httpx.AsyncClient, consent: Resource, place: str
) -> None:
    answer = await give(http, consent)
    assert answer.status_code == 422, answer.text
    assert place in places(answer)
    assert await said(runtime, "consent-changed") == []


async def test_provisions_beyond_the_depth_that_is_searched_are_refused(http: httpx.AsyncClient) -> None:
    def nested(levels: int) -> Resource:
        return provision("deny", provision=[nested(levels - 1)] if levels > 1 else [])

    assert (await give(http, sharing("p1", nested(4)))).status_code == 201
    refused = await give(http, sharing("p1", nested(5), id_="deeper"))
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (422, "too-costly")


async def test_a_consent_without_a_policy_is_no_fhir(http: httpx.AsyncClient) -> None:
    answer = await give(http, without(opt_in("p1"), "policyRule"))
    assert (answer.status_code, "ppc-1" in answer.text) == (400, True)


async def test_what_r4_says_wrongly_about_scopes_refuses_nothing(http: httpx.AsyncClient) -> None:
    # ppc-2 to ppc-5 of R4 ask for a system called 'something' and would let no Consent of these scopes be
    for each in (opt_in("p1"), treatment("p1")):
        assert (await give(http, each)).status_code == 201


async def test_nobody_but_who_may_write_consents_gives_one(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await http.put("RelatedPerson/mother", json=MOTHER, headers=EHR)
    for person, role in (("RelatedPerson/mother", "related-person"), ("Organization/o", "outside-organisation")):
        refused = await give(http, opt_in("p1"), token(NORTH, role, person))
        assert refused.status_code == 403
    assert await stored(runtime, NORTH, "Consent") == []


async def test_every_version_is_announced_in_the_order_of_its_person(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    assert (await give(http, opt_in("p1"))).status_code == 201
    assert (await give(http, {**opt_in("p1"), "status": "inactive"})).status_code == 200
    first, second = await said(runtime, "consent-changed")
    assert [event.focus["status"] for event in (first, second)] == ["active", "inactive"]
    assert (second.subject, list(second.entries)) == ("Patient/p1", [f"{URLS['screening']}/Consent/opt-in-p1"])
    emitted(second.focus)
    history = await http.get("Consent/opt-in-p1/_history", headers=EHR)
    assert [each["resource"]["status"] for each in history.json()["entry"]] == ["inactive", "active"]


@pytest.mark.parametrize("status", ["inactive", "rejected", "entered-in-error"])
async def test_a_withdrawal_is_final(http: httpx.AsyncClient, status: str) -> None:
    for consent in (opt_in("p1"), treatment("p1")):
        assert (await give(http, consent)).status_code == 201
        assert (await give(http, {**consent, "status": status})).status_code == 200
        again = await give(http, consent)
        assert (again.status_code, places(again)) == (422, ["Consent.status"])
        assert (await give(http, {**consent, "status": "entered-in-error"})).status_code == 200


async def test_a_consent_keeps_its_person_and_its_scope_and_is_never_deleted(http: httpx.AsyncClient) -> None:
    await http.put("Patient/p2", json=patient("p2"), headers=EHR)
    assert (await give(http, opt_in("p1"))).status_code == 201
    moved = await give(http, {**opt_in("p1"), "patient": {"reference": "Patient/p2"}})
    assert (moved.status_code, places(moved)) == (422, ["Consent.patient"])
    rescoped = await give(http, {**treatment("p1"), "id": "opt-in-p1"})
    assert (rescoped.status_code, places(rescoped)) == (422, ["Consent.scope"])
    assert (await http.delete("Consent/opt-in-p1", headers=EHR)).status_code == 405


async def test_a_related_person_is_named_for_their_own_patient_alone(http: httpx.AsyncClient) -> None:
    assert (await http.put("RelatedPerson/x", json={**MOTHER, "id": "x", "patient": {"reference": "Patient/no"}},
                           headers=EHR)).status_code == 422  # fmt: skip
    await http.put("RelatedPerson/mother", json=MOTHER, headers=EHR)
    await http.put("Patient/p2", json=patient("p2"), headers=EHR)
    outer = {"provision": [provision("permit", "RelatedPerson/mother")]}
    refused = await give(http, sharing("p2", outer))
    assert places(refused) == ["Consent.provision.provision[0].actor[0].reference"]
    assert (await give(http, sharing("p1", outer))).status_code == 201
    moved = {**MOTHER, "patient": {"reference": "Patient/p2"}}
    assert (await http.put("RelatedPerson/mother", json=moved, headers=EHR)).status_code == 422


async def test_consents_and_related_people_are_found_by_what_they_say(http: httpx.AsyncClient) -> None:
    named = {**MOTHER, "name": [{"family": "Example"}], "birthDate": "1960-01-02"}
    assert (await http.put("RelatedPerson/mother", json=named, headers=EHR)).status_code == 201
    deep = {"provision": [provision("deny", provision=[provision("permit", "RelatedPerson/mother")])]}
    assert (await give(http, sharing("p1", deep))).status_code == 201
    assert (await give(http, treatment("p1"))).status_code == 201

    async def found(query: str) -> list[str]:
        answer = await http.get(query, headers=EHR)
        return [each["resource"]["id"] for each in answer.json().get("entry", [])]

    assert await found("Consent?any-actor=RelatedPerson/mother") == ["sharing-p1"]
    assert await found("Consent?actor=RelatedPerson/mother") == []
    assert await found("Consent?scope=treatment&status=active&patient=Patient/p1") == ["treatment-p1"]
    assert await found(f"Consent?category={ACT_CODES}|IDSCL&date=2026-11-21") == ["sharing-p1"]
    assert await found("RelatedPerson?patient=Patient/p1&name=exam&birthdate=1960-01-02&active=true") == ["mother"]
    assert await found("Patient?_id=p1&_revinclude=Consent:patient&_revinclude=RelatedPerson:patient") == [
        *("p1", "sharing-p1", "treatment-p1", "mother")
    ]


async def test_another_tenant_sees_none_of_it(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await give(http, opt_in("p1"))
    assert (await http.get("Consent/opt-in-p1", headers=SOUTH_EHR)).status_code == 404
    assert (await http.get("Consent", headers=SOUTH_EHR)).json().get("entry", []) == []


async def test_a_consent_to_treatment_says_what_was_offered_in_which_text_and_when_there_was_time_for_questions(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    assert (await give(http, about_questions(start="2026-11-20", end="2026-11-21"))).status_code == 201
    by_source = without(
        treatment("p1", id="by-source", sourceReference={"reference": "DocumentReference/d"}), "policyRule"
    )
    by_source["policy"] = [{"uri": "https://clinic.example/texts/self-help"}]
    proposed = {**without(treatment("p1", id="proposed", status="proposed"), "dateTime")}
    proposed["extension"] = proposed["extension"][:1]
    for each in (treatment("p1"), by_source, proposed):
        answer = await give(http, each)
        assert answer.status_code in {200, 201}, answer.text
        validation.check(encode(answer.json()), "Consent")
        emitted(answer.json())
    kept: Any = await the(runtime, "Patient")
    assert kept["id"] == "p1"
