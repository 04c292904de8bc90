"""The right to erasure: every table of the four databases is searched for marks of a person who was erased."""

import asyncio
import base64
import time
import uuid
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from stepwell_shared.auth.audit_chain import verify
from stepwell_shared.cli import erasing
from stepwell_shared.cli.client import SuiteClient
from stepwell_shared.cli.erasing import Erased, erase_in
from stepwell_shared.database.pool import Database
from stepwell_shared.settings import SERVICES

from tests.support.suite import NORTH, Clinic, Resource, Suite

HERS = {
    "screening": "QuestionnaireResponse",
    "routing": "ServiceRequest",
    "referral": "Task",
    "measurement": "Observation",
}
MODERATE = (2, 2, 2, 2, 2, 1, 1, 0, 0)
_COLUMNS = """SELECT c.table_name AS name, c.column_name AS column, c.data_type AS type
  FROM information_schema.columns AS c JOIN information_schema.tables AS t
    ON t.table_schema = c.table_schema AND t.table_name = c.table_name
  WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
    AND c.data_type IN ('text', 'bytea', 'json', 'jsonb', 'ARRAY')"""


async def places(suite: Suite, mark: str) -> set[str]:
    """The columns of all databases in which the mark is, as it is or packed as Base64."""
    wanted = [mark.encode(), base64.b64encode(mark.encode())[:-4]]
    found = set()
    for service in SERVICES:
        async with opened(suite, service) as database, database.transaction(NORTH) as connection:
            for name, column, kind in await connection.fetch(_COLUMNS):
                text = f'"{column}"' if kind == "bytea" else f"convert_to(\"{column}\"::text, 'UTF8')"
                matches = " OR ".join(f"position(${number}::bytea in {text}) > 0" for number in (1, 2))
                if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {name} WHERE {matches})", *wanted):
                    found.add(f"{service} {name}.{column}")
    return found


def opened(suite: Suite, service: str) -> AbstractAsyncContextManager[Database]:
    """The database of a service, with the login that owns it."""
    return Database.open(suite.deployment.databases[service].owner, connections_max=3)


async def erase(suite: Suite, patient: Resource, *, really: bool = True) -> dict[str, Erased]:
    addresses = {name: suite.deployment.url_of(name) for name in SERVICES}
    done = {}
    for service in SERVICES:
        async with opened(suite, service) as database:
            done[service] = await erase_in(service, database, addresses, NORTH, patient["id"], really=really)
    return done


async def life(suite: Suite, clinic: Clinic, mark: str) -> Resource:
    """A person with a name, a relative, answers, a referral and documents, all of them with the mark."""
    described = {"name": [{"family": mark}], "telecom": [{"system": "email", "value": f"{mark}@example.org"}]}
    identifier = [{"system": "urn:mrn", "value": f"{mark}-7"}]
    patient = await clinic.create("screening", {"resourceType": "Patient", "identifier": identifier, **described})
    changed = {**patient, "address": [{"city": mark}], "name": [{"family": f"{mark}-Second"}]}
    assert (await clinic.call("PUT", "screening", f"Patient/{patient['id']}", resource=changed)).status_code == 200
    reference = {"reference": f"Patient/{patient['id']}"}
    relative = {"resourceType": "RelatedPerson", "patient": reference, "name": [{"text": f"Mother of {mark}"}]}
    message: Resource = {"resourceType": "Communication", "status": "completed", "subject": reference}
    message |= {"sender": {"reference": f"Practitioner/{NORTH}-clinician"}, "recipient": [reference]}
    await clinic.create("screening", relative)
    await clinic.create("referral", {**message, "payload": [{"contentString": f"Call {mark} back"}]})
    response = await clinic.form("phq-9", MODERATE, patient)
    response["source"] = {"reference": reference["reference"], "display": mark}
    answer = await clinic.call(
        "POST", "screening", "QuestionnaireResponse", resource=response, headers={"Idempotency-Key": uuid.uuid4().hex}
    )
    assert answer.status_code == 201, answer.text
    await clinic.requests_for(patient)
    await clinic.wait_for("referral", "Task", patient=reference["reference"])
    await clinic.wait_for("measurement", "Observation", patient=reference["reference"])
    condition = {"resourceType": "Condition", "subject": reference, "code": {"text": f"Sadness of {mark}"}}
    await clinic.create("routing", condition)
    binary = {"resourceType": "Binary", "contentType": "text/plain", "securityContext": reference}
    data = base64.b64encode(f"{mark} was here".encode()).decode()
    content = await clinic.create("referral", {**binary, "data": data})
    document = {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": reference,
        "description": f"Letter about {mark}",
        "content": [{"attachment": {"contentType": "text/plain", "url": f"Binary/{content['id']}"}}],
    }
    await clinic.create("referral", document)
    return patient


