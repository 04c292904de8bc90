"""Promises of a site's own item bank: attested, published for good, asked adaptively, scored with its error."""

import copy
import math
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from stepwell_shared.runtime import Runtime

from tests.services.screening.adaptive_forms import answered, ask, asked, begun, filled_in, questions
from tests.services.screening.banks import URL, bank_questionnaire, imported
from tests.services.screening.submitting import (
    CLINICIAN,
    EHR,
    SOUTH_EHR,
    Resource,
    accept,
    places,
    said,
    score_in,
    submit,
)
from tests.support.runtime import NORTH, URLS, stored

BANK = f"{URL}|1"


async def bring(http: httpx.AsyncClient, body: Resource, headers: dict[str, str] = EHR) -> httpx.Response:
    return await http.post("Questionnaire/$import-item-bank", json=body, headers=headers)


async def test_a_bank_that_nobody_may_use_or_that_cannot_measure_is_not_brought_in(http: httpx.AsyncClient) -> None:
    ours = "https://stepwell.health/fhir/Questionnaire/bank"
    depending = bank_questionnaire()
    expression = {"language": "text/fhirpath", "expression": "true"}
    url = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression"
    depending["item"][0]["extension"].append({"url": url, "valueExpression": expression})
    refusals: list[tuple[Resource, int]] = [
        (imported(bank_questionnaire(), attestedBy=""), 400),
        (imported(bank_questionnaire(), licence=""), 400),
        (imported({"resourceType": "Patient"}), 422),
        (bank_questionnaire(), 400),
        (imported({**bank_questionnaire(), "url": ours}), 422),
        (imported({**bank_questionnaire(), "status": "draft"}), 422),
        (imported(bank_questionnaire(itemsMax=31)), 422),
        (imported(bank_questionnaire(method=None)), 422),
        (imported(depending), 422),
        *((imported({k: v for k, v in bank_questionnaire().items() if k != name}), 422) for name in ("url", "version")),
    ]
    for body, status in refusals:
        refused = await bring(http, body)
        assert refused.status_code == status, refused.text
    assert (await bring(http, imported(bank_questionnaire()), CLINICIAN)).status_code == 403
    assert (await ask(http, begun(BANK))).status_code == 422


async def test_a_bank_is_published_for_good_and_for_its_tenant_only(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    body = imported(bank_questionnaire())
    published = await bring(http, body)
    assert published.status_code == 201, published.text
    (attestation,) = await stored(runtime, NORTH, "Provenance")
    assert attestation["target"] == [{"reference": f"Questionnaire/{published.json()['id']}/_history/1"}]
    assert attestation["agent"][0]["who"] == {"display": "Jo Example, head of the clinic"}
    assert attestation["reason"] == [{"text": "Licence: made here"}]
    emitted(attestation)
    assert published.headers["Location"].startswith(f"{URLS['screening']}/Questionnaire/")
    again = await bring(http, imported(bank_questionnaire(itemsMax=3)))
    assert again.status_code == 422
    assert (await ask(http, begun(BANK))).status_code == 200
    assert (await ask(http, begun(BANK), SOUTH_EHR)).status_code == 422
    plain = await submit(http, {**begun(BANK), "questionnaire": BANK, "contained": [], "status": "completed"})
    assert plain.status_code in {400, 422}


def independent(response: Resource, levels: dict[str, int]) -> tuple[float, float]:
    """Mean and deviation of the posterior by the trapezoid rule, from the published numbers alone."""
    items = {item["linkId"]: item for item in bank_questionnaire()["item"]}

    def density(theta: float) -> float:
        found = math.exp(-theta * theta / 2)
        for link_id, level in levels.items():
            numbers = [part["valueDecimal"] for part in items[link_id]["extension"][0]["extension"]]
            above = [1.0, *(1 / (1 + math.exp(-numbers[0] * (theta - each))) for each in numbers[1:]), 0.0]
            found *= above[level] - above[level + 1]
        return found

    grid = [-4 + index / 500 for index in range(4001)]
    weights = [density(theta) for theta in grid]
    mean = sum(weight * theta for weight, theta in zip(weights, grid, strict=True)) / sum(weights)
    spread = sum(weight * (theta - mean) ** 2 for weight, theta in zip(weights, grid, strict=True)) / sum(weights)
    return mean, math.sqrt(spread)


async def test_a_finished_test_is_a_t_score_with_its_standard_error(runtime: Runtime, http: httpx.AsyncClient) -> None:
    assert (await bring(http, imported(bank_questionnaire()))).status_code == 201
    levels: dict[str, int] = {}

    def level(item: Resource) -> int:
        levels[item["linkId"]] = (len(levels) + 1) % 4
        return levels[item["linkId"]]

    response = await filled_in(http, BANK, level)
    assert [item["linkId"] for item in questions(response)] == list(levels)
    assert 3 <= len(levels) <= 8
    await accept(http, response)
    (event,) = await said(runtime, "score-finalized")
    score = score_in(event)
    theta, error = independent(response, levels)
    assert score["code"]["coding"][0]["code"] == "artificial"
    assert math.isclose(score["valueQuantity"]["value"], 50 + 10 * theta, abs_tol=0.1)
    components = {each["code"]["coding"][0]["code"]: each for each in score["component"]}
    assert math.isclose(components["standard-error"]["valueQuantity"]["value"], 10 * error, abs_tol=0.1)
    assert components["items-answered"]["valueInteger"] == len(levels)


@pytest.mark.parametrize("blank", [True, False])
async def test_a_test_of_other_questions_than_were_asked_is_refused(http: httpx.AsyncClient, blank: bool) -> None:
    await bring(http, imported(bank_questionnaire()))
    response = answered(await asked(http, begun(BANK)), {} if not blank else lambda item: None)
    response = await asked(http, response)
    first = questions(response)
    swapped = copy.deepcopy(response)
    swapped["contained"][0]["item"] = [*reversed(first)]
    chosen: dict[str, Any] = copy.deepcopy(response)
    other = next(each for each in bank_questionnaire()["item"] if each["linkId"] not in {f["linkId"] for f in first})
    chosen["contained"][0]["item"][1] = {name: value for name, value in other.items() if name != "extension"}
    for changed, index in ((swapped, 0), (chosen, 1)):
        refused = await ask(http, changed)
        assert (refused.status_code, places(refused)[0]) == (
            422,
            f"QuestionnaireResponse.contained[0].item[{index}].linkId",
        )
    early = await submit(http, {**response, "status": "completed"})
    assert (early.status_code, places(early)) == (422, ["QuestionnaireResponse.status"])
