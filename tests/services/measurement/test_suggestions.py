"""Promises of suggestions: nothing says who wrote one, leaders alone read them, danger is spoken to plainly."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from stepwell_measurement.data.dashboard_words import languages
from stepwell_measurement.improvement_tables import Suggestion, kept_suggestions, suggestion_effect
from stepwell_measurement.pages import staff_pages
from stepwell_measurement.rules.suggestions import PER_MINUTE_MAX, TEXT_MAX, TEXT_MIN, Pace, taken
from stepwell_measurement.schema.improvement import SuggestionRow
from stepwell_measurement.use_cases import suggestions as use_case
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.pages.forms import token_for
from stepwell_shared.runtime import Runtime

from tests.services.measurement.scoring import NORTH, SOUTH
from tests.services.measurement.test_dashboards import LEADER as ANALYST

LEADER = Caller(NORTH, "north.board", Scopes.parse("user/MeasureReport.crus"), "t1", fhir_user="Practitioner/head")
ELSEWHERE = Caller(SOUTH, "south.board", Scopes.parse("user/MeasureReport.crus"), "t2")
SUGGEST, READ = "/measurement/suggestions/north", "/measurement/dashboard/suggestions"
CONTACT = {"name": {"en": "Crisis line", "de": "Krisentelefon"}, "phone": "+1 202 555 0100", "hours": {"en": "always"}}


async def asked(
    runtime: Runtime,
    access: Caller | None,
    path: str,
    query: str = "",
    fields: Mapping[str, str] | None = None,
    **headers: str,
) -> tuple[int, dict[str, str], str]:
    """What a browser gets; with fields, of a form that it sends."""
    sent: list[dict[str, Any]] = []
    body = urlencode(fields or {}).encode()

    async def authenticate(header: str | None) -> Caller:
        if access is None:
            raise FhirError(Category.UNAUTHENTICATED, "no token")
        return access

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    _, page = staff_pages(runtime, authenticate)
    named = {"content-length": str(len(body)), **headers} | ({"authorization": "Bearer x"} if access else {})
    if fields is not None:
        named = {"content-type": "application/x-www-form-urlencoded", **named}
    raw = [(name.encode(), value.encode()) for name, value in named.items()]
    scope = {"method": "GET" if fields is None else "POST", "path": path, "headers": raw}
    await page(Exchange({**scope, "query_string": query.encode()}, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, sent[1]["body"].decode() if len(sent) > 1 else ""


@pytest.fixture
def opened(runtime: Runtime, tmp_path: Path) -> Runtime:
    """A tenant that asks for suggestions."""
    file = tmp_path / "site.json"
    site = {"publicDashboard": {"region": "North Valley", "suggestions": True}, "crisisContacts": [CONTACT]}
    file.write_bytes(orjson.dumps({NORTH: site, SOUTH: {"publicDashboard": {"region": "South"}}}))
    runtime._settings = runtime.settings.model_copy(update={"site_file": file})
    return runtime


async def suggested(runtime: Runtime, text: str, token: str | None = None, **headers: str) -> tuple[int, str]:
    form = use_case.form_token(runtime, NORTH) if token is None else token
    status, _, body = await asked(runtime, None, SUGGEST, "language=de", {"text": text, "form": form}, **headers)
    return status, body


async def test_where_nobody_asks_nothing_is_taken(runtime: Runtime, opened: Runtime) -> None:
    for path in ("/measurement/suggestions/south", "/measurement/suggestions/", "/measurement/suggestions/*"):
        assert (await asked(opened, None, path))[0] == 404
        assert (await asked(opened, None, path, fields={"text": "More light"}))[0] == 404
    opened._settings = opened.settings.model_copy(update={"site_file": None})
    assert (await asked(opened, None, SUGGEST))[0] == 404


async def test_what_is_no_suggestion_is_not_kept_and_says_why_with_the_text_still_there(opened: Runtime) -> None:
    assert (await suggested(opened, " \n x "))[0] == 422
    status, body = await suggested(opened, "a" * (TEXT_MAX + 1))
    assert (status, "a" * TEXT_MAX in body) == (422, True)
    for token in ("", "1.x", use_case.form_token(opened, SOUTH)):
        assert (await suggested(opened, "More <light>", token))[0] == 403
    early = opened.clock
    old = use_case.form_token(opened, NORTH)
    opened.clock = lambda: early() + timedelta(hours=13)
    status, body = await suggested(opened, "More <light>", old)
    assert (status, "More &lt;light&gt;" in body) == (403, True)
    opened.clock = early
    assert (await suggested(opened, "More light", **{"content-length": "70000"}))[0] == 413
    assert (await suggested(opened, "More light", **{"content-length": ""}))[0] == 413
    assert await kept_suggestions(opened.database, NORTH) == []


@pytest.mark.parametrize("language", languages())
async def test_whoever_writes_of_danger_reads_whom_to_call_before_and_after(opened: Runtime, language: str) -> None:
    status, headers, body = await asked(opened, None, SUGGEST, f"language={language}")
    assert (status, headers["content-language"]) == (200, language)
    assert body.index("+1 202 555 0100") < body.index("<form")
    assert "None" not in body
    assert "script" not in headers["content-security-policy"]
    sent = await asked(opened, None, SUGGEST, f"language={language}&sent=yes")
    assert "+1 202 555 0100" in sent[2]


async def test_of_a_suggestion_the_text_the_language_and_the_day_are_kept_and_nothing_else(opened: Runtime) -> None:
    status, _ = await suggested(
        opened, "Abends öffnen\r\nbitte \x00", **{"user-agent": "Gerät 7", "x-forwarded-for": "192.0.2.7"}
    )
    assert status == 303
    (kept,) = await kept_suggestions(opened.database, NORTH)
    assert kept[1:] == (opened.clock().date(), "de", "Abends öffnen\nbitte", "new")
    assert set(SuggestionRow.model_fields) == {"tenant", "id", "received_on", "language", "text", "status"}
    async with opened.database.transaction(NORTH) as connection:
        assert await connection.fetchval("SELECT count(*) FROM audit") == 0
    assert await kept_suggestions(opened.database, SOUTH) == []


async def test_more_than_people_can_write_are_not_taken_and_nobody_is_told_apart(opened: Runtime) -> None:
    now = opened.clock()
    opened.clock = lambda: now
    found = [(await suggested(opened, f"Mehr Licht {place}"))[0] for place in range(PER_MINUTE_MAX + 1)]
    assert found == [303] * PER_MINUTE_MAX + [429]
    opened.clock = lambda: now + timedelta(minutes=1)
    assert (await suggested(opened, "Mehr Licht"))[0] == 303


async def test_leaders_alone_read_sort_and_erase_and_it_is_on_record(opened: Runtime) -> None:
    today = opened.clock().date()
    rows = [Suggestion("s1", today, "de", "Mehr <b>Licht</b>", "new"), Suggestion("s2", today, "en", "Quiet", "new")]
    await opened.store.commit(UnitOfWork(NORTH, effects=[suggestion_effect(each) for each in rows]))
    for caller, status in ((None, 401), (ANALYST, 403)):
        assert (await asked(opened, caller, READ))[0] == status
    assert "Licht" not in (await asked(opened, ELSEWHERE, READ))[2]
    status, _, body = await asked(opened, LEADER, READ)
    assert (status, "Mehr &lt;b&gt;Licht&lt;/b&gt;" in body, "2 new" in body) == (200, True, True)

    async def sorted_out(caller: Caller, id_: str, to: str, token: str | None = None) -> int:
        fields = {"id": id_, "status": to, "csrf": token_for(opened, caller) if token is None else token}
        return (await asked(opened, caller, READ, fields=fields))[0]

    assert await sorted_out(LEADER, "s1", "read", "forged") == 403
    assert await sorted_out(ANALYST, "s1", "read") == 403
    assert await sorted_out(ELSEWHERE, "s1", "erased") == 404
    assert await sorted_out(LEADER, "s\x001", "erased") == 404
    assert [await sorted_out(LEADER, "s1", to) for to in ("new", "else")] == [400, 400]
    assert [await sorted_out(LEADER, "s1", to) for to in ("read", "erased", "read")] == [303, 303, 409]
    assert {each.id: (each.text, each.status) for each in await kept_suggestions(opened.database, NORTH)} == {
        "s1": ("", "erased"), "s2": ("Quiet", "new")
    }  # fmt: skip
    async with opened.database.transaction(NORTH) as connection:
        seen = await connection.fetch("SELECT interaction, resource_type, resource_id FROM audit WHERE status < 400")
    assert sorted((row[0], row[2] or "") for row in seen) == [
        ("$suggestions", ""), ("update", "s1"), ("update", "s1")
    ]  # fmt: skip


def test_a_text_is_kept_as_it_was_meant() -> None:
    assert taken("  \u202eab\r\ncd\te\x07 ") == "\u202eab\ncde"
    assert taken("ab") is None
    assert taken("x" * TEXT_MIN) == "x" * TEXT_MIN
    assert taken("x" * TEXT_MAX + "  ") == "x" * TEXT_MAX
    assert taken("x" * (TEXT_MAX + 1)) is None


def test_a_minute_has_room_for_so_many_and_each_of_them_gives_it_back() -> None:
    began = datetime(2026, 11, 22, 9, tzinfo=UTC)
    pace = Pace(2)
    at = [0, 30, 59, 60, 61, 90]
    assert [pace.takes(began + timedelta(seconds=each)) for each in at] == [True, True, False, True, False, True]


def test_the_words_of_a_page_stand_in_every_language() -> None:
    content = Path(use_case.__file__).parents[1] / "data" / "improvement_words.json"
    phrases = orjson.loads(content.read_bytes())["phrases"]
    for name, said in phrases.items():
        assert set(said) == set(languages()), name
        gaps = {language: sorted(re.findall(r"{(\w+)}", text)) for language, text in said.items()}
        assert all(found == gaps["en"] for found in gaps.values()), name