async def erased_for_good(suite: Suite, patient: Resource) -> None:
    """Erases until there is nothing: what was still under way between the services may bring something back."""
    deadline = time.monotonic() + 60
    while any(each.resources for each in (await erase(suite, patient)).values()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


async def statuses(client: SuiteClient, patient: Resource) -> Mapping[str, int]:
    paths = dict.fromkeys(SERVICES, f"Patient/{patient['id']}")
    return {name: (await client.call("GET", name, path)).status_code for name, path in paths.items()}


async def audited(suite: Suite, patient: Resource) -> dict[str, int]:
    """How many entries name the Patient; each chain is whole."""
    counts = {}
    for service in SERVICES:
        async with opened(suite, service) as database:
            assert not (await verify(database, NORTH, [])).faults
            async with database.transaction(NORTH) as connection:
                statement = "SELECT count(*) FROM audit WHERE resource_type = 'Patient' AND resource_id = $1"
                counts[service] = await connection.fetchval(statement, patient["id"])
    return counts


async def stopped(suite: Suite, patient: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Erases, and is stopped at the first, then at the second time that something would be removed for good."""
    purge = erasing._purge
    for number in (1, 2):
        left = number

        async def until(*given: Any) -> tuple[int, int]:
            nonlocal left
            left -= 1
            if left == 0:
                raise ConnectionError
            return await purge(*given)

        monkeypatch.setattr(erasing, "_purge", until)
        with pytest.raises(ConnectionError):
            await erase(suite, patient)
    monkeypatch.setattr(erasing, "_purge", purge)


async def test_no_table_has_a_mark_of_somebody_who_was_erased_and_the_record_of_it_stays(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = [f"Zyx{uuid.uuid4().hex[:12]}q" for _ in range(2)]
    async with suite.clinic() as clinic:
        anna, ben = await life(suite, clinic, marks[0]), await life(suite, clinic, marks[1])
        before = await places(suite, marks[0])
        assert {each.split()[0] for each in before} == set(SERVICES)
        assert {"fhir_version.body", "fhir_patient.body", "idempotency_key.body"} <= {
            each.split()[1] for each in before
        }
        known = await audited(suite, anna)
        looked = await erase(suite, anna, really=False)
        assert looked["screening"].resources["Patient"] == 1
        assert await places(suite, marks[0]) >= before

        await stopped(suite, anna, monkeypatch)
        await erased_for_good(suite, anna)

        assert await places(suite, marks[0]) == set()
        assert (await statuses(clinic, anna))["screening"] == 410
        for service, resource_type in (
            ("routing", "ServiceRequest"),
            ("measurement", "Observation"),
            ("referral", "Task"),
        ):
            assert await clinic.search(service, resource_type, subject=f"Patient/{anna['id']}") == []
        after = await audited(suite, anna)
        assert all(after[service] >= known[service] for service in SERVICES)
        assert after["screening"] > known["screening"]

        assert {each.split()[0] for each in await places(suite, marks[1])} == set(SERVICES)
        assert set((await statuses(clinic, ben)).values()) == {200}
        assert await clinic.requests_for(ben)
