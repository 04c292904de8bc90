"""Promises of a site's own Questionnaires: drafts are free, a published version is checked once and then stays."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from stepwell_screening.instruments import find_instrument, instruments
from stepwell_shared.runtime import Runtime

from tests.services.screening.site_forms import Resource, answers_to
from tests.services.screening.submitting import EHR, SOUTH_EHR, places, said
from tests.support.runtime import NORTH, stored

URL = "https://clinic.example/Questionnaire/intake"
YES, NO = ({"system": "https://clinic.example/answers", "code": code} for code in ("yes", "no"))


def intake(**members: Any) -> Resource:
    """A form of a site's own, published; a member of None is left out."""
    form = {
        "resourceType": "Questionnaire",
        "id": "intake-1",
        "url": URL,
        "version": "1.0",
        "title": "Intake",
        "status": "active",
        "item": [
            {
                "linkId": "seen",
                "text": "Have you been here before?",
                "type": "choice",
                "answerOption": [{"valueCoding": YES}, {"valueCoding": NO}],
            },
            {
                "linkId": "when",
                "text": "When was that?",
                "type": "date",
                "enableWhen": [{"question": "seen", "operator": "=", "answerCoding": YES}],
            },
        ],
        **members,
    }
    return {name: value for name, value in form.items() if value is not None}


async def put(http: httpx.AsyncClient, form: Resource, headers: dict[str, str] = EHR) -> httpx.Response:
    return await http.put(f"Questionnaire/{form['id']}", json=form, headers=headers)


async def publish(http: httpx.AsyncClient, **members: Any) -> Resource:
    answer = await put(http, intake(**members))
    assert answer.status_code in {200, 201}, answer.text
    body: Resource = answer.json()
    return body


