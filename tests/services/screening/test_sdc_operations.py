"""Promises of SDC's operations over HTTP: what is refused and where, what is answered, and that nothing is stored."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from stepwell_measurement.app import service as measurement
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.fhir import validation
from stepwell_shared.runtime import Runtime

from tests.services.screening.rules.sdc_forms import (
    Resource,
    coded,
    expression,
    given,
    launch_context,
    period,
    question,
    questionnaire,
    response,
    said,
    unit,
    variable,
)
from tests.services.screening.submitting import EHR, SOUTH_EHR, accept, everything, form, places
from tests.support.runtime import NORTH, http_of, running, stored, token

C = "https://stepwell.health/fhir/Questionnaire"
ANALYST = token(NORTH, "analyst")
WEIGHT = questionnaire(
    question("w", "decimal", unit("kg"), code=[coded("29463-7")]),
    extensions=(said("observationExtract", valueBoolean=True),),
)
WEIGHED = response(given("w", {"valueDecimal": 72.5}))
GREETING = questionnaire(
    question("q", "string", expression("initialExpression", "%patient.name.first().family")),
    extensions=(launch_context("patient", "Patient"),),
)
ALL = "%questionnaire.descendants()"
ENDLESS = f"{ALL}.where({ALL}.where({ALL}.exists()).exists())"


def asked(**parameters: Any) -> Resource:
    """Parameters; a resource is told from a value by its type."""
    rows = []
    for key, value in parameters.items():
        is_resource = "resourceType" in value
        rows.append({"name": key.replace("_", "-"), **({"resource": value} if is_resource else value)})
    return {"resourceType": "Parameters", "parameter": rows}


def answered(answer: httpx.Response) -> dict[str, Any]:
    """The resources of Parameters by name; each of them, and all that they hold, is what R4 accepts."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert validation.validate(body, "Parameters") == []
    return {each["name"]: each["resource"] for each in body["parameter"]}


def said_of(outcome: Resource) -> list[tuple[str, str]]:
    return [(issue["severity"], issue["code"]) for issue in outcome["issue"]]


EXTRACT, POPULATE = "QuestionnaireResponse/$extract", "Questionnaire/$populate"
ASSEMBLE, PROCESS = "Questionnaire/$assemble", "Questionnaire/$process-response"


def stands_for(canonical: str, link_id: str = "d") -> Resource:
    """The item that stands for a part."""
    return question(link_id, "display", said("subQuestionnaire", valueCanonical=canonical))


NAMELESS = {"part": [{"name": "name", "valueString": "x"}]}
REFUSED: list[tuple[str, Resource, int, str]] = [
    (EXTRACT, asked(questionnaire=WEIGHT), 400, "Parameters"),
    (EXTRACT, asked(questionnaire_response=WEIGHED, more={"valueString": "x"}), 400, "Parameters.parameter[1]"),
    (EXTRACT, asked(questionnaire_response=WEIGHT), 400, "Parameters.parameter[0]"),
    (EXTRACT, WEIGHED, 422, "QuestionnaireResponse.questionnaire"),
    (EXTRACT, {**WEIGHED, "status": "in-progress"}, 422, "QuestionnaireResponse.status"),
    (
        EXTRACT,
        asked(questionnaire_response=WEIGHED, questionnaire={**WEIGHT, "version": "2"}),
        422,
        "Parameters.parameter[1].resource.url",
    ),
    (EXTRACT, {**form(1), "item": [{"linkId": "/unknown"}]}, 422, "QuestionnaireResponse.item[0].linkId"),
    (POPULATE, asked(subject={"valueReference": {"reference": "Patient/p1"}}), 400, "Parameters"),
    (POPULATE, asked(questionnaire={"valueCanonical": f"{C}/nothing"}), 404, "Parameters.parameter[0]"),
    (POPULATE, asked(questionnaire={"valueBoolean": True}), 400, "Parameters.parameter[0]"),
    (POPULATE, asked(questionnaire=GREETING, subject={"valueBoolean": True}), 400, "Parameters.parameter[1]"),
    (POPULATE, asked(questionnaire=GREETING, local={"valueString": "perhaps"}), 400, "Parameters.parameter[1]"),
    (POPULATE, asked(questionnaire=GREETING, context=NAMELESS), 400, "Parameters.parameter[1]"),
    (POPULATE, asked(questionnaire=GREETING, canonical={"valueUri": C}), 400, "Parameters.parameter[1]"),
    (ASSEMBLE, questionnaire(stands_for(f"{C}/nothing")), 422, "Questionnaire.item[0]"),
    (PROCESS, WEIGHT, 400, "Parameters"),
    (PROCESS, asked(**{"in": WEIGHT}), 400, "Parameters.parameter[0]"),
    (PROCESS, asked(**{"in": form(1), "more": {"valueString": "x"}}), 400, "Parameters.parameter"),
    (PROCESS, form(1, total=26), 422, "QuestionnaireResponse.item[9].answer[0].value"),
]


