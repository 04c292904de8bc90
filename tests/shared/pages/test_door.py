"""Promises of the door of staff pages: who is refused and how they are told, forms that are ours, visits on record."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
import structlog
from stepwell_shared import signing
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.pages.door import Shown, Visit, doors_at, led_to, public_door, staff_door
from stepwell_shared.pages.forms import FIELD, FORM_TYPE, GOOD_FOR_SECONDS, csrf_field, token_for
from stepwell_shared.pages.layout import page_headers, table, whole_page
from stepwell_shared.runtime import Page, Runtime

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
ANNA = Caller("north", "north.ehr", ROLES["clinician"], "t1", fhir_user="Practitioner/anna")
BEN = Caller("north", "north.ehr", ROLES["clinician"], "t2", fhir_user="Practitioner/ben")
POSTING = {"methods": ("GET", "HEAD", "POST")}


class Kept:
    """A store that remembers what is committed."""

    def __init__(self) -> None:
        self.units: list[UnitOfWork] = []

    async def commit(self, unit: UnitOfWork) -> None:
        self.units.append(unit)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def runtime(kept: Kept) -> Runtime:
    made: Any = Runtime(clock=lambda: NOW)
    made._engine = SimpleNamespace(store=kept)
    made.cache[signing._key] = b"a key for tests"
    found: Runtime = made
    return found


async def asked(page: Page, method: str = "GET", query: str = "", body: bytes = b"", **headers: str) -> SimpleNamespace:
    """Status, headers and body of the answer."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"method": method, "path": "/x/secret-person", "headers": given, "query_string": query.encode()}
    await page(Exchange(scope, receive, send))
    start, rest = sent
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return SimpleNamespace(status=start["status"], headers=found, body=rest["body"])


async def authenticate(header: str | None) -> Caller:
    if header is None:
        raise FhirError(Category.UNAUTHENTICATED, "send a token", headers={"WWW-Authenticate": "Bearer"})
    return {"Bearer anna": ANNA, "Bearer ben": BEN}[header]


async def show(visit: Visit) -> Shown:
    """A page with a form; what was posted leads elsewhere."""
    if visit.posted:
        return led_to("/x/done")
    visit.access.require("Task", "search-type")
    body = whole_page("Tasks", csrf_field(visit.runtime, visit.access), language=visit.language)
    return Shown(body, "search-type", "Task", headers=page_headers(has_forms=True))


def form(token: str) -> dict[str, Any]:
    body = urlencode({FIELD: token, "act": "take"}).encode()
    return {"method": "POST", "body": body, "content_type": FORM_TYPE, "authorization": "Bearer anna"}


async def test_nobody_without_a_token_hears_anything_but_that(runtime: Runtime, kept: Kept) -> None:
    page = staff_door(runtime, authenticate, show)
    for method in ("GET", "POST", "DELETE"):
        answer = await asked(page, method)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert orjson.loads(answer.body)["resourceType"] == "OperationOutcome"
    assert kept.units == []