class TestWhatIsRefused:
    async def test_what_ships_cannot_be_changed_by_a_site(self, http: httpx.AsyncClient) -> None:
        shipped = (await http.get("Questionnaire/phq-9-1.0.0", headers=EHR)).json()
        refused = await put(http, {**shipped, "status": "retired"})
        assert (refused.status_code, places(refused)) == (422, ["Questionnaire"])

    @pytest.mark.parametrize("status", ["draft", "active"])
    async def test_a_site_keeps_nothing_under_the_products_urls(self, http: httpx.AsyncClient, status: str) -> None:
        url = "https://stepwell.health/fhir/Questionnaire/phq-9"
        refused = await put(http, intake(url=url, version="2", status=status))
        assert (refused.status_code, places(refused)) == (422, ["Questionnaire.url"])

    @pytest.mark.parametrize("member", ["url", "version"])
    async def test_a_published_form_says_its_url_and_version(self, http: httpx.AsyncClient, member: str) -> None:
        refused = await put(http, intake(**{member: None}))
        assert (refused.status_code, places(refused)) == (422, [f"Questionnaire.{member}"])

    async def test_two_conditions_need_to_be_told_how_they_combine(self, http: httpx.AsyncClient) -> None:
        form = intake(status="draft")
        form["item"][1]["enableWhen"] *= 2
        refused = await put(http, form)
        assert refused.status_code == 400
        assert "que-12" in refused.text

    async def test_a_condition_on_no_question_is_refused_with_its_place(self, http: httpx.AsyncClient) -> None:
        form = intake()
        form["item"][1]["enableWhen"][0]["question"] = "never"
        refused = await put(http, form)
        assert (refused.status_code, places(refused)) == (422, ["Questionnaire.item[1].enableWhen[0].question"])

    @pytest.mark.parametrize("member", ["title", "language", "item", "version", "description"])
    async def test_a_published_version_cannot_be_changed(self, http: httpx.AsyncClient, member: str) -> None:
        form = await publish(http)
        changed = {"item": form["item"][:1], "language": "de"}.get(member, "changed")
        refused = await put(http, {**form, member: changed})
        assert (refused.status_code, places(refused)) == (422, [f"Questionnaire.{member}"])

    async def test_a_published_version_does_not_become_a_draft_again(self, http: httpx.AsyncClient) -> None:
        form = await publish(http)
        refused = await put(http, {**form, "status": "draft"})
        assert (refused.status_code, places(refused)) == (422, ["Questionnaire.status"])

    async def test_a_second_active_version_of_one_name_is_refused(self, http: httpx.AsyncClient) -> None:
        await publish(http)
        refused = await put(http, intake(id="intake-2"))
        assert (refused.status_code, places(refused)) == (409, ["Questionnaire.version"])

    async def test_of_many_who_publish_one_name_at_once_one_does(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        answers = await asyncio.gather(*(put(http, intake(id=f"intake-{number}")) for number in range(5)))
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
        mine = [each for each in await stored(runtime, NORTH, "Questionnaire") if each["url"] == URL]
        assert len(mine) == 1

    async def test_one_bundle_does_not_publish_one_name_twice(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        entries = [
            {"resource": intake(id=id_), "request": {"method": "PUT", "url": f"Questionnaire/{id_}"}}
            for id_ in ("intake-1", "intake-2")
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        refused = await http.post("", json=bundle, headers=EHR)
        assert refused.status_code == 409
        assert await find_instrument(runtime, NORTH, f"{URL}|1.0") is None

    async def test_a_retired_version_keeps_its_name(self, http: httpx.AsyncClient) -> None:
        form = await publish(http)
        await put(http, {**form, "status": "retired"})
        assert (await put(http, intake(id="intake-2"))).status_code == 409

    async def test_questionnaires_are_never_deleted(self, http: httpx.AsyncClient) -> None:
        await publish(http)
        assert (await http.delete("Questionnaire/intake-1", headers=EHR)).status_code == 405

    @pytest.mark.parametrize("code", ["44260-8", "93249-1"])  # item 9 of PHQ-9, question 4 of the C-SSRS screener
    async def test_a_known_safety_question_in_a_forms_own_disguise_waits_for_crisis_contacts(
        self, http: httpx.AsyncClient, code: str
    ) -> None:
        form = intake()
        form["item"][0]["code"] = [{"system": "http://loinc.org", "code": code}]
        refused = await put(http, form)
        assert (refused.status_code, places(refused)) == (422, ["Questionnaire"])
        assert "crisis contacts" in refused.text

    @pytest.mark.parametrize("named", [URL, f"{URL}|1.1", f"{URL}|"])
    async def test_answers_name_a_version_that_is_there(self, http: httpx.AsyncClient, named: str) -> None:
        form = await publish(http)
        response = answers_to(form, {"seen": "no"}, questionnaire=named)
        refused = await http.post("QuestionnaireResponse", json=response, headers=EHR)
        assert (refused.status_code, places(refused)) == (422, ["QuestionnaireResponse.questionnaire"])

    async def test_answers_to_a_draft_are_refused(self, http: httpx.AsyncClient) -> None:
        form = await publish(http, status="draft")
        refused = await http.post("QuestionnaireResponse", json=answers_to(form, {"seen": "no"}), headers=EHR)
        assert (refused.status_code, places(refused)) == (422, ["QuestionnaireResponse.questionnaire"])


class TestWhatIsKept:
    async def test_a_draft_may_change_in_any_way(self, http: httpx.AsyncClient) -> None:
        form = await publish(http, status="draft", url=None)
        await publish(http, status="draft", title="Changed", item=form["item"][:1])

    async def test_answers_to_a_form_without_scoring_are_checked_kept_and_announced_without_a_score(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        form = await publish(http)
        response = answers_to(form, {"seen": "no"})
        assert (await http.post("QuestionnaireResponse", json=response, headers=EHR)).status_code == 201
        response["item"].append({"linkId": "when", "answer": [{"valueDate": "2026-01-01"}]})
        refused = await http.post("QuestionnaireResponse", json=response, headers=EHR)
        assert (refused.status_code, places(refused)) == (422, ["QuestionnaireResponse.item[1]"])
        (event,) = await said(runtime, "score-finalized")
        assert [each["resourceType"] for each in event.entries.values()] == ["QuestionnaireResponse", "Patient"]
        assert await stored(runtime, NORTH, "Provenance") == []

    async def test_a_retired_version_still_takes_the_answers_that_name_it(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        form = await publish(http)
        taken = await http.put("QuestionnaireResponse/r9", json=answers_to(form, {"seen": "no"}, id="r9"), headers=EHR)
        assert taken.status_code == 201
        await publish(http, status="retired", date="2026-11-22")
        amended = answers_to(form, {"seen": "yes"}, id="r9", status="amended")
        assert (await http.put("QuestionnaireResponse/r9", json=amended, headers=EHR)).status_code == 200
        assert await find_instrument(runtime, NORTH, URL) is None

    async def test_a_version_is_retired_by_a_patch(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        await publish(http)
        headers = {**EHR, "Content-Type": "application/json-patch+json"}
        for path, value, status in (("/status", "retired", 200), ("/title", "Another", 422)):
            patch = [{"op": "replace", "path": path, "value": value}]
            answer = await http.patch("Questionnaire/intake-1", content=json.dumps(patch), headers=headers)
            assert answer.status_code == status, answer.text
        assert await find_instrument(runtime, NORTH, URL) is None

    async def test_a_url_alone_means_the_newest_active_version(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        for version in ("1.9", "1.10", "1.2"):
            await publish(http, id=f"intake-{version}", version=version)
        found = await find_instrument(runtime, NORTH, URL)
        assert found is not None
        assert found.canonical == f"{URL}|1.10"
        await publish(http, id="intake-1.10", version="1.10", status="retired")
        found = await find_instrument(runtime, NORTH, URL)
        assert found is not None
        assert found.canonical == f"{URL}|1.9"

    async def test_another_replica_sees_a_publication_at_once(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        other = Runtime(_settings=runtime.settings, _engine=runtime.engine, _database=runtime.database)
        assert await find_instrument(other, NORTH, f"{URL}|1.0") is None
        await publish(http)
        assert await find_instrument(other, NORTH, f"{URL}|1.0") is not None
        await publish(http, status="retired")
        assert await find_instrument(other, NORTH, URL) is None

    async def test_two_tenants_may_use_one_name_for_different_forms(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        await publish(http)
        assert await find_instrument(runtime, "south", f"{URL}|1.0") is None

    async def test_the_instruments_that_ship_are_found_without_asking_the_database(self) -> None:
        closed = Runtime()  # any look at its database is an error
        for canonical, instrument in instruments().items():
            assert await find_instrument(closed, NORTH, canonical) is instrument
            assert await find_instrument(closed, NORTH, canonical.partition("|")[0]) is not None

    async def test_who_may_not_reach_the_tenant_sees_nothing_of_it(self, http: httpx.AsyncClient) -> None:
        await publish(http)
        assert (await http.get("Questionnaire/intake-1", headers=SOUTH_EHR)).status_code == 404


async def test_a_form_that_says_only_why_its_status_is_absent_is_kept_as_no_published_one(
    http: httpx.AsyncClient,
) -> None:
    absent = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    form = {"resourceType": "Questionnaire", "_status": {"extension": [absent]}}
    made = await http.post("Questionnaire", json=form, headers=EHR)
    assert made.status_code == 201, made.text
    again = await http.put(f"Questionnaire/{made.json()['id']}", json=made.json(), headers=EHR)
    assert again.status_code == 200, again.text
