"""Promises of the minutes: who writes them, that no version is lost, and what of them is for everybody."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from stepwell_measurement.improvement_tables import (
    Suggestion,
    kept_suggestions,
    newest_decisions,
    suggestion_effect,
)
from stepwell_measurement.rules.minutes import TEXT_MAX, Decision, told_in
from stepwell_shared.auth.caller import Caller
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.pages.forms import token_for
from stepwell_shared.runtime import Runtime

from tests.services.measurement.scoring import NORTH, SOUTH
from tests.services.measurement.test_dashboards import LEADER as ANALYST
from tests.services.measurement.test_dashboards import filled, published
from tests.services.measurement.test_suggestions import ELSEWHERE, LEADER, asked

MINUTES = "/measurement/dashboard/minutes"
FORM = {"said": "Evenings are missing", "done": "Two practices open late", "standing": "planned", "measure": "waits",
        "language": "en"}  # fmt: skip


async def written(runtime: Runtime, caller: Caller = LEADER, **fields: str) -> int:
    decided = (runtime.clock().date() - timedelta(days=20)).isoformat()
    token = {"csrf": token_for(runtime, caller)}
    return (await asked(runtime, caller, MINUTES, fields={**FORM, "decided": decided, **token, **fields}))[0]


async def test_who_is_no_leader_writes_nothing_and_what_cannot_be_kept_is_not(runtime: Runtime) -> None:
    assert (await asked(runtime, None, MINUTES))[0] == 401
    assert (await asked(runtime, ANALYST, MINUTES))[0] == 403
    assert await written(runtime, ANALYST) == 403
    assert await written(runtime, csrf="forged") == 403
    tomorrow = (runtime.clock().date() + timedelta(days=1)).isoformat()
    for name, value in (
        ("said", " "), ("done", "x" * (TEXT_MAX + 1)), ("said", "a\x00bc"), ("decided", "soon"), ("decided", tomorrow),
        ("decided", "0001-01-01"), ("standing", "else"), ("measure", "else"), ("language", "xx"), ("version", "-1"),
        ("suggestion", "absent"), ("suggestion", "a\x00b"),
    ):  # fmt: skip
        assert await written(runtime, LEADER, **{name: value}) == 422, name
    assert await written(runtime, id="absent") == 404
    assert await newest_decisions(runtime.database, NORTH) == []


async def test_each_version_is_kept_the_first_to_write_wins_and_it_is_on_record(runtime: Runtime) -> None:
    assert await written(runtime) == 303
    (first,) = await newest_decisions(runtime.database, NORTH)
    assert (first.version, first.standing, first.measure, first.is_public) == (1, "planned", "waits", False)
    assert await written(runtime, id=first.id, version="1", standing="done", public="yes") == 303
    assert await written(runtime, id=first.id, version="1", standing="not-possible") == 409
    assert await written(runtime, ELSEWHERE, id=first.id, version="2") == 404
    (last,) = await newest_decisions(runtime.database, NORTH)
    assert last == first._replace(version=2, standing="done", is_public=True)
    assert await newest_decisions(runtime.database, SOUTH) == []
    async with runtime.database.transaction(NORTH) as connection:
        kept = await connection.fetch("SELECT version, standing FROM board_decision ORDER BY version")
        seen = await connection.fetch("SELECT interaction, resource_id, fhir_user FROM audit ORDER BY interaction")
    assert [tuple(row) for row in kept] == [(1, "planned"), (2, "done")]
    assert [tuple(row) for row in seen] == [
        ("create", first.id, "Practitioner/head"), ("update", first.id, "Practitioner/head")
    ]  # fmt: skip
    status, _, body = await asked(runtime, LEADER, MINUTES)
    assert (status, "Two practices open late" in body, "None" in body) == (200, True, False)


async def test_a_suggestion_is_taken_up_with_the_decision_that_answers_it(runtime: Runtime) -> None:
    row = Suggestion("s1", runtime.clock().date(), "en", "Evenings", "new")
    await runtime.store.commit(UnitOfWork(NORTH, effects=[suggestion_effect(row)]))
    assert 'value="s1"' in (await asked(runtime, LEADER, MINUTES, "suggestion=s1"))[2]
    assert await written(runtime, suggestion="s1") == 303
    assert [each.status for each in await kept_suggestions(runtime.database, NORTH)] == ["taken-up"]
    assert [each.suggestion for each in await newest_decisions(runtime.database, NORTH)] == ["s1"]


async def test_everybody_reads_what_is_published_and_nothing_else(runtime: Runtime, tmp_path: Path) -> None:
    published(runtime, tmp_path)
    await filled(runtime)
    assert await written(runtime, said="<i>For us</i> alone") == 303
    assert await written(runtime, said="<i>For all</i> to read", public="yes") == 303
    _, _, body = await asked(runtime, None, "/measurement/dashboard/public/north")
    assert ("&lt;i&gt;For all&lt;/i&gt;" in body, "For us" in body, "/suggestions/" in body) == (True, False, False)
    report = (await asked(runtime, ANALYST, "/measurement/dashboard/report", "quarter=2026-Q3"))[2]
    assert "For us" not in report  # decided after the quarter


@pytest.mark.parametrize(
    ("decided", "standing", "is_public", "told", "told_to_all"),
    [
        (date(2026, 7, 1), "done", False, True, False),
        (date(2026, 9, 30), "not-possible", True, True, True),
        (date(2026, 10, 1), "planned", True, False, False),
        (date(2026, 6, 30), "done", True, False, False),
        (date(2026, 6, 30), "under-way", True, True, True),
        (date(2024, 1, 1), "planned", False, True, False),
    ],
)
def test_a_report_tells_of_its_time_and_of_what_is_open_still(
    decided: date, standing: str, is_public: bool, told: bool, told_to_all: bool
) -> None:
    decision = Decision("d", 1, "said", "done", decided, standing, "en", is_public=is_public)
    start, end = date(2026, 7, 1), date(2026, 9, 30)
    assert bool(told_in([decision], start, end, public_only=False)) is told
    assert bool(told_in([decision], start, end, public_only=True)) is told_to_all
