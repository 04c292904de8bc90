"""Figures between organisations: what leaves a practice, what a hub takes, and what it knows of its region then."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from stepwell_measurement.builders.region import taken_id
from stepwell_measurement.use_cases.dashboards import board_of, make_board
from stepwell_measurement.use_cases.partners import concerns, exchange, outgoing
from stepwell_measurement.use_cases.region import make_reports
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.roles import FIGURES_ROLE, ROLES
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.events.outbox import Entry
from stepwell_shared.events.progress import PendingEvent
from stepwell_shared.federation.exchange import NotReadyError
from stepwell_shared.federation.partners import Partner, figures_client_of, figures_scopes, save_partner
from stepwell_shared.federation.terms import FIGURES, Terms
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.services.measurement.test_dashboards import asked
from tests.services.measurement.test_evaluating import put
from tests.shared.federation.pairs import hub
from tests.support.corpus import Emitted
from tests.support.door import door_for
from tests.support.runtime import NORTH, SOUTH, START, URLS, announced, stored, token

TAKES = Terms(frozenset({FIGURES}))
THIRD = (date(2026, 7, 1), date(2026, 9, 30))
PERIOD = {"periodStart": "2026-07-01", "periodEnd": "2026-09-30"}
ANALYST, LEADER = token(SOUTH, "analyst"), token(SOUTH, "leader")
Resource = dict[str, Any]


async def paired(runtime: Runtime, **changed: Any) -> tuple[Partner, Partner]:
    """The hub as the practice NORTH knows it, and the practice as the hub SOUTH does: both are here."""
    known = {"base_url": URLS["measurement"], "subscription_there": "", "referred_to": False}
    there = {"client_id": figures_client_of(SOUTH, "alder"), "organization_there": "Organization/partner-alder"}
    given = hub(**known, **there, shared=frozenset({FIGURES}), taken_there=TAKES)
    taken = hub(**{**known, "tenant": SOUTH, "name": "alder", "title": "Alder", "taken_here": TAKES, **changed})
    for each in (given, taken):
        await save_partner(runtime.database, each, START)
    return given, taken


async def care(runtime: Runtime, *, came: int, missed: int, on: date = date(2026, 8, 3)) -> None:
    held = [{"held_on": on, "attendance": "attended"}] * came + [{"held_on": on, "attendance": "not-attended"}] * missed
    await put(runtime, "care_contact", *held, item=f"{on}")


async def reported(runtime: Runtime, partner: Partner) -> int:
    """The figures are made, and what is due of them for the partner."""
    await make_board(runtime, partner.tenant)
    board = await board_of(runtime, partner.tenant)
    assert board is not None
    return await make_reports(runtime, partner.tenant, partner, board)


async def kept(runtime: Runtime, measure: str = "attendance") -> Resource:
    """The practice's own report of the third quarter."""
    found = [each for each in await stored(runtime, NORTH, "MeasureReport") if f"/{measure}|" in each["measure"]]
    (report,) = [each for each in found if each["period"]["start"] == "2026-07-01"]
    return report


def told(report: Resource) -> PendingEvent:
    """The event of a report, as delivery has it."""
    focus = f"MeasureReport/{report['id']}"
    entry = Entry(f"{URLS['measurement']}/{focus}", msgspec.Raw(encode(report)))
    return PendingEvent((1, 1), focus, focus, [entry], None, START)


async def sent(runtime: Runtime, partner: Partner, report: Resource) -> Resource:
    """The report as it goes to the partner."""
    (entry,) = (await outgoing(runtime, partner, told(report))).entries
    assert entry["request"] == {"method": "PUT", "url": f"MeasureReport/{entry['resource']['id']}"}
    return dict(entry["resource"])


def caller_of(partner: Partner) -> Caller:
    """The token of a partner's measurement service."""
    client_id = figures_client_of(partner.tenant, partner.name)
    return Caller(partner.tenant, client_id, figures_scopes(partner), "token-1", roles=(FIGURES_ROLE,))


async def pooled(http: httpx.AsyncClient, measure: str = "attendance", **given: str) -> Resource:
    answer = await http.get(f"Measure/{measure}/$pool", params={**PERIOD, **given}, headers=ANALYST)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def people(report: Resource) -> list[int | None]:
    return [each.get("count") for each in report["group"][0]["population"]]


