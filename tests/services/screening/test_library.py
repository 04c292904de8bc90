"""Promises of the instrument library at the door: what is imported, published, refused, and seen by whom."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from stepwell_screening import data
from stepwell_screening.instruments import find_imported, find_instrument, skeletons
from stepwell_shared.runtime import Runtime

from tests.services.screening.site_forms import Resource, answers_to, import_request, site_form
from tests.services.screening.submitting import EHR, SOUTH_EHR, places, said
from tests.support.runtime import NORTH, SOUTH, Announced, stored, token

ATTESTED = {"attestedBy": "A. Librarian", "licence": "Artificial licence 7 of 2026"}
CONTACTS = {"*": {"crisisContacts": [{"name": {"en": "Artificial crisis line"}, "phone": "+1 555 0100"}]}}


def scores_in(event: Announced) -> dict[str, Any]:
    """The score Observations of a notification by their code."""
    found = [each for each in event.entries.values() if each["resourceType"] == "Observation"]
    return {each["code"]["coding"][0]["code"]: each.get("valueQuantity", {}).get("value") for each in found}


async def bring(http: httpx.AsyncClient, instrument: str, form: Resource, **texts: str) -> httpx.Response:
    """Sends `$import`, attested unless told otherwise."""
    return await http.post(
        "Questionnaire/$import", json=import_request(instrument, form, **(texts or ATTESTED)), headers=EHR
    )


def issues(answer: httpx.Response) -> list[str]:
    return [issue["diagnostics"] for issue in answer.json()["issue"]]


def wsas_answers(form: Resource, weights: list[int], **members: Any) -> Resource:
    answers = {f"/wsas-{number}": f"wsas-{weight}" for number, weight in enumerate(weights, start=1)}
    return answers_to(form, answers, **members)


@pytest.fixture
def contacts(runtime: Runtime, tmp_path: Path) -> None:
    """The site has somebody to turn to."""
    path = tmp_path / "sites.json"
    path.write_text(json.dumps(CONTACTS))
    runtime._settings = runtime.settings.model_copy(update={"site_file": path})


class TestImport:
    async def test_a_form_with_four_items_is_refused_where_the_fifth_is_missing(self, http: httpx.AsyncClient) -> None:
        form = site_form("wsas")
        del form["item"][3]
        refused = await bring(http, "wsas", form)
        assert refused.status_code == 422
        assert issues(refused) == ["WSAS has 5 questions, this form has 4.", "The item /wsas-4 is missing."]
        assert places(refused) == ["Questionnaire.item", "Questionnaire.item"]

    async def test_another_weight_is_refused_with_its_place(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        form = site_form("wsas")
        form["item"][2]["answerOption"][4]["extension"][0]["valueDecimal"] = 5
        refused = await bring(http, "wsas", form)
        assert refused.status_code == 422
        assert places(refused) == ["Questionnaire.item[2].answerOption[4].extension"]
        assert await find_imported(runtime, NORTH, "wsas") is None

    @pytest.mark.parametrize("left_out", ["attestedBy", "licence"])
    async def test_wording_that_is_not_free_needs_who_attests_and_by_which_licence(
        self, http: httpx.AsyncClient, left_out: str
    ) -> None:
        texts = {name: text for name, text in ATTESTED.items() if name != left_out}
        refused = await bring(http, "wsas", site_form("wsas"), **texts)
        assert refused.status_code == 422
        assert places(refused) == [f"Parameters.parameter.where(name = '{left_out}')"]

    @pytest.mark.parametrize(
        "change",
        [
            lambda rows: rows[0].update(valueCode="no-such"),
            lambda rows: rows.pop(0),
            lambda rows: rows.pop(1),
            lambda rows: rows[1].update(resource={"resourceType": "Patient"}),
            lambda rows: rows[2].update(valueString="x" * 501),
            lambda rows: rows.append({"name": "verdict", "valueString": "fine"}),
            lambda rows: rows.append(rows[0]),
        ],
    )
    async def test_other_parameters_are_refused(
        self, http: httpx.AsyncClient, change: Callable[[list[Resource]], Any]
    ) -> None:
        request = import_request("wsas", site_form("wsas"), **ATTESTED)
        change(request["parameter"])
        refused = await http.post("Questionnaire/$import", json=request, headers=EHR)
        assert refused.status_code == 400

    async def test_who_may_not_create_questionnaires_cannot_import(self, http: httpx.AsyncClient) -> None:
        request = import_request("wsas", site_form("wsas"), **ATTESTED)
        headers = token(NORTH, "clinician", "Practitioner/dr-1")
        assert (await http.post("Questionnaire/$import", json=request, headers=headers)).status_code == 403

    async def test_the_products_own_urls_are_not_for_a_site(self, http: httpx.AsyncClient) -> None:
        form = site_form("wsas", url="https://stepwell.health/fhir/Questionnaire/phq-9", version="9")
        refused = await bring(http, "wsas", form)
        assert (refused.status_code, places(refused)) == (422, ["Questionnaire.url"])

    async def test_a_form_that_is_published_is_not_imported_over(self, http: httpx.AsyncClient) -> None:
        assert (await bring(http, "wsas", site_form("wsas"))).status_code == 201
        refused = await bring(http, "wsas", site_form("wsas", title="Another title"))
        assert (refused.status_code, places(refused)) == (409, ["Questionnaire.version"])

    async def test_suicide_questions_wait_for_crisis_contacts(self, http: httpx.AsyncClient) -> None:
        refused = await bring(http, "c-ssrs-screener", site_form("c-ssrs-screener"))
        assert refused.status_code == 422
        assert issues(refused) == [
            "This form has questions whose answers may call for help at once: set the site's crisis contacts first."
        ]

    async def test_an_imported_form_is_scored_by_our_definition(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        form = site_form("wsas")
        answer = await bring(http, "wsas", form)
        assert answer.status_code == 201, answer.text
        assert (answer.json()["status"], answer.json()["copyright"]) == ("active", skeletons()["wsas"].notice)
        taken = await http.post("QuestionnaireResponse", json=wsas_answers(form, [1, 2, 3, 4, 8]), headers=EHR)
        assert taken.status_code == 201, taken.text
        (event,) = await said(runtime, "score-finalized")
        assert scores_in(event) == {"wsas": 18, "wsas-without-work": None}

    async def test_an_imported_form_under_the_products_url_can_be_retired_and_not_changed(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        form = (await bring(http, "wsas", site_form("wsas", url=None))).json()
        changed = await http.put(f"Questionnaire/{form['id']}", json={**form, "title": "Another"}, headers=EHR)
        assert (changed.status_code, places(changed)) == (422, ["Questionnaire.title"])
        retired = await http.put(f"Questionnaire/{form['id']}", json={**form, "status": "retired"}, headers=EHR)
        assert retired.status_code == 200
        assert await find_imported(runtime, NORTH, "wsas") is None
        assert await find_instrument(runtime, NORTH, f"{form['url']}|{form['version']}") is not None

    async def test_sent_again_it_is_imported_once(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        first = await bring(http, "wsas", site_form("wsas"))
        again = await asyncio.gather(*(bring(http, "wsas", site_form("wsas")) for _ in range(4)))
        assert {each.status_code for each in again} == {200}
        assert {each.json()["id"] for each in again} == {first.json()["id"]}
        assert len([each for each in await stored(runtime, NORTH, "Provenance") if _is_of(each, first)]) == 1

    async def test_who_attested_what_and_when_can_be_read_later(
        self, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
    ) -> None:
        form = (await bring(http, "wsas", site_form("wsas"))).json()
        found = await http.get(f"Provenance?target=Questionnaire/{form['id']}", headers=EHR)
        (provenance,) = [entry["resource"] for entry in found.json()["entry"]]
        emitted(provenance)
        attester = provenance["agent"][0]
        assert attester["type"]["coding"][0]["code"] == "attester"
        assert attester["who"] == {"display": "A. Librarian"}
        assert provenance["reason"] == [{"text": "Licence: Artificial licence 7 of 2026"}]
        assert provenance["recorded"].startswith("2026-11-21")

    async def test_another_tenant_neither_sees_nor_uses_it(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        form = site_form("wsas")
        id_ = (await bring(http, "wsas", form)).json()["id"]
        assert (await http.get(f"Questionnaire/{id_}", headers=SOUTH_EHR)).status_code == 404
        assert await find_instrument(runtime, SOUTH, f"{form['url']}|{form['version']}") is None
        refused = await http.post("QuestionnaireResponse", json=wsas_answers(form, [1, 2, 3, 4, 5]), headers=SOUTH_EHR)
        assert (refused.status_code, places(refused)) == (422, ["QuestionnaireResponse.questionnaire"])

    async def test_a_free_instrument_needs_no_attestation_for_a_translation(self, http: httpx.AsyncClient) -> None:
        form = data.questionnaire("phq-9") | {"url": "https://clinic.example/Questionnaire/phq-9-xx", "language": "eo"}
        request = import_request("phq-9", json.loads(json.dumps(form, default=float)))
        refused = await http.post("Questionnaire/$import", json=request, headers=EHR)
        assert [issue["expression"] for issue in refused.json()["issue"]] == [["Questionnaire"]]  # crisis contacts

    @pytest.mark.usefixtures("contacts")
    async def test_a_translation_keeps_its_safety_item(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        form = data.questionnaire("phq-9") | {"url": "https://clinic.example/Questionnaire/phq-9-xx"}
        request = import_request("phq-9", json.loads(json.dumps(form, default=float)))
        assert (await http.post("Questionnaire/$import", json=request, headers=EHR)).status_code == 201
        response = answers_to(form, {"/44260-8": "LA6571-9"})
        assert (await http.post("QuestionnaireResponse", json=response, headers=EHR)).status_code == 201
        assert len(await stored(runtime, NORTH, "RiskAssessment")) == 1

    @pytest.mark.usefixtures("contacts")
    async def test_every_instrument_without_wording_can_be_brought(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        for instrument in data.skeletons():
            answer = await bring(http, instrument, site_form(instrument, url=None))
            assert answer.status_code == 201, (instrument, answer.text)
            assert answer.json()["url"] == skeletons()[instrument].url
            found = await find_imported(runtime, NORTH, instrument)
            assert found is not None
            assert found.canonical == f"{answer.json()['url']}|2026.1"


def _is_of(provenance: Resource, answer: httpx.Response) -> bool:
    return str(provenance["target"][0]["reference"]).startswith(f"Questionnaire/{answer.json()['id']}/")
