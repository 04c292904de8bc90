"""Two practices and their hub: the region's figures are there without anybody fetching them, though a line was away."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from stepwell_measurement.data.region import default_schedule
from stepwell_measurement.rules.region import Part, parts_due
from stepwell_measurement.use_cases.dashboards import period_of
from stepwell_shared.canonical import extension_url, instant
from stepwell_shared.cli.partners import change_partner
from stepwell_shared.federation.terms import FIGURES, Terms

from tests.journeys.test_federation import cut_off, nothing_is_owed, together_again
from tests.support.partners import Organisation, Resource, add_by_card, hired, rows, statement
from tests.support.waiting import until

TAKES_FIGURES = Terms(frozenset({FIGURES}))
TRIES = 5
ATTENDED, MISSED = "attendance", "non-attendance"


def newest_due() -> Part:
    """The quarter whose reports are due by now."""
    today = datetime.now(UTC).date()
    return parts_due(default_schedule(), *period_of(today), today)[-1]


async def agree(practice: Organisation, hub: Organisation, *, shares: bool = True) -> None:
    """Each adds the other by its card; no referral goes between them."""
    await add_by_card(practice, hub, (), told=None, takes=TAKES_FIGURES)
    shared = (FIGURES,) if shares else ()
    await add_by_card(hub, practice, shared, told=TAKES_FIGURES, takes=Terms(), referred_to=True)


async def care_is_given(practice: Organisation, part: Part, *, came: int, missed: int) -> None:
    """So many people came to an appointment in this part of the year, and so many did not."""
    day = datetime.combine(part.start + timedelta(days=30), datetime.min.time(), UTC)
    told = []
    for number in range(came + missed):
        person = f"{practice.url_of('screening')}/Patient/p{number}"
        appointment = {
            "resourceType": "Appointment",
            "id": f"a{number}",
            "meta": {"versionId": "2"},
            "status": "fulfilled" if number < came else "noshow",
            "start": instant(day),
            "participant": [{"actor": {"reference": person}, "status": "accepted"}],
        }
        told.append((f"{practice.url_of('referral')}/Appointment/a{number}", appointment))
    answer = await practice.announce_all("referral", "appointment-changed", told)
    assert answer.status_code == 200, answer.text

    async def counted() -> bool:
        (row,) = await rows(practice, "SELECT count(*) AS many FROM care_contact")
        return bool(row["many"] == came + missed)

    await until(counted, seconds=120)


async def somebody_makes_its_figures(practice: Organisation) -> None:
    """Figures that were begun a moment ago are made by whoever began: nobody else begins for an hour."""
    begun = "INSERT INTO dashboard_sheet VALUES ($1, '', now(), current_date, current_date, '')"
    await statement(practice, begun, practice.tenant)


async def an_hour_passes(practice: Organisation) -> None:
    """Its figures are due again."""
    await statement(practice, "DELETE FROM dashboard_sheet WHERE tenant = $1", practice.tenant)


async def pooled(hub: Organisation, measure: str, part: Part) -> Resource:
    """What an analyst of the hub is told of the region."""
    period: dict[str, Any] = {"periodStart": part.start.isoformat(), "periodEnd": part.end.isoformat()}
    answer = await hub.call("GET", f"Measure/{measure}/$pool", by="analyst", **period)
    assert answer.status_code in {200, 422}, answer.text
    return dict(answer.json())


def counts(report: Resource) -> dict[str, int]:
    """The populations of a report by code."""
    found = report.get("group", [{}])[0].get("population", ())
    return {each["code"]["coding"][0]["code"]: each["count"] for each in found}


def standing(report: Resource) -> dict[str, str]:
    """How it stands with each organisation that sends figures."""
    parts = [each["extension"] for each in report.get("extension", ()) if each["url"] == extension_url("reporting")]
    found = [{part["url"]: part for part in each} for each in parts]
    return {each["reporter"]["valueReference"]["reference"]: each["state"]["valueCode"] for each in found}


def saying(hub: Organisation, measure: str, part: Part, said: Sequence[int]) -> Callable[[], Awaitable[Any]]:
    """Whether the region's figure is made of so many people, of whom so many have it."""

    async def condition() -> Resource | None:
        report = await pooled(hub, measure, part)
        found = counts(report)
        return report if [found.get("denominator"), found.get("numerator")] == list(said) else None

    return condition


async def has_tried(practice: Organisation) -> bool:
    """Whether delivery to the hub has failed so often."""
    return any(each.attempts >= TRIES for each in await practice.standings())


async def test_a_regions_figures_are_there_by_themselves_though_one_practice_was_offline(tmp_path: Path) -> None:
    part = newest_due()
    async with hired(tmp_path, "alder", "birch", "hub", service="measurement") as (found, processes):
        alder, birch, hub = found
        for practice in (alder, birch):
            await somebody_makes_its_figures(practice)
        for each in found:
            processes.start_one(each.tenant)
        processes.wait_until_ready()
        await care_is_given(alder, part, came=12, missed=6)
        await care_is_given(birch, part, came=8, missed=5)
        for practice in (alder, birch):
            await an_hour_passes(practice)

        await agree(alder, hub)
        await agree(birch, hub, shares=False)
        report = await until(saying(hub, ATTENDED, part, (18, 12)), seconds=120)
        assert standing(report)["Organization/partner-alder"] == "counted"
        assert standing(report)["Organization/partner-birch"] in {"awaited", "late"}
        await nothing_is_owed(alder)
        assert await birch.standings() == []  # nothing goes that was not agreed

        cut_off(hub)
        await change_partner(birch.access(), birch.tenant, hub.tenant, shared=frozenset({FIGURES}), taken=None)
        await until(lambda: has_tried(birch), seconds=120)
        processes.kill("birch")
        processes.start_one("birch")
        processes.wait_until_ready("birch")
        together_again(hub)
        report = await until(saying(hub, ATTENDED, part, (31, 20)), seconds=120)
        await until(saying(hub, MISSED, part, (31, 11)), seconds=120)
        assert set(standing(report).values()) == {"counted"}
        await nothing_is_owed(birch)
        assert b"Patient" not in hub.line.crossed()
        assert b"MeasureReport" in hub.line.crossed()