async def test_what_cannot_be_answered_is_refused_with_its_place_and_nothing_is_stored(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    before = await everything(runtime, NORTH)
    for address, body, status, place in REFUSED:
        answer = await http.post(address, json=body, headers=EHR)
        assert (address, answer.status_code, places(answer)[0]) == (address, status, place)
    assert await everything(runtime, NORTH) == before


async def test_a_hostile_form_is_refused_after_bounded_work(http: httpx.AsyncClient) -> None:
    many = [question(f"i{number}") for number in range(300)]
    endless = questionnaire(*many, extensions=(variable("x", ENDLESS),))
    growing = variable("linkIdPrefix", "'a'.toChars().repeat($this & 'a').first()")
    modular = questionnaire(question("g", "group", growing, item=[stands_for(f"{C}/gad-7|1.0.0")]))
    extracting = asked(questionnaire_response=WEIGHED, questionnaire=endless)
    for address, body in ((EXTRACT, extracting), (POPULATE, endless), (ASSEMBLE, modular)):
        answer = await http.post(address, json=body, headers=EHR)
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (422, "too-costly")


async def test_what_another_tenant_has_is_not_there(http: httpx.AsyncClient) -> None:
    assert (await http.get("QuestionnaireResponse/r1/$extract", headers=SOUTH_EHR)).status_code == 200
    for method, address in (
        ("POST", "QuestionnaireResponse/r1/$extract"),
        ("GET", "QuestionnaireResponse/r1/$extract"),
        ("POST", "Questionnaire/nobody/$populate"),
        ("GET", "Questionnaire/nobody/$assemble"),
        ("POST", "Questionnaire/nobody/$process-response"),
    ):
        assert (await http.request(method, address, headers=EHR)).status_code == 404


async def test_an_operation_needs_the_rights_of_what_it_reads_and_writes(http: httpx.AsyncClient) -> None:
    subject = {"valueReference": {"reference": "Patient/p1"}}
    local = asked(questionnaire=GREETING, subject=subject, local={"valueBoolean": True})
    for address, body in ((EXTRACT, WEIGHED), (PROCESS, form(1)), (POPULATE, local)):
        assert (await http.post(address, json=body, headers=ANALYST)).status_code == 403
    for address in (EXTRACT, POPULATE, ASSEMBLE, PROCESS):
        assert (await http.post(address, json=GREETING)).status_code == 401


async def test_a_context_that_is_not_within_reach_is_warned_of_and_never_shown(http: httpx.AsyncClient) -> None:
    context = {
        "part": [
            {"name": "name", "valueString": "patient"},
            {"name": "content", "valueReference": {"reference": "Patient/south-only"}},
        ]
    }
    found = answered(await http.post(POPULATE, json=asked(questionnaire=GREETING, context=context), headers=EHR))
    assert "answer" not in found["response"]["item"][0]
    assert said_of(found["issues"])[0] == ("warning", "not-found")


async def test_a_form_is_filled_in_from_the_patient_that_is_sent_along(http: httpx.AsyncClient) -> None:
    patient = {"resourceType": "Patient", "id": "p7", "name": [{"family": "Sent"}]}
    context = {"part": [{"name": "name", "valueString": "patient"}, {"name": "content", "resource": patient}]}
    subject = {"valueReference": {"reference": "Patient/p7"}}
    body = asked(questionnaire=GREETING, subject=subject, context=context)
    found = answered(await http.post(POPULATE, json=body, headers=EHR))
    assert found == {
        "response": {
            "resourceType": "QuestionnaireResponse",
            "questionnaire": "https://forms.example/Questionnaire/form|1",
            "status": "in-progress",
            "subject": {"reference": "Patient/p7"},
            "authored": found["response"]["authored"],
            "item": [{"linkId": "q", "text": "q", "answer": [{"valueString": "Sent"}]}],
        }
    }


async def test_a_form_is_filled_in_from_the_patient_that_is_kept_here_when_asked_to(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    before = await everything(runtime, NORTH)
    subject = {"valueReference": {"reference": "Patient/p1"}}
    for local, expected in ((True, [{"valueString": "Example"}]), (False, None)):
        body = asked(questionnaire=GREETING, subject=subject, local={"valueBoolean": local})
        found = answered(await http.post(POPULATE, json=body, headers=EHR))
        assert found["response"]["item"][0].get("answer") == expected
    assert await everything(runtime, NORTH) == before


async def test_a_form_of_the_library_is_populated_by_name_by_reference_by_id_and_by_get(
    http: httpx.AsyncClient,
) -> None:
    listed = (await http.get(f"Questionnaire?url={C}/gad-7", headers=EHR)).json()
    reference = f"Questionnaire/{listed['entry'][0]['resource']['id']}"
    asking = [
        await http.post(POPULATE, json=asked(questionnaire={"valueCanonical": f"{C}/gad-7"}), headers=EHR),
        await http.post(POPULATE, json=asked(questionnaire={"valueReference": {"reference": reference}}), headers=EHR),
        await http.post(f"{reference}/$populate", headers=EHR),
        await http.get(f"{reference}/$populate", headers=EHR),
        await http.get(f"{POPULATE}?questionnaire={C}/gad-7|1.0.0&subject=Patient/p1", headers=EHR),
    ]
    named = {answered(answer)["response"]["questionnaire"] for answer in asking}
    assert named == {f"{C}/gad-7|1.0.0"}
    assert answered(asking[-1])["response"]["subject"] == {"reference": "Patient/p1"}


async def test_observations_that_are_sent_along_answer_their_questions(http: httpx.AsyncClient) -> None:
    asks = questionnaire(question("w", "decimal", period(9, "a"), unit("kg"), code=[coded("29463-7")]))
    made = answered(
        await http.post(EXTRACT, json=asked(questionnaire_response=WEIGHED, questionnaire=WEIGHT), headers=EHR)
    )
    data = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": made["return"]["entry"][0]["resource"]}],
    }
    subject = {"valueReference": {"reference": "Patient/p1"}}
    answer = await http.post(POPULATE, json=asked(questionnaire=asks, subject=subject, data=data), headers=EHR)
    assert answered(answer)["response"]["item"][0]["answer"] == [{"valueDecimal": 72.5}]


async def test_two_forms_of_the_library_make_one(runtime: Runtime, http: httpx.AsyncClient) -> None:
    def holder(link_id: str, canonical: str) -> Resource:
        inner = stands_for(canonical, f"{link_id}-d")
        return question(link_id, "group", variable("linkIdPrefix", f"'{link_id}.'"), item=[inner])

    whole = questionnaire(holder("mood", f"{C}/phq-2|1.0.0"), holder("worry", f"{C}/gad-2|1.0.0"), language="en")
    found = answered(await http.post(ASSEMBLE, json=asked(questionnaire=whole), headers=EHR))
    made = found["return"]
    assert (made["url"], made["version"]) == (whole["url"], whole["version"])
    assert all(item["linkId"].startswith("mood.") for item in made["item"][0]["item"])
    assert all(item["linkId"].startswith("worry.") for item in made["item"][1]["item"])
    assert [
        each["url"] for each in (await stored(runtime, NORTH, "Questionnaire")) if each["url"] == whole["url"]
    ] == []


async def test_a_response_that_is_handed_in_is_stored_and_scored_as_by_a_create(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    answer = await http.post(PROCESS, json=asked(**{"in": form(0)}), headers=EHR)
    assert (answer.status_code, said_of(answer.json())) == (200, [("information", "informational")])
    place = answer.headers["location"]
    kept = await http.get(place.partition("/_history")[0].rpartition("fhir/")[2], headers=EHR)
    assert kept.json()["status"] == "completed"
    told = (await everything(runtime, NORTH))["announced"]
    assert [event.topic for event in told].count("score-finalized") == 1


async def test_a_form_takes_only_its_own_responses(http: httpx.AsyncClient) -> None:
    listed = (await http.get(f"Questionnaire?url={C}/gad-7,{C}/phq-9", headers=EHR)).json()
    by_url = {each["resource"]["url"]: each["resource"]["id"] for each in listed["entry"]}
    other = await http.post(f"Questionnaire/{by_url[f'{C}/gad-7']}/$process-response", json=form(0), headers=EHR)
    assert (other.status_code, places(other)) == (422, ["QuestionnaireResponse.questionnaire"])
    own = await http.post(f"Questionnaire/{by_url[f'{C}/phq-9']}/$process-response", json=form(0), headers=EHR)
    assert own.status_code == 200


async def test_handed_in_twice_under_one_key_a_response_is_stored_once(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    keyed = {**EHR, "idempotency-key": "form-1"}
    first = await http.post(PROCESS, json=form(0), headers=keyed)
    again = await http.post(PROCESS, json=form(0), headers=keyed)
    assert (again.status_code, again.json(), again.headers["location"]) == (
        200,
        first.json(),
        first.headers["location"],
    )
    assert len(await stored(runtime, NORTH, "QuestionnaireResponse")) == 1


async def test_nothing_to_extract_is_a_success_with_a_warning(http: httpx.AsyncClient) -> None:
    body = await accept(http, form(0))
    answer = await http.get(f"QuestionnaireResponse/{body['id']}/$extract", headers=EHR)
    found = answered(answer)
    assert (list(found), said_of(found["issues"])) == (["issues"], [("warning", "informational")])


async def test_a_diary_becomes_observations_that_measurement_takes(
    http: httpx.AsyncClient, database_of: Callable[[str], Awaitable[DatabaseUrls]], tmp_path: Path
) -> None:
    diary = response(
        given("/tracker-symptoms", {"valueInteger": 3}),
        given("/tracker-mood", {"valueInteger": 6}),
        given("/tracker-sleep-hours", {"valueDecimal": 6.5}),
        given("/tracker-activity", {"valueInteger": 30}),
        questionnaire=f"{C}/tracker|1.0.0",
        id=None,
        author=None,
    )
    body = await accept(http, diary)
    made = answered(await http.post(f"QuestionnaireResponse/{body['id']}/$extract", headers=EHR))
    assert [entry["resource"]["valueQuantity"]["unit"] for entry in made["return"]["entry"]] == [
        "{score}",
        "{score}",
        "h",
        "min",
    ]
    (tmp_path / "measurement").mkdir()
    async with (
        running(measurement, await database_of("measurement"), tmp_path / "measurement") as opened,
        http_of(opened, measurement) as client,
    ):
        answer = await client.post("", json=made["return"], headers=token(NORTH, "ehr"))
        assert answer.status_code == 200, answer.text
        kept = await stored(opened, NORTH, "Observation")
    assert len(kept) == 4
    assert {each["derivedFrom"][0]["reference"] for each in kept} == {
        f"https://stepwell.example/screening/fhir/QuestionnaireResponse/{body['id']}"
    }


async def test_an_extracted_resource_that_r4_would_refuse_is_warned_of_with_its_place(http: httpx.AsyncClient) -> None:
    begins = said(
        "definitionExtract",
        extension=[{"url": "definition", "valueCanonical": "http://hl7.org/fhir/StructureDefinition/Observation"}],
    )
    asks = questionnaire(
        question("q", definition="http://hl7.org/fhir/StructureDefinition/Observation#Observation.value"),
        extensions=(begins,),
    )
    body = asked(questionnaire_response=response(given("q", {"valueString": "x"})), questionnaire=asks)
    answer = await http.post(EXTRACT, json=body, headers=EHR)
    assert answer.status_code == 200
    issues = {each["name"]: each["resource"] for each in answer.json()["parameter"]}["issues"]["issue"]
    assert {issue["severity"] for issue in issues} == {"warning"}
    assert {issue["expression"][0] for issue in issues} == {
        "Bundle.entry[0].resource.status",
        "Bundle.entry[0].resource.code",
    }
