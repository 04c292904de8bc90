"""People, roles and requests of care content, plans and reviews, as their tests need them."""

from typing import Any

import orjson
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.support.runtime import NORTH, Resource, token

CLINICIAN = token(NORTH, "clinician", "Practitioner/dr-1")
SITE = token(NORTH, "site", "Practitioner/lead")  # a role of no name may everything
PERSON: Resource = {"reference": "Patient/p1"}


async def add(runtime: Runtime, *resources: Resource, tenant: str = NORTH) -> None:
    """Puts resources into a tenant as copies and events would."""
    changes = [built(runtime.engine, each, runtime.clock()) for each in resources]
    await runtime.store.commit(UnitOfWork(tenant, changes))


async def add_person(runtime: Runtime, id_: str = "p1") -> None:
    """The copy of a Patient whom screening has."""
    name = [{"family": "Example", "given": ["Alex"]}]
    await add(runtime, {"resourceType": "Patient", "id": id_, "name": name, "birthDate": "1990-01-02"})


def parameters(**values: Any) -> Resource:
    """Parameters by name and `value[x]`: `subject={"valueReference": ...}`; a list repeats the parameter."""
    rows = [(name, each) for name, value in values.items() for each in (value if isinstance(value, list) else [value])]
    return {"resourceType": "Parameters", "parameter": [{"name": name, **value} for name, value in rows]}


def as_patient(
    runtime: Runtime, resource_type: str, id_: str, body: Resource | None = None, patient: str = "p1"
) -> Request:
    """An operation on a resource that a patient asks for with an own token."""
    access = Caller(NORTH, "north.app", ROLES["patient"], "t", ("patient",), f"Patient/{patient}", patient)

    def witness(interaction: str, resource_id: str, status: int) -> Any:
        return audit_effect(access, recorded=runtime.clock(), interaction=interaction, resource_type=resource_type,
                            resource_id=resource_id, request_id="r", status=status)  # fmt: skip

    return Request(access, witness, resource_type, id_, body=orjson.dumps(body) if body else b"")


def read(response: Response) -> Resource:
    found: Resource = orjson.loads(response.body)
    return found
