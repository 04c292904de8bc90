"""Somebody fills in an adaptive form: asks, answers what is asked, asks again, until there is no more."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from tests.services.screening.submitting import EHR, Resource

FORMS = "https://stepwell.health/fhir/Questionnaire/adaptive-"
STEPS_MAX = 60
Chosen = Mapping[str, int | None]
"""The position of the option that is chosen, by linkId; None leaves the question blank."""


def begun(form: str, **members: Any) -> Resource:
    """A response that has just begun; `form` is the canonical, or the end of that of a shipped form."""
    canonical = form if "|" in form else f"{FORMS}{form}|1.0.0"
    return {
        "resourceType": "QuestionnaireResponse",
        "contained": [{"resourceType": "Questionnaire", "id": "form", "status": "active", "derivedFrom": [canonical]}],
        "questionnaire": "#form",
        "status": "in-progress",
        "subject": {"reference": "Patient/p1"},
        **members,
    }


async def ask(http: httpx.AsyncClient, response: Resource, headers: dict[str, str] = EHR) -> httpx.Response:
    return await http.post("Questionnaire/$next-question", json=response, headers=headers)


async def asked(http: httpx.AsyncClient, response: Resource) -> Resource:
    """The response with what is asked next."""
    answer = await ask(http, response)
    assert answer.status_code == 200, answer.text
    body: Resource = answer.json()
    return body


def questions(response: Resource) -> list[Resource]:
    """The items of the contained Questionnaire, outermost."""
    found: list[Resource] = response["contained"][0].get("item", [])
    return found


def steps(response: Resource) -> list[str]:
    return [item["linkId"] for item in questions(response)]


def answered(response: Resource, chosen: Chosen | Callable[[Resource], int | None]) -> Resource:
    """The response with an answer to every question asked; what `chosen` does not name gets the first option."""
    pick = chosen if callable(chosen) else lambda item: chosen.get(item["linkId"], 0)
    kept = {item["linkId"] for item in response.get("item", ())}
    added = [_item(item, pick) for item in questions(response) if item["linkId"] not in kept]
    items = [*response.get("item", ()), *(item for item in added if "item" in item or "answer" in item)]
    return {**copy.deepcopy(response), **({"item": items} if items else {})}


def _item(item: Resource, pick: Callable[[Resource], int | None]) -> Resource:
    body: Resource = {"linkId": item["linkId"], "text": item["text"]}
    if item["type"] == "group":
        children = [_item(child, pick) for child in item["item"] if not child.get("readOnly") and _is_on(child)]
        filled = [child for child in children if "answer" in child]
        return {**body, "item": filled} if filled else body
    position = pick(item) if item["type"] == "choice" else None
    if position is None:
        return body
    return {**body, "answer": [{"valueCoding": item["answerOption"][position]["valueCoding"]}]}


def _is_on(item: Resource) -> bool:
    """Questions that depend on others are left out unless the test asks for them."""
    return "enableWhen" not in item


async def filled_in(
    http: httpx.AsyncClient, form: str, chosen: Chosen | Callable[[Resource], int | None], **members: Any
) -> Resource:
    """The completed response of somebody who answers so."""
    response = await asked(http, begun(form, **members))
    for _ in range(STEPS_MAX):
        if response["status"] == "completed":
            return response
        response = await asked(http, answered(response, chosen))
    raise AssertionError("the form does not end")
