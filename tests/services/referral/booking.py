"""A calendar with slots and people who want them, for the tests of booking."""

from datetime import datetime, timedelta
from typing import Any

import httpx
from stepwell_referral.builders.booking import slot_places
from stepwell_shared.canonical import code_system, extension_url, instant
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.support.runtime import NORTH, START, token

COORDINATOR = token(NORTH, "coordinator")
SERVICE = "default-tier-3"
Resource = dict[str, Any]


def schedule(id_: str = "calendar", service: str = SERVICE, **more: Any) -> Resource:
    actor = {"reference": f"HealthcareService/{service}"}
    return {"resourceType": "Schedule", "id": id_, "active": True, "actor": [actor], **more}


def slot(id_: str, start: datetime, *, calendar: str = "calendar", places: int = 1, **more: Any) -> Resource:
    group = {"extension": [slot_places(places, places)]} if places > 1 else {}
    return {
        "resourceType": "Slot",
        "id": id_,
        **group,
        "schedule": {"reference": f"Schedule/{calendar}"},
        "status": "free",
        "start": instant(start),
        "end": instant(start + timedelta(minutes=50)),
        **more,
    }


def person(id_: str, **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": id_, **more}


def waiting_task(id_: str, patient: str, days: float, priority: str = "routine", **more: Any) -> Resource:
    """A referral that waits at the service since so many days."""
    return {
        "resourceType": "Task",
        "id": id_,
        "status": "accepted",
        "intent": "order",
        "priority": priority,
        "code": {"coding": [{"system": code_system("task"), "code": "tier-referral"}]},
        "focus": {"reference": f"ServiceRequest/of-{id_}"},
        "for": {"reference": f"Patient/{patient}"},
        "authoredOn": instant(START - timedelta(days=days)),
        "lastModified": instant(START - timedelta(days=days)),
        "owner": {"reference": f"HealthcareService/{SERVICE}"},
        **more,
    }


async def put_in(runtime: Runtime, *resources: Resource, tenant: str = NORTH) -> None:
    """Stores resources as they are, without a client."""
    changes = [built(runtime.engine, each, runtime.clock()) for each in resources]
    await runtime.store.commit(UnitOfWork(tenant, changes))


async def ask(http: httpx.AsyncClient, operation: str, headers: dict[str, str] = COORDINATOR, **given: Any
              ) -> httpx.Response:  # fmt: skip
    """Asks an operation on Appointment; references are given as `Type/id`, names with underscores for hyphens."""
    at = given.pop("at", "")
    body: Resource = {"resourceType": "Parameters"}
    if given:
        body["parameter"] = [_parameter(name, value) for name, value in given.items()]
    return await http.post(f"Appointment/{at}${operation}", json=body, headers=headers)


def _parameter(name: str, value: Any) -> Resource:
    name = name.replace("_", "-")
    if isinstance(value, dict):
        return {"name": name, "resource": value}
    if isinstance(value, bool):
        return {"name": name, "valueBoolean": value}
    if isinstance(value, int):
        return {"name": name, "valuePositiveInt": value}
    if "/" in value and name != "comment":
        return {"name": name, "valueReference": {"reference": value}}
    kind = {"comment": "valueString", "start": "valueDateTime", "end": "valueDateTime"}.get(name, "valueCode")
    return {"name": name, kind: value}


def only(answer: httpx.Response) -> Resource:
    """The one Appointment of an answer."""
    assert answer.status_code == 200, answer.text
    (entry,) = answer.json()["entry"]
    found: Resource = entry["resource"]
    return found


def extension(resource: Resource, name: str) -> Resource | None:
    return next((each for each in resource.get("extension", ()) if each["url"] == extension_url(name)), None)


def why(answer: httpx.Response) -> str:
    return " ".join(issue["diagnostics"] for issue in answer.json()["issue"])