@pytest.mark.parametrize(
    ("language", "said"),
    [("de-CH", "Bitte melden Sie sich an"), ("fr", "Veuillez vous connecter"), ("xx", "Please sign in")],
)
async def test_a_person_is_refused_in_plain_words_of_their_language(runtime: Runtime, language: str, said: str) -> None:
    page = staff_door(runtime, authenticate, show)
    answer = await asked(page, accept="text/html,*/*;q=0.8", accept_language=language)
    assert (answer.status, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert f"<h1>{said}</h1>" in answer.body.decode()
    assert answer.headers["x-request-id"] in answer.body.decode()
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_another_method_is_told_which_ones_there_are(runtime: Runtime) -> None:
    answer = await asked(staff_door(runtime, authenticate, show), "PUT", authorization="Bearer anna")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("token", ["", "forged", "somebody else's", "too old"])
async def test_a_form_that_is_not_ours_changes_nothing(runtime: Runtime, token: str) -> None:
    given = token
    if token == "somebody else's":
        given = token_for(runtime, BEN)
    if token == "too old":
        given = token_for(runtime, ANNA)
        runtime.clock = lambda: NOW + timedelta(seconds=GOOD_FOR_SECONDS + 1)
    seen: list[Visit] = []

    async def noticed(visit: Visit) -> Shown:
        seen.append(visit)
        return led_to("/x")

    answer = await asked(staff_door(runtime, authenticate, noticed, **POSTING), **form(given))
    assert (answer.status, seen) == (403, [])


async def test_a_form_of_ours_is_taken_and_leads_to_a_page(runtime: Runtime, kept: Kept) -> None:
    page = staff_door(runtime, authenticate, show, **POSTING)
    opened = (await asked(page, authorization="Bearer anna")).body.decode()
    token = opened.partition('name="csrf" value="')[2].partition('"')[0]
    assert len(kept.units) == 1
    answer = await asked(page, **form(token))
    assert (answer.status, answer.headers["location"], answer.body) == (303, "/x/done", b"")
    assert len(kept.units) == 1


async def test_a_body_that_is_no_form_has_no_fields(runtime: Runtime) -> None:
    page = staff_door(runtime, authenticate, show, **POSTING)
    for body, kind in ((b"{}", "application/json"), (b"\xff=1", FORM_TYPE), (b"&".join([b"a=1"] * 2001), FORM_TYPE)):
        answer = await asked(page, "POST", body=body, content_type=kind, authorization="Bearer anna")
        assert answer.status == 403


async def test_what_is_seen_is_on_record_and_what_is_refused_was_not_seen(runtime: Runtime, kept: Kept) -> None:
    async def refused(visit: Visit) -> Shown:
        raise FhirError(Category.NOT_FOUND, "there is no such page")

    assert (await asked(staff_door(runtime, authenticate, refused), authorization="Bearer anna")).status == 404
    assert kept.units == []
    assert (await asked(staff_door(runtime, authenticate, show), authorization="Bearer anna")).status == 200
    (unit,) = kept.units
    (row,) = unit.effects
    assert (unit.tenant, row.values[2:6]) == ("north", ("search-type", "Task", None, "north.ehr"))


async def test_a_fault_is_an_answer_and_the_log_names_nobody(runtime: Runtime) -> None:
    async def broken(visit: Visit) -> Shown:
        raise RuntimeError("broken")

    async def away(visit: Visit) -> Shown:
        raise ConnectionRefusedError

    with structlog.testing.capture_logs() as logged:
        for act, status in ((broken, 500), (away, 503)):
            assert (await asked(staff_door(runtime, authenticate, act), authorization="Bearer anna")).status == status
    assert len(logged) == 2
    assert "secret-person" not in str(logged)


@pytest.mark.parametrize(
    ("query", "header", "language"),
    [("", "", "en"), ("", "fr, de;q=0.5", "de"), ("language=de", "en", "de"), ("language=xx", "", None)],
)
async def test_the_language_is_that_which_is_asked_for(
    runtime: Runtime, query: str, header: str, language: str | None
) -> None:
    page = staff_door(runtime, authenticate, show, languages=("en", "de"))
    answer = await asked(page, query=query, accept_language=header, authorization="Bearer anna")
    if language is None:
        assert answer.status == 406
    else:
        assert f'<html lang="{language}">' in answer.body.decode()


async def test_a_page_for_everybody_asks_for_no_token_and_only_shows(runtime: Runtime) -> None:
    async def open_to_all(exchange: Exchange) -> Shown:
        return Shown(whole_page("Open", table("T", ("a", "b"), [("<i>", 1)])), headers=page_headers())

    page = public_door(open_to_all)
    assert (await asked(page)).status == 200
    assert b"<i>" not in (await asked(page)).body
    assert (await asked(page, "POST")).headers["allow"] == "GET, HEAD"


async def test_of_several_doors_the_nearest_answers(runtime: Runtime) -> None:
    def saying(text: str) -> Page:
        async def said(exchange: Exchange) -> Shown:
            return Shown(text.encode())

        return public_door(said)

    addresses, page = doors_at({"/x/": saying("far"), "/x/secret": saying("near")})
    assert addresses == ("/x/secret", "/x/")
    assert (await asked(page)).body == b"near"
