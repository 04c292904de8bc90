"""Every documented request with the ids of another tenant, with a token that may do next to nothing, and with our own:
no answer shows what it must not, nothing changes that must not, and each says what a browser may do with it. The cases
are made from the documents and the statements of the running services.
"""

import asyncio
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest
from stepwell_shared.auth.clients import Client
from stepwell_shared.auth.keys import make_private_key, public_key_set
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.canonical import CANONICAL
from stepwell_shared.cli.access import add_client
from stepwell_shared.events.subscriptions import CONTENT_URL
from stepwell_shared.http_client import HttpResponse, http_client
from stepwell_shared.settings import SERVICES

from tests.schema.answering import OPEN_TO_ORIGINS, command_lines, faults_of, page_faults, secrets_of
from tests.schema.replaying import OPEN, SECRET_LENGTH_MIN, Attempt, Held, attempts, held
from tests.support.suite import NORTH, SOUTH, Clinic, Suite, running_suite

AT_ONCE = 8
CASES_MIN = 3_000
NARROW_CASES_MIN = 500
MARK = f"Secret-{uuid.uuid4()}"
PHQ_9_WITH_ITEM_NINE = (2, 2, 2, 2, 2, 2, 2, 1, 1)
NARROW = f"{NORTH}.narrow"
ANSWERS_MIN = 500
# 308: the short address leads to the worklist, which refuses.
REFUSED_FORM = {308, 400, 401, 403, 404, 405, 415}
FROM_ELSEWHERE = {"Origin": "https://evil.example", "Referer": "https://evil.example/", "Sec-Fetch-Site": "cross-site"}


def besides(service: str) -> list[Attempt]:
    """Addresses that no document names: pages of people, health, discovery, what is not there."""
    paths = [
        "/livez",
        "/readyz",
        f"/{service}/docs",
        f"/{service}/openapi.json",
        f"/{service}/nothing",
        "/",
        "/favicon.ico",
    ]
    paths += [
        f"/{service}/fhir/.well-known/smart-configuration",
        f"/{service}/fhir/Nothing/x",
        f"/{service}/.git/config",
    ]
    paths += [f"/{service}/forms/x", f"/{service}/forms/open/x", f"/{service}/forms/assets/form.css", "/worklist"]
    paths += [f"/{service}/auth/jwks.json", f"/{service}/auth/token", f"/{service}/worklist/sign-out"]
    return [Attempt("GET", path) for path in paths]


def subscription(endpoint: str, header: str) -> dict[str, Any]:
    """One whose notifications carry a secret of the subscriber."""
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "what a test hears",
        "criteria": f"{CANONICAL}/SubscriptionTopic/tier-assigned",
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": CONTENT_URL, "valueCode": "id-only"}]},
            "header": [f"Authorization: {header}"],
        },
    }


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


@pytest.fixture(scope="module")
def answers(suite: Suite) -> list[tuple[Attempt, HttpResponse]]:
    """What is answered to every documented request, when it is in error, without a token, and where nothing is."""
    return asyncio.run(_asked(suite))


async def _asked(suite: Suite) -> list[tuple[Attempt, HttpResponse]]:
    found = await _held(suite, NORTH)
    async with suite.clinic() as north:
        every = [each for each in await _attempts(suite, north, found) if "?" not in each[1].path]
        every += [(service, each) for service in SERVICES for each in besides(service)]
        read = [each for each in every if each[1].method == "GET"]
        pages = [(service, each) for service, each in read if "/fhir" not in each.path]
        wrong = {each.path: (service, replace(each, body=b"{")) for service, each in every if each.writes}
        return [
            *await _tried(suite, north, read),
            *await _tried(suite, north, pages, {"Accept": "text/html"}),
            *await _tried(suite, north, list(wrong.values())),
            *await _tried(suite, north, read[::9], {"Authorization": ""}),
        ]


def test_every_answer_says_what_a_browser_may_do_with_it(answers: list[tuple[Attempt, HttpResponse]]) -> None:
    found = {f"{attempt}: {answer.status_code} {fault}" for attempt, answer in answers for fault in faults_of(answer)}
    assert sorted(found) == []
    assert len(answers) > ANSWERS_MIN


def test_every_page_loads_runs_and_frames_nothing_from_elsewhere(answers: list[tuple[Attempt, HttpResponse]]) -> None:
    pages = [(attempt, answer) for attempt, answer in answers if answer.text.startswith("<!DOCTYPE html>")]
    found = {f"{attempt}: {fault}" for attempt, answer in pages for fault in page_faults(answer)}
    assert found == set()
    assert {"/referral/worklist", "/measurement/dashboard"} <= {attempt.path for attempt, _ in pages}


async def test_no_address_takes_trace_or_a_method_that_nobody_declared(suite: Suite) -> None:
    found = await _held(suite, NORTH)
    async with suite.clinic() as north:
        every = {each.path: (service, each) for service, each in await _attempts(suite, north, found)}
        plain = [(service, replace(each, body=b"")) for path, (service, each) in every.items() if "?" not in path]
        plain = [each for each in plain if OPEN_TO_ORIGINS not in each[1].path]
        methods = cycle(("TRACE", "OPTIONS", "PROPFIND", "TRACK"))
        asked = [
            (service, replace(each, method=method)) for (service, each), method in zip(plain, methods, strict=False)
        ]
        refused = {400, 401, 404, 405, 501}
        taken = [f"{attempt}: {answer.status_code}" for attempt, answer in await _tried(suite, north, asked)
                 if answer.status_code not in refused]  # fmt: skip
        assert taken == []


