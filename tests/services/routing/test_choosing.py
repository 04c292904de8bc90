"""Promises of the person's choice: in their own name, from the menu, never below safety, looked at early, once."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import httpx
import pytest
from stepwell_routing.data.plans import early_review_after
from stepwell_routing.use_cases.choosing import CHOSEN_OPTION, CHOSEN_STEP, choose
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.runtime import Runtime

from tests.services.routing.caring import as_patient, parameters, read
from tests.services.routing.hearing import Resource, alert, everything, hear, open_request, requests, scored, tier
from tests.support.runtime import NORTH, stored, token
from tests.support.terminology import unknown_codings

CLINICIAN = token(NORTH, "clinician", "Practitioner/dr-1")


def chosen(option: str | None = None, step: str | None = None, words: str | None = None) -> Resource:
    given = {"option": {"valueCode": option}, "step": {"valueCode": step}, "words": {"valueString": words}}
    return parameters(**{name: value for name, value in given.items() if None not in value.values()})


async def ask(
    http: httpx.AsyncClient, request: Resource, body: Resource, headers: dict[str, str] = CLINICIAN
) -> httpx.Response:
    return await http.post(f"ServiceRequest/{request['id']}/$choose", json=body, headers=headers)


async def said(runtime: Runtime) -> dict[str, str | None]:
    """What the next decision knows of the newest choice."""
    async with runtime.database.transaction(NORTH) as connection:
        rows = await connection.fetch("SELECT name, value FROM evidence WHERE name LIKE 'said/%' ORDER BY position")
    return {row["name"]: row["value"] for row in rows}


async def test_what_is_not_offered_not_open_or_not_theirs_is_no_choice(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await hear(runtime, scored(11), scored(16, "r2", day=21))
    withdrawn, proposed = sorted(await requests(runtime), key=tier)
    before = await everything(runtime, NORTH)
    for body, status in (
        (chosen(words="Something else"), 422),
        (chosen("no-such-option"), 422),
        (chosen(step="tier-4"), 422),
        (chosen("day-programme", "tier-2"), 422),
        ({**chosen("group"), "parameter": [{"name": "force", "valueBoolean": True}]}, 400),
    ):
        assert (await ask(http, proposed, body)).status_code == status, body
    assert (await ask(http, withdrawn, chosen(step="tier-1"))).status_code == 422
    for role, status in (("coordinator", 403), ("community-health-worker", 403)):
        assert (await ask(http, proposed, chosen(step="tier-2"), token(NORTH, role))).status_code == status
    with pytest.raises(FhirError, match="no ServiceRequest"):
        await choose(runtime, as_patient(runtime, "ServiceRequest", proposed["id"], chosen(step="tier-2"), "p2"))
    assert await everything(runtime, NORTH) == before


async def test_a_choice_of_less_never_goes_below_what_safety_asks_for(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await hear(runtime, scored(3), alert(response="r1"))
    held = await requests(runtime)
    assert [(await ask(http, each, chosen(step="tier-1"))).status_code for each in held] == [422]
    await hear(runtime, alert("moderate", response="r1"))
    refused = await ask(http, await open_request(runtime), chosen(step="tier-2"))
    assert (refused.status_code, "not less than safety asks for" in refused.text) == (422, True)
    assert await stored(runtime, NORTH, "Communication") == []


async def test_an_option_is_chosen_by_the_person_and_written_down_by_who_heard_it(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await hear(runtime, scored(16))
    proposal = await open_request(runtime)
    option = proposal["orderDetail"][-1]["coding"][0]
    answer = await ask(http, proposal, chosen(option["code"], words="Evenings suit me."))
    assert answer.status_code == 201
    (made,) = await stored(runtime, NORTH, "Communication")
    assert answer.json() == made
    assert made["topic"] == {"coding": [option]}
    assert (made["sender"], made["subject"]) == (proposal["subject"], proposal["subject"])
    assert made["about"] == [{"reference": f"ServiceRequest/{proposal['id']}/_history/1"}]
    provenance = (await stored(runtime, NORTH, "Provenance"))[-1]
    assert [each["who"] for each in provenance["agent"]] == [proposal["subject"], {"reference": "Practitioner/dr-1"}]
    assert await said(runtime) == {CHOSEN_OPTION: option["code"], CHOSEN_STEP: None}
    assert await open_request(runtime) == proposal
    for resource in (made, provenance):
        validation.check(encode(resource), resource["resourceType"])
        assert unknown_codings(resource) == []
        emitted(resource)


async def test_less_is_chosen_by_the_person_beside_the_proposal_and_looked_at_early(runtime: Runtime) -> None:
    await hear(runtime, scored(16))
    proposal = await open_request(runtime)
    request = as_patient(runtime, "ServiceRequest", proposal["id"], chosen(step="tier-1"))
    made = read(await choose(runtime, request))
    assert [each["coding"][0]["code"] for each in made["category"]] == ["choose", "chose-less"]
    assert (await said(runtime))[CHOSEN_STEP] == "1"
    assert await open_request(runtime) == proposal
    (review,) = await stored(runtime, NORTH, "Task")
    due = datetime.fromisoformat(review["restriction"]["period"]["end"])
    assert due - runtime.clock() <= min(early_review_after(), timedelta(weeks=4))
    provenance = (await stored(runtime, NORTH, "Provenance"))[-1]
    assert [each["who"] for each in provenance["agent"]] == [proposal["subject"]]


async def test_said_again_it_is_one_choice_and_the_last_one_counts(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(16))
    proposal = await open_request(runtime)
    answers = await asyncio.gather(*(ask(http, proposal, chosen(step="tier-1")) for _ in range(4)))
    assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
    option = proposal["orderDetail"][0]["coding"][0]["code"]
    assert (await ask(http, proposal, chosen(option))).status_code == 201
    assert len(await stored(runtime, NORTH, "Communication")) == 2
    assert await said(runtime) == {CHOSEN_OPTION: option, CHOSEN_STEP: None}
