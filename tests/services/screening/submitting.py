"""Forms as an EHR sends them to screening, and looks at everything that came of them."""

from typing import Any

import httpx
from stepwell_shared.runtime import Runtime

from tests.services.screening.rules.answering import answered, spread
from tests.support.runtime import NORTH, SOUTH, Announced, announced, stored, stored_of, token

Resource = dict[str, Any]

EHR, SOUTH_EHR = token(NORTH, "ehr"), token(SOUTH, "ehr")
CLINICIAN = token(NORTH, "clinician", "Practitioner/dr-1")
WORKER = token(NORTH, "community-health-worker", "Practitioner/worker-1")
EMITTED = ("QuestionnaireResponse", "RiskAssessment", "Flag", "Task", "Provenance", "Patient")


def patient(id_: str = "p1", **members: Any) -> Resource:
    return {"resourceType": "Patient", "id": id_, "name": [{"family": "Example"}], **members}


def form(item_nine: int | None = 0, others: int = 16, *, total: object = None, **members: Any) -> Resource:
    """A completed PHQ-9 of Patient/p1 whose first eight items add up to `others`; a member of None is left out."""
    body = {
        **answered("phq-9", [*spread(others, 8, 3), item_nine], total=total),
        "subject": {"reference": "Patient/p1"},
        "authored": "2026-11-21T09:50:00+01:00",
        **members,
    }
    return {name: value for name, value in body.items() if value is not None}


async def submit(http: httpx.AsyncClient, resource: Resource, headers: dict[str, str] = EHR) -> httpx.Response:
    """Sends the response under its own id, or to get one when it has none."""
    if "id" in resource:
        return await http.put(f"QuestionnaireResponse/{resource['id']}", json=resource, headers=headers)
    return await http.post("QuestionnaireResponse", json=resource, headers=headers)


async def accept(http: httpx.AsyncClient, *resources: Resource) -> Resource:
    """Sends one after the other; all are taken. The last one's answer."""
    for resource in resources:
        answer = await submit(http, resource)
        assert answer.status_code in {200, 201}, answer.text
    body: Resource = answer.json()
    return body


def places(answer: httpx.Response) -> list[str]:
    """Where an OperationOutcome says that something is wrong."""
    return [issue["expression"][0] for issue in answer.json()["issue"]]


async def said(runtime: Runtime, topic: str) -> list[Announced]:
    """What north's subscribers to a topic are told, in order."""
    return [event for event in await announced(runtime, NORTH) if event.topic == topic]


def score_in(event: Announced) -> Resource:
    """The score Observation of a notification."""
    (score,) = [each for each in event.entries.values() if each["resourceType"] == "Observation"]
    return score


async def the(runtime: Runtime, resource_type: str) -> Resource:
    """The only resource of this type in north."""
    (found,) = await stored(runtime, NORTH, resource_type)
    return found


async def everything(runtime: Runtime, tenant: str) -> dict[str, Any]:
    """All that a tenant has and is told."""
    return {**await stored_of(runtime, tenant, EMITTED), "announced": await announced(runtime, tenant)}