def states(report: Resource) -> dict[str, str]:
    parts = [{part["url"]: part for part in each["extension"]} for each in report["extension"]]
    return {each["reporter"]["valueReference"]["display"]: each["state"]["valueCode"] for each in parts}


async def test_nothing_leaves_that_was_not_made_for_the_partner_that_tells_of_few_or_that_is_not_shared(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    given, _ = await paired(runtime)
    await care(runtime, came=12, missed=6)
    await reported(runtime, given)
    report = await kept(runtime)
    other = {**report, "id": "other", "identifier": [{"value": "x"}]}
    assert not await concerns(runtime, given, told(other))
    assert not await concerns(runtime, replace(given, name="other"), told(report))
    assert await concerns(runtime, given, told(report))
    for changed in (replace(given, shared=frozenset()), replace(given, taken_there=Terms())):
        assert (await outgoing(runtime, changed, told(report))).entries == []
    posted = await http.post("MeasureReport", json=report, headers=token(NORTH, "leader"))
    assert (posted.status_code, "made here out of what is published" in posted.text) == (422, True)
    few = {**report, "group": [{**report["group"][0], "population": [{"count": 3}]}]}
    await runtime.store.commit(UnitOfWork(NORTH, [built(runtime.engine, few, START, version=2)]))
    with pytest.raises(NotReadyError, match="a count of 1 to 4 is not shared"):
        await outgoing(runtime, given, told(report))


async def test_a_hub_takes_a_partners_own_summaries_by_its_own_token_and_nothing_else(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    given, taken = await paired(runtime)
    await care(runtime, came=12, missed=6)
    await reported(runtime, given)
    report = await sent(runtime, given, await kept(runtime))
    own_id = report["id"]
    other_id = taken_id(URLS["measurement"], SOUTH, "birch", "attendance", THIRD)
    refused = {
        "of a person": ({**report, "type": "individual", "subject": {"reference": "Patient/p1"}}, 422),
        "of somebody else": ({**report, "reporter": {"reference": "Organization/partner-birch"}}, 403),
        "in another's place": ({**report, "id": other_id}, 422),
        "with a small tally": ({**report, "extension": []}, 422),
    }
    few = [
        {**each, "extension": [each["extension"][0], {"url": "value", "valueDecimal": 3}]}
        for each in report["extension"]
    ]
    refused["with a small tally"] = ({**report, "extension": few}, 422)
    async with door_for(runtime, caller_of(taken)) as practice:
        for why, (body, status) in refused.items():
            answer = await practice.put(f"MeasureReport/{body['id']}", json=body)
            assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome"), (
                why,
                answer.text,
            )
        assert (await practice.post("MeasureReport", json=report)).status_code == 403
        for path in ("MeasureReport", f"MeasureReport/{own_id}", "Measure/attendance/$pool", "Patient"):
            assert (await practice.get(path)).status_code == 403, path
    for ended in (replace(taken, taken_here=Terms()), replace(taken, name="birch")):
        client = replace(taken, name=ended.name)
        await save_partner(runtime.database, replace(taken, taken_here=ended.taken_here), START)
        runtime.cache.clear()
        async with door_for(runtime, caller_of(client)) as practice:
            body = {**report, "reporter": {"reference": client.organization}}
            answer = await practice.put(f"MeasureReport/{own_id}", json=body)
            assert (answer.status_code, "not agreed" in answer.text) == (403, True), answer.text
    assert await stored(runtime, SOUTH, "MeasureReport") == []
    assert [each.topic for each in await announced(runtime, SOUTH)] == []


async def test_a_region_is_what_its_practices_have_told_and_says_who_has_not(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Emitted
) -> None:
    given, taken = await paired(runtime)
    await save_partner(runtime.database, replace(taken, name="birch", title="Birch"), START)
    await care(runtime, came=12, missed=6)
    assert await reported(runtime, given) > 0
    assert await reported(runtime, given) == 0
    mine = await kept(runtime)
    emitted(mine)
    report = await sent(runtime, given, mine)
    emitted(report)
    async with door_for(runtime, caller_of(taken)) as practice:
        for _ in range(3):  # once counts once
            assert (await practice.put(f"MeasureReport/{report['id']}", json=report)).status_code in {200, 201}
        answer = await pooled(http)
        emitted(answer)
        assert people(answer) == [18, 18, 12]
        assert states(answer) == {"Alder": "counted", "Birch": "late"}

        runtime.clock.now += timedelta(days=60)  # type: ignore[attr-defined]  # the clock of the tests
        await care(runtime, came=9, missed=0, on=date(2026, 9, 1))
        assert await reported(runtime, given) > 0
        newer = await sent(runtime, given, mine)  # whatever version was announced, the newest goes
        assert (newer["id"], newer["date"] > report["date"]) == (report["id"], True)
        assert (await practice.put(f"MeasureReport/{newer['id']}", json=newer)).status_code == 200
        older = await practice.put(f"MeasureReport/{report['id']}", json=report)
        assert (older.status_code, "a newer report is here" in older.text) == (422, True)
    assert people(await pooled(http, stratifier="reporter"))[0] == people(newer)[0]
    assert len(await stored(runtime, SOUTH, "MeasureReport")) == 1


async def test_a_practice_with_few_people_is_told_of_without_its_figures(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    given, taken = await paired(runtime)
    await care(runtime, came=12, missed=2)
    await reported(runtime, given)
    report = await sent(runtime, given, await kept(runtime))
    assert "extension" not in report
    assert people(report) == [None] * 3
    by_hand = {**report, "id": "by-hand", "reporter": {"identifier": {"value": "birch"}}}
    tally = {"eligible": 20, "followed": 20, "having": 9}
    parts = [
        [{"url": "name", "valueString": name}, {"url": "value", "valueDecimal": count}] for name, count in tally.items()
    ]
    url = "https://stepwell.health/fhir/StructureDefinition/tally"
    by_hand["extension"] = [{"url": url, "extension": each} for each in parts]
    assert (await http.post("MeasureReport", json=by_hand, headers=LEADER)).status_code == 201
    async with door_for(runtime, caller_of(taken)) as practice:
        assert (await practice.put(f"MeasureReport/{report['id']}", json=report)).status_code == 201
    answer = await pooled(http)
    assert people(answer) == [20, 20, 9]
    assert states(answer) == {"Alder": "kept-back", "birch": "counted"}


async def test_partners_tell_measurement_nothing(runtime: Runtime) -> None:
    found = exchange(runtime)
    assert (found.topic.name, found.capacity, found.advice) == ("measure-report-ready", "", None)


async def test_leaders_of_a_hub_see_what_is_there_and_who_is_late_in_every_language(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    given, taken = await paired(runtime)
    leader = Caller(SOUTH, "south.leader", ROLES["leader"], "t1")
    own_practice = Caller(SOUTH, "south.p", Scopes.parse("system/MeasureReport.rs?reporter=Organization/p"), "t2")
    path = "/organisations"
    assert (await asked(runtime, own_practice, path))[0] == 403
    for wrong in ("part=2026-Q5", "part=yesterday", "part=2026-13"):
        assert (await asked(runtime, leader, path, wrong))[0] == 400
    assert "Late" in (await asked(runtime, leader, path))[2]
    await care(runtime, came=12, missed=6)
    await reported(runtime, given)
    report = await sent(runtime, given, await kept(runtime))
    async with door_for(runtime, caller_of(taken)) as practice:
        assert (await practice.put(f"MeasureReport/{report['id']}", json=report)).status_code == 201
    for language, words in (("en", "12 of 18"), ("de", "Verspätet"), ("es", "consultas"), ("fr", "cabinets")):
        status, _, page = await asked(runtime, leader, path, f"part=2026-Q3&language={language}")
        assert (status, words in page, "Alder" in page) == (200, True, True), page
    await make_board(runtime, SOUTH)
    assert "organisations" in (await asked(runtime, leader))[2]
    await save_partner(runtime.database, replace(taken, taken_here=Terms()), START)
    runtime.cache.clear()
    assert "organisations" not in (await asked(runtime, leader))[2]
