"""Every documented request with the ids of another tenant, and with a token that may do next to nothing: no answer
shows anything, and nothing changes. The cases are made from the documents and the statements of the running services.
"""

import asyncio
import re
import uuid
from collections.abc import Iterator

import pytest
from stepwell_shared.auth.clients import Client
from stepwell_shared.auth.keys import make_private_key, public_key_set
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.cli.access import add_client
from stepwell_shared.http_client import HttpResponse
from stepwell_shared.settings import SERVICES

from tests.schema.replaying import OPEN, SECRET_LENGTH_MIN, Attempt, Held, attempts, held
from tests.support.suite import NORTH, SOUTH, Clinic, Suite, running_suite

AT_ONCE = 8
CASES_MIN = 3_000
NARROW_CASES_MIN = 500
MARK = f"Secret-{uuid.uuid4()}"
PHQ_9_WITH_ITEM_NINE = (2, 2, 2, 2, 2, 2, 2, 1, 1)
NARROW = f"{NORTH}.narrow"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Four services; south has a client that may do everything there, north one that may read Patients alone."""
    with running_suite(tmp_path_factory.mktemp("foreign")) as running:
        settings = running.deployment.access()
        for name, scopes in ((f"{SOUTH}.intruder", "system/*.cruds user/*.cruds"), (NARROW, "system/Patient.r")):
            key = make_private_key(settings.key_file(name))
            roles, person = (("clinician", "coordinator"), "Practitioner/x") if name != NARROW else ((), None)
            jwks = public_key_set((key,))
            client = Client(name, Scopes.parse(scopes), jwks=jwks, roles=roles, fhir_user=person)
            asyncio.run(add_client(settings, client, replace=True))
        asyncio.run(_fill(running))
        yield running


async def test_no_request_with_a_foreign_token_shows_or_changes_anything(suite: Suite) -> None:
    before = await _held(suite, NORTH)
    ids = _ids(before) - _ids(await _held(suite, SOUTH))
    async with suite.clinic(SOUTH, "intruder") as south:
        every = await _attempts(suite, south, before)
        asked = [each for each in every if not each[1].writes]
        leaks = _leaks(await _tried(suite, south, asked), {MARK, *ids})
        async with suite.clinic() as north:
            assert _leaks(await _tried(suite, north, asked[:100]), {MARK, *ids}), "who may see it is shown it"
        told = [(service, each.without(MARK)) for service, each in every if each.writes]
        answers = await _tried(suite, south, told)
        own = _ids(await _held(suite, SOUTH))  # what south has written itself is no secret, though north has it too
        leaks += _leaks(answers, {MARK, *(ids - own)})
    assert leaks == []
    assert len(every) >= CASES_MIN
    after = await _held(suite, NORTH)
    assert {name: each.versions for name, each in after.items()} == {n: each.versions for n, each in before.items()}
    print(f"\n{len(every)} requests with a foreign token, 0 leaks")


async def test_a_token_that_may_read_patients_alone_does_nothing_else(suite: Suite) -> None:
    before = await _held(suite, NORTH)
    async with suite.clinic(NORTH, "narrow") as narrow:
        tried, allowed = 0, []
        every = {
            (each.method, each.path.partition("?")[0]): (service, each)
            for service, each in await _attempts(suite, narrow, before)
        }
        for attempt, answer in await _tried(suite, narrow, list(every.values())):
            if attempt.path.endswith(OPEN) or _is_patient(attempt):
                continue
            tried += 1
            if answer.status_code < 400 and not (_is_refused_inside(answer) or _is_about_nothing(answer)):
                allowed.append(f"{attempt}: {answer.status_code} {answer.text[:300]}")
    assert allowed == []
    assert tried >= NARROW_CASES_MIN
    print(f"\n{tried} requests beyond the token's scope, all refused")


async def _fill(suite: Suite) -> None:
    """A person of north whom every service knows, with an open safety alert beside a referral of somebody else."""
    async with suite.clinic() as north:
        for weights in (PHQ_9_WITH_ITEM_NINE, (*PHQ_9_WITH_ITEM_NINE[:8], 0)):
            identifier = {"system": "urn:x", "value": f"{MARK}-{weights[8]}"}
            patient = await north.create(
                "screening", {"resourceType": "Patient", "name": [{"family": MARK}], "identifier": [identifier]}
            )
            answer = await north.submit(await north.form("phq-9", weights, patient))
            assert answer.status_code == 201, answer.text
        subject = f"Patient/{patient['id']}"
        await north.wait_for("referral", "Task", patient=subject)
        await north.wait_for("measurement", "Observation", patient=subject)
        await north.wait_for("screening", "Flag")
    seen = None
    while (now := {name: each.versions for name, each in (await _held(suite, NORTH)).items()}) != seen:
        seen = now
        await asyncio.sleep(2.5)  # until no loop has anything left to do


async def _held(suite: Suite, tenant: str) -> dict[str, Held]:
    databases = suite.deployment.databases
    found = await asyncio.gather(*(held(databases[name], tenant) for name in SERVICES))
    return dict(zip(SERVICES, found, strict=True))


def _ids(held_by_service: dict[str, Held]) -> set[str]:
    return {id_ for each in held_by_service.values() for id_ in each.ids if len(id_) >= SECRET_LENGTH_MIN}


def _leaks(answers: list[tuple[Attempt, HttpResponse]], secrets: set[str]) -> list[str]:
    """The answers that say what the request did not say already, and those that are faults of the server."""
    known = re.compile("|".join(map(re.escape, sorted(secrets))))
    # Who looks at its own audit sees what it has asked for itself, and nobody else's accesses.
    asked = {each for attempt, _ in answers for each in known.findall(attempt.text)}
    return [
        f"{attempt}: {answer.status_code} {answer.text[:300]}"
        for attempt, answer in answers
        if answer.status_code >= 500
        or set(known.findall(answer.text)) - (asked if _is_audit(attempt) else set(known.findall(attempt.text)))
        or (_is_audit(attempt) and f'"{NORTH}.' in answer.text)
    ]


async def _attempts(suite: Suite, client: Clinic, theirs: dict[str, Held]) -> list[tuple[str, Attempt]]:
    every = []
    for service in SERVICES:
        url = suite.deployment.url_of(service).removesuffix("/fhir")
        document = (await client.http.request("GET", f"{url}/openapi.json")).json()
        statement = (await client.call("GET", service, "metadata")).json()
        every += [(service, each) for each in attempts(service, document, statement, theirs[service])]
    return every


async def _tried(suite: Suite, client: Clinic, every: list[tuple[str, Attempt]]) -> list[tuple[Attempt, HttpResponse]]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(service: str, attempt: Attempt) -> tuple[Attempt, HttpResponse]:
        async with turns:
            url = suite.deployment.url_of(service).removesuffix(f"/{service}/fhir") + attempt.path
            headers = {"Content-Type": attempt.content_type} if attempt.body else {}
            return attempt, await client.call(
                attempt.method, service, url, resource=attempt.body or None, headers=headers
            )

    return await asyncio.gather(*(one(service, attempt) for service, attempt in every))


def _is_audit(attempt: Attempt) -> bool:
    return "/AuditEvent" in attempt.path.partition("?")[0]


def _is_patient(attempt: Attempt) -> bool:
    """A read, version or history of one Patient, which the narrow token may."""
    parts = attempt.path.partition("?")[0].split("/")
    return attempt.method == "GET" and "Patient" in parts[3:4] and len(parts) > 4 and "?" not in attempt.path


def _is_about_nothing(answer: HttpResponse) -> bool:
    """An operation on the Patient that leaves out all that the token does not reach: it says whom it was asked of."""
    body = answer.json() if answer.text.startswith("{") else {}
    return body.get("resourceType") == "Parameters" and [each["name"] for each in body["parameter"]] == ["person"]


def _is_refused_inside(answer: HttpResponse) -> bool:
    """A batch is answered 200 with what became of each entry; a search of all types with Patients alone."""
    body = answer.json() if answer.text.startswith("{") else {}
    entries = body.get("entry", ())
    if body.get("type") == "searchset":
        return all(entry["resource"]["resourceType"] == "Patient" for entry in entries)
    statuses = [entry.get("response", {}).get("status", "") for entry in entries]
    return body.get("type") == "batch-response" and all(status[:1] == "4" for status in statuses)
