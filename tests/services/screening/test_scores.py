"""Promises of a response with several scores: each goes out by itself, under an id and a code of its own."""

import httpx
import pytest
from stepwell_shared.canonical import derived_id
from stepwell_shared.runtime import Runtime

from tests.services.screening.rules.filling import DEFINITIONS, Answers, filled
from tests.services.screening.submitting import EHR, Resource, accept, form, patient, places, said, submit, the
from tests.support.runtime import NORTH, URLS

PHQ_4 = DEFINITIONS["phq-4"].item_link_ids


def of(name: str, answers: Answers, **members: object) -> Resource:
    """A finished form of Patient/p1 under the id r1."""
    response = filled(name, answers) | {"id": "r1", "subject": {"reference": "Patient/p1"}}
    return response | {"authored": "2026-11-21T09:50:00+01:00"} | members


def answered(*weights: int) -> dict[str, object]:
    return dict(zip(PHQ_4, weights, strict=True))


def score_address(code: str, response: str = "r1") -> str:
    return f"{URLS['measurement']}/Observation/{derived_id(URLS['screening'], NORTH, 'score', response, code)}"


async def scores(runtime: Runtime, number: int = -1) -> dict[str, Resource]:
    """The score Observations of an event by address, in their order."""
    event = (await said(runtime, "score-finalized"))[number]
    return {url: each for url, each in event.entries.items() if each["resourceType"] == "Observation"}


@pytest.mark.parametrize(("link_id", "position"), [("/gad-2", 4), ("/55758-7", 4), ("/70272-0", 4)])
async def test_any_stated_score_that_differs_is_refused_with_its_place(
    runtime: Runtime, http: httpx.AsyncClient, link_id: str, position: int
) -> None:
    response = of("phq-4", answered(3, 0, 1, 1))
    response["item"].append({"linkId": link_id, "answer": [{"valueDecimal": 11}]})
    refused = await submit(http, response)
    assert refused.status_code == 422
    assert places(refused) == [f"QuestionnaireResponse.item[{position}].answer[0].value"]
    assert await said(runtime, "score-finalized") == []


async def test_a_rating_beyond_its_scale_is_refused(http: httpx.AsyncClient) -> None:
    refused = await submit(http, of("peg", {"/75893-8": 11, "/91145-3": 0, "/91146-1": 0}))
    assert refused.status_code == 422
    assert set(places(refused)) == {"QuestionnaireResponse.item[0].answer[0].value"}


async def test_each_score_goes_out_under_the_id_of_its_code(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await accept(http, of("phq-4", answered(3, 2, 1, 1)))
    found = await scores(runtime)
    assert {url: each["valueQuantity"]["value"] for url, each in found.items()} == {
        score_address("70272-0"): 7,
        score_address("gad-2"): 5,
        score_address("55758-7"): 2,
    }
    targets = (await the(runtime, "Provenance"))["target"]
    assert [target["reference"] for target in targets][:3] == list(found)


async def test_the_score_of_phq_9_keeps_its_id_and_stays_the_only_one(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await accept(http, form(0, id="r1"))
    assert list(await scores(runtime)) == [score_address("44261-6")]


async def test_an_amendment_says_every_score_anew_under_the_same_ids(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await accept(http, of("phq-4", answered(3, 3, 3, 3)))
    await accept(http, of("phq-4", answered(3, 3, 0, 0), status="amended"))
    before, after = await scores(runtime, 0), await scores(runtime, 1)
    assert before.keys() == after.keys()
    assert [each["valueQuantity"]["value"] for each in after.values()] == [6, 6, 0]
    assert {each["status"] for each in after.values()} == {"amended"}


@pytest.mark.parametrize(
    ("gender", "band"), [("female", "positive"), ("male", "negative"), ("other", "depends-on-sex")]
)
async def test_audit_c_is_banded_by_the_sex_on_record(
    runtime: Runtime, http: httpx.AsyncClient, gender: str, band: str
) -> None:
    await http.put("Patient/p1", json=patient(gender=gender), headers=EHR)
    await accept(http, of("audit-c", {"/68518-0": 1, "/68519-8": 1, "/68520-6": 1}))
    (score,) = (await scores(runtime)).values()
    assert score["interpretation"][0]["coding"][0]["code"] == f"audit-c-{band}"
