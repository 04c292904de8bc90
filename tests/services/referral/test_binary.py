"""Promises of content that is no FHIR: whose it is says who reads it, nothing is guessed, it comes back as it came."""

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from stepwell_referral.app import service
from stepwell_referral.data.loop import document_bytes_max
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.fhir.copies import ship
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import accepted, assigned, assignment, hear, referrals
from tests.services.referral.test_loop import move, put
from tests.support.door import door_for
from tests.support.runtime import NORTH, SOUTH, caller, http_of, stored, token

CLINICIAN, COORDINATOR = token(NORTH, "clinician"), token(NORTH, "coordinator")
LETTER = b"%PDF-1.7 <script>alert(1)</script>"
PDF = {"Content-Type": "application/pdf"}
Resource = dict[str, Any]


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    await ship(runtime.engine, NORTH, {"resourceType": "Patient", "id": "p1", "active": True})
    async with http_of(runtime, service) as client:
        yield client


async def sent(
    http: httpx.AsyncClient, content: bytes = LETTER, context: str = "Patient/p1", **headers: str
) -> httpx.Response:
    named = {"X-Security-Context": context} if context else {}
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return await http.post("Binary", content=content, headers={**CLINICIAN, **PDF, **named, **given})


def binary(**changed: Any) -> Resource:
    found = {
        "resourceType": "Binary",
        "contentType": "application/pdf",
        "securityContext": {"reference": "Patient/p1"},
        "data": b64encode(LETTER).decode(),
        **changed,
    }
    return {name: value for name, value in found.items() if value is not None}


def document(url: str, **attachment: Any) -> Resource:
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": {"reference": "Patient/p1"},
        "content": [{"attachment": {"contentType": "application/pdf", "url": url, **attachment}}],
    }


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Content_Type": "text/html"}, 415),
        ({"Content_Type": "image/svg+xml"}, 415),
        ({"Content_Type": "text/plain; charset=latin-1"}, 415),
        ({"context": ""}, 422),
        ({"context": "Patient/nobody"}, 422),
        ({"context": "HealthcareService/default-tier-3"}, 422),
        ({"context": "https://elsewhere.example/Patient/p1"}, 422),
        ({"content": b""}, 422),
        ({"content": b"x" * (document_bytes_max() + 1)}, 413),
        ({"Authorization": "Bearer north analyst"}, 403),
        ({"Authorization": "Bearer south clinician"}, 422),
    ],
    ids=lambda given: ",".join(given) if isinstance(given, dict) else str(given),
)
async def test_content_that_is_not_taken_too_large_or_nobodys_is_refused(
    runtime: Runtime, http: httpx.AsyncClient, changed: dict[str, Any], status: int
) -> None:
    answer = await sent(http, **changed)
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")
    assert await stored(runtime, NORTH, "Binary") == []