async def test_no_form_from_elsewhere_is_taken_at_any_address_of_a_page(suite: Suite) -> None:
    """With the session of somebody who is at work, from a page that is not ours, at every address below the pages."""
    before = await _held(suite, NORTH)
    async with suite.clinic() as north:
        paths = {each.path for _, each in await _attempts(suite, north, before) if "/fhir" not in each.path}
        paths |= {f"{path}/act" for path in paths} | {each.path for name in SERVICES for each in besides(name)}
        for service, address in (("referral", "/referral/worklist"), ("measurement", "/measurement/dashboard")):
            root = suite.deployment.url_of(service).removesuffix(f"/{service}/fhir")
            link = (await north.call("POST", service, f"{root}{address}/sign-in")).json()["link"]
            async with http_client(timeout_seconds=30) as browser:
                assert (await browser.get(link)).status_code == 303
                assert (await browser.get(f"{root}{address}")).status_code == 200
                for path in sorted({*paths, f"{address}/sign-out"}):
                    for form in ({"act": "accept"}, {"act": "accept", "csrf": "north.1.x"}):
                        posted = await browser.post(f"{root}{path}", data=form, headers=FROM_ELSEWHERE)
                        assert posted.status_code in REFUSED_FORM, f"{path}: {posted.status_code}"
                assert (await browser.get(f"{root}{address}")).status_code == 200, "nobody was signed out"
    after = await _held(suite, NORTH)
    assert {name: each.versions for name, each in after.items()} == {n: each.versions for n, each in before.items()}


async def test_no_header_of_a_proxy_is_believed(suite: Suite) -> None:
    lies = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "host=evil.example;proto=gopher",
        "X-Original-URL": "/livez",
        "X-Rewrite-URL": "/livez",
        "X-HTTP-Method-Override": "DELETE",
    }
    async with suite.clinic() as north:
        for method, service, path in (
            ("GET", "screening", "metadata"),
            ("GET", "screening", "Patient?_count=1"),
            ("GET", "screening", ".well-known/smart-configuration"),
            ("POST", "screening", "Patient/_search"),
        ):
            told = [await north.call(method, service, path, headers=each) for each in ({}, lies)]
            assert told[0].status_code == told[1].status_code == 200
            assert "evil" not in told[1].text
            assert told[0].json().get("link") == told[1].json().get("link")
        root = suite.deployment.url_of("referral").removesuffix("/referral/fhir")
        link = (await north.call("POST", "referral", f"{root}/referral/worklist/sign-in", headers=lies)).json()["link"]
        assert link.startswith(f"{root}/referral/worklist/open/")


async def test_no_secret_is_in_a_log_a_figure_an_answer_or_the_list_of_processes(
    suite: Suite, answers: list[tuple[Attempt, HttpResponse]]
) -> None:
    secrets = secrets_of(suite)
    assert len(secrets) > len(SERVICES)
    async with suite.clinic(name="ehr") as north:
        kept = await north.create(
            "routing", subscription(f"http://127.0.0.1:{suite.listener_port}/x", "Bearer Quxsecret")
        )
        secrets |= {"a token": await north.token(), "a header of a Subscription": "Quxsecret"}
        address = f"Subscription/{kept['id']}"
        for path in (address, f"{address}/_history", "Subscription", f"{address}/$status", f"{address}/$events"):
            answers = [*answers, (Attempt("GET", path), await north.call("GET", "routing", path))]
        for service in SERVICES:
            root = suite.deployment.url_of(service).removesuffix(f"/{service}/fhir")
            answers = [*answers, (Attempt("GET", "/metrics"), await north.call("GET", service, f"{root}/metrics"))]
    said = {str(attempt): f"{answer.text} {answer.headers}" for attempt, answer in answers}
    said |= {f"the log of {name}": suite.processes.log_of(name).read_text(encoding="utf-8") for name in SERVICES}
    said["the list of processes"] = command_lines(suite)
    assert all(len(said[f"the log of {name}"].splitlines()) > 10 for name in SERVICES)
    known = re.compile("|".join(map(re.escape, secrets.values())))
    leaks = {
        where: name for where, text in said.items() if known.search(text) for name in secrets if secrets[name] in text
    }
    assert leaks == {}


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


async def _tried(
    suite: Suite, client: Clinic, every: list[tuple[str, Attempt]], more: Mapping[str, str] | None = None
) -> list[tuple[Attempt, HttpResponse]]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(service: str, attempt: Attempt) -> tuple[Attempt, HttpResponse]:
        async with turns:
            url = suite.deployment.url_of(service).removesuffix(f"/{service}/fhir") + attempt.path
            headers = {"Content-Type": attempt.content_type} if attempt.body else {}
            headers |= more or {}
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