@pytest.mark.parametrize(
    "changed",
    [
        {"contentType": "text/html"},
        {"data": None},
        {"data": b64encode(b"x" * (document_bytes_max() + 1)).decode()},
        {"securityContext": None},
        {"securityContext": {"display": "me"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
async def test_a_binary_that_is_sent_as_fhir_is_held_to_the_same(http: httpx.AsyncClient, changed: Resource) -> None:
    answer = await http.post("Binary", json=binary(**changed), headers=CLINICIAN)
    assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (422, [f"Binary.{next(iter(changed))}"])


async def test_content_comes_back_as_it_came_to_be_saved_and_as_fhir_to_who_asks_for_that(
    http: httpx.AsyncClient,
) -> None:
    made = await sent(http)
    assert (made.status_code, made.json()["contentType"]) == (201, "application/pdf")
    address = f"Binary/{made.json()['id']}"
    for accept in ("*/*", "application/pdf", "application/*;q=0.5, image/png"):
        answer = await http.get(address, headers={**COORDINATOR, "Accept": accept}, params={"_pretty": "true"})
        assert (answer.status_code, answer.content) == (200, LETTER)
        headers = answer.headers
        assert headers["content-type"] == "application/pdf"
        assert headers["content-disposition"] == f'attachment; filename="{made.json()["id"]}.pdf"'
        assert ("sandbox" in headers["content-security-policy"], headers["cache-control"]) == (True, "no-store")
    assert (
        await http.get(address, headers={**COORDINATOR, "If-None-Match": answer.headers["etag"]})
    ).status_code == 304
    assert (await http.head(address, headers=COORDINATOR)).headers["content-length"] == str(len(LETTER))
    assert (await http.get(address, headers={**COORDINATOR, "Accept": "image/png"})).status_code == 406
    asked = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": address}}]}
    in_a_batch = (await http.post("", json=asked, headers=COORDINATOR)).json()["entry"][0]["resource"]
    as_fhir = (await http.get(address, headers={**COORDINATOR, "Accept": "application/fhir+json"})).json()
    assert as_fhir == in_a_batch == (await http.get(address, headers=COORDINATOR, params={"_format": "json"})).json()
    assert b64decode(as_fhir["data"]) == LETTER


async def test_who_may_not_read_whose_it_is_finds_nothing(runtime: Runtime, http: httpx.AsyncClient) -> None:
    address = f"Binary/{(await sent(http)).json()['id']}"
    assert (await http.get(address, headers=token(SOUTH, "clinician"))).status_code == 404
    assert (await http.get(address, headers=token(NORTH, "community-health-worker"))).status_code == 403
    for scopes, status in (
        ("user/Binary.r", 404),
        ("user/Binary.r user/Patient.rs?_id=p2", 404),
        ("user/Binary.r user/Patient.rs?_id=p1", 200),
        ("patient/Binary.r patient/Patient.rs", 403),
    ):
        access = caller(NORTH, ["clinician"], Scopes.parse(scopes))
        async with door_for(runtime, access) as client:
            assert (await client.get(address)).status_code == status, scopes
    assert (await http.get("Binary", headers=CLINICIAN)).status_code == 405
    assert (await http.get(f"{address}/_history", headers=CLINICIAN)).status_code == 405
    assert (await http.delete(address, headers=CLINICIAN)).status_code == 405


async def test_a_document_names_content_that_is_here_and_of_its_kind(http: httpx.AsyncClient) -> None:
    kept = f"Binary/{(await sent(http)).json()['id']}"
    for wrong in (document("Binary/none"), document(kept, contentType="image/png")):
        answer = await http.post("DocumentReference", json=wrong, headers=CLINICIAN)
        assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (
            422,
            ["DocumentReference.content[0].attachment.url"],
        )
    assert (await http.post("DocumentReference", json=document(kept), headers=CLINICIAN)).status_code == 201


async def test_a_consult_note_and_its_content_come_back_on_the_task_in_one_transaction(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await hear(runtime, assigned(accepted(assignment())))
    (task,) = await referrals(runtime)
    task = await move(http, task, "accepted", "in-progress")
    note, letter = (f"urn:uuid:5b0e8a0a-6d1a-4d1c-9d37-0c1a4f7b0d{number}" for number in (11, 12))
    entries = [
        {"fullUrl": letter, "resource": binary(securityContext={"reference": note}),
         "request": {"method": "POST", "url": "Binary"}},
        {"fullUrl": note, "resource": document(letter), "request": {"method": "POST", "url": "DocumentReference"}},
    ]  # fmt: skip
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await http.post("", json=bundle, headers=COORDINATOR)
    assert answer.status_code == 200, answer.text
    (kept,) = await stored(runtime, NORTH, "DocumentReference")
    output = {"type": {"text": "consult note"}, "valueReference": {"reference": f"DocumentReference/{kept['id']}"}}
    assert (await put(http, task, status="completed", output=[output])).status_code == 200
    read = await http.get(kept["content"][0]["attachment"]["url"], headers=CLINICIAN)
    assert (read.status_code, read.content) == (200, LETTER)
