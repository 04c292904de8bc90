"""Promises of the threshold review: what a simulation says is read as it is, few people are not spoken of, no cause."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest
from stepwell_measurement.data.dashboard_words import Words, languages
from stepwell_measurement.pages.document import Figures
from stepwell_measurement.pages.pdf import pdf_of
from stepwell_measurement.pages.thresholds import review
from stepwell_measurement.pages.tiles import Voice
from stepwell_measurement.rules.thresholds import (
    Load,
    Trial,
    Tried,
    first_score_above,
    instrument_of,
    newest,
    rounded,
    trial_of,
    tried_of,
)
from stepwell_measurement.use_cases.dashboards import period_of
from stepwell_measurement.use_cases.thresholds import SYSTEM, outcomes_near
from stepwell_shared.runtime import Runtime

from tests.services.measurement.boards import MADE
from tests.services.measurement.scoring import NORTH, SOUTH
from tests.services.measurement.test_dashboards import LEADER, OF_LINDENHOF, asked
from tests.services.measurement.test_reports_quarterly import read_from
from tests.support.runtime import token

Resource = dict[str, Any]
PHQ9, NAME = "44261-6", "phq9_tier_3_minimum"
TRIED = Tried("stepped-care", NAME, 15, 16)
WRITER = token(NORTH, "leader")


def stratum(people: int, **labels: str) -> Resource:
    population = [{"code": {"text": "initial-population"}, "count": people}]
    if list(labels) == ["step"]:
        return {"value": {"text": labels["step"]}, "population": population}
    component = [{"code": {"text": name}, "value": {"text": value}} for name, value in labels.items()]
    return {"component": component, "population": population}


def scored(score: float, **labels: str) -> Resource:
    told = stratum(0, **labels)
    del told["population"]
    return {**told, "measureScore": {"value": score}}


def group(code: str, *strata: Resource, broken: int | None = None) -> Resource:
    populations = [{"count": 100}, *([{"count": 100}, {"count": broken}] if broken is not None else [])]
    return {"code": {"text": code}, "population": populations} | (
        {"stratifier": [{"code": [{"text": "step"}], "stratum": list(strata)}]} if strata else {}
    )


def simulated(value: int = 15, broken: int = 0, made: str = "2026-11-20T09:00:00Z", **more: Any) -> Resource:
    """What routing's `$simulate` answers, by hand."""
    return {
        "resourceType": "MeasureReport",
        "status": "complete",
        "type": "summary",
        "measure": "https://stepwell.health/fhir/Measure/policy-simulation",
        "date": made,
        "period": {"start": "2026-05-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"},
        "identifier": [{"system": SYSTEM, "value": f"stepped-care/{NAME}/{value}/16"}],
        "group": [
            group("safety-promises-broken", broken=broken),
            group("proposed-steps", stratum(60, step="tier-2"), stratum(40, step="tier-3 / tier-4")),
            group("moves", stratum(70, present="tier-2", proposed="tier-2"),
                  stratum(15, present="tier-1 / tier-2", proposed="tier-3"),
                  stratum(5, present="tier-3", proposed="tier-2"),
                  stratum(10, present="tier-2 / tier-3", proposed="tier-3")),
            group("arrivals-per-week", scored(2.3, step="tier-2"), scored(1.5, step="tier-3 / tier-4")),
            group("use-of-places", scored(75, step="tier-2")),
            group("wait", scored(1.0, step="tier-2", week="9"), scored(2.5, step="tier-2", week="10")),
        ],
        **more,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "a/b/c/d", "a/b/1", "a/b/1/2/3", "a//1/2", "a/b/-1/2", "a/b/1/²"])
def test_what_names_no_trial_is_none(text: str) -> None:
    assert tried_of(text) is None


def test_what_is_no_report_of_a_simulation_is_not_read() -> None:
    for broken in ({}, {"group": "x"}, {**simulated(), "group": []}, {**simulated(), "period": None}):
        with pytest.raises(ValueError, match="no report"):
            trial_of(broken, TRIED)


def test_a_simulation_is_read_as_it_says_and_of_merged_steps_nobody_is_said_to_move() -> None:
    assert tried_of(TRIED.text) == TRIED
    assert trial_of(simulated(broken=2), TRIED) == Trial(
        TRIED, "2026-11-20T09:00:00Z", "2026-05-01", "2026-11-01", False, 2,
        (("tier-2", 60), ("tier-3 / tier-4", 40)), 15, 5,
        (Load("tier-2", 2.3, 75.0, 2.5), Load("tier-3 / tier-4", 1.5)), True,
    )  # fmt: skip
    plain = simulated()
    plain["group"][2] = group("moves", stratum(70, present="tier-2", proposed="tier-2"),
                              stratum(15, present="tier-1 / tier-2", proposed="tier-3 / tier-4"))  # fmt: skip
    found = trial_of(plain, TRIED)
    assert (found.more_care, found.less_care, found.hides_moves) == (15, 0, False)
    merged = group("moves", stratum(70, present="tier-2 / tier-3", proposed="tier-2 / tier-3"))
    assert trial_of({**plain, "group": [*plain["group"][:2], merged]}, TRIED).hides_moves


def test_trials_that_are_compared_are_of_the_same_people() -> None:
    def trial(value: int, made: str, start: str = "2026-05-01", in_force: int = 16) -> Trial:
        tried = Tried("p", NAME, value, in_force)
        return Trial(tried, made, start, "2026-11-01", False, 0, (), 0, 0, ())

    old, other, now = trial(15, "1"), trial(17, "2", start="2026-01-01"), trial(16, "3")
    again, before = trial(15, "4"), trial(14, "0", in_force=15)
    assert newest([again, now, other, old, before]) == [again, now]
    assert newest([]) == []


@pytest.mark.parametrize(
    ("parameter", "value", "first", "instrument"),
    [
        ("phq9_tier_3_minimum", 16, 16, "phq-9"),
        ("phq15_tier_3_minimum", 15, 15, "phq-15"),
        ("wsas_tier_3_above", 20, 21, "wsas"),
        ("response_weeks", 8, 8, None),
    ],
)
def test_a_parameter_says_whose_score_it_cuts_and_where(
    parameter: str, value: int, first: int, instrument: str | None
) -> None:
    tried = Tried("p", parameter, 1, value)
    assert first_score_above(tried) == first
    assert instrument_of(tried, ("phq-9", "phq-15", "gad-7", "wsas")) == instrument


def test_counts_are_rounded_as_routing_does() -> None:
    assert [rounded(count) for count in (0, 2, 3, 7, 8, 70)] == [0, 0, 5, 5, 10, 70]


async def courses(runtime: Runtime, tenant: str, people: Sequence[tuple[int, bool | None]]) -> None:
    """Finished courses that began with a score, and whether they improved. A later score says nothing of the start."""
    _, end = period_of(runtime.clock().date())
    began, ended = end - timedelta(days=90), end - timedelta(days=10)
    async with runtime.database.transaction(tenant) as connection:
        for number, (score, improved) in enumerate(people):
            person = f"Patient/p{number}"
            series = ",".join(f'["o{place}",1,"{day.isoformat()}T08:00:00","{value}",{prorated}]'
                              for place, (day, value, prorated) in enumerate(
                                  ((began - timedelta(days=30), 3, 0), (began, score, 0), (began, 27, 1),
                                   (ended, 4, 0))))  # fmt: skip
            await connection.execute(
                "INSERT INTO trajectory (tenant, person, code, number, recorded, series, measures, left_out)"
                " VALUES ($1, $2, $3, 1, now(), $4, 4, 0)", tenant, person, PHQ9, f"[{series}]",
            )  # fmt: skip
            await connection.execute(
                "INSERT INTO care_course (tenant, person, item, practice, age, sex, language, ethnicity, deprivation,"
                " rurality, tier, pathway, started_on, ended_on, contacts, reliable_improvement, use_before, use_after)"
                " VALUES ($1, $2, 'c', 'x', '25-64', 'female', 'de', 'x', '1', 'urban', 'tier-2', 'stepped-care',"
                " $3, $4, 3, $5, 0, 0)", tenant, person, began, ended, improved,
            )  # fmt: skip


async def test_few_people_near_a_cut_off_are_not_spoken_of(runtime: Runtime) -> None:
    await courses(runtime, NORTH, [(15, True)] * 29 + [(16, True)] * 80 + [(15, None)] * 9)
    assert await outcomes_near(runtime, NORTH, TRIED) is None
    assert await outcomes_near(runtime, NORTH, TRIED._replace(parameter="response_weeks")) is None
    assert await outcomes_near(runtime, SOUTH, TRIED) is None


async def test_outcomes_on_both_sides_are_those_of_a_cohort_that_was_counted_by_hand(runtime: Runtime) -> None:
    """Newcombe 1998, Stat Med 17:873, table II, contrast a: 56 of 70 against 48 of 80 is 0.2 (0.0524 to 0.3339)."""
    above = [(16, True)] * 30 + [(18, True)] * 26 + [(17, False)] * 14 + [(16, None)] * 6
    below = [(15, True)] * 48 + [(13, False)] * 32 + [(14, None)] * 20
    far = [(12, True)] * 40 + [(19, False)] * 40
    await courses(runtime, NORTH, [*above, *below, *far])
    found = await outcomes_near(runtime, NORTH, TRIED)
    assert found is not None
    assert (found.low, found.high) == (13, 18)
    (near,) = [each for each in found.found if each.measure.id == "reliable-improvement"]
    assert (near.below.eligible, near.below.followed, near.below.having) == (100, 80, 48)
    assert (near.above.eligible, near.above.followed, near.above.having) == (76, 70, 56)
    said = review([trial_of(simulated(), TRIED)], found, voice()).parts[-1].content
    (row,) = [row for each in said if isinstance(each, Figures) for row in each.rows
              if row.cells[0] == "Clearly better"]  # fmt: skip
    assert row.cells[1:] == (
        "60% (49% to 70%); about 80 people; known of 80%",
        "80% (69% to 88%); about 70 people; known of 92%",
        "+20 points (+5 to +33); more than chance",
    )
    assert "does not show what moving the cut-off would do" in str(said[0])


async def test_few_who_recovered_but_not_reliably_do_not_follow_on_a_side(runtime: Runtime) -> None:
    await courses(runtime, NORTH, [*[(16, True)] * 60, *[(16, False)] * 40, *[(15, True)] * 60, *[(15, False)] * 40])
    async with runtime.database.transaction(NORTH) as connection:
        await connection.execute(
            "UPDATE care_course SET case_at_start = true, reliable_deterioration = false,"
            " reliable_recovery = reliable_improvement, recovery = reliable_improvement OR person = ANY($1)",
            [f"Patient/p{number}" for number in (60, 61, 62)],
        )
    found = await outcomes_near(runtime, NORTH, TRIED)
    assert found is not None
    above = {each.measure.id: each.above.having for each in found.found}
    assert above.keys() >= {"recovery", "reliable-recovery", "reliable-improvement"}
    assert None in {above["recovery"], above["reliable-recovery"]}
    assert set(above.values()) & {60, 63}


def voice(language: str = "en") -> Voice:
    return Voice(Words(language), "/measurement/dashboard")


@pytest.mark.parametrize("language", languages())
def test_a_review_reads_in_every_language_and_on_paper(language: str) -> None:
    trials = [trial_of(simulated(value, broken=value == 17), TRIED._replace(value=value)) for value in (15, 16, 17)]
    document = review(trials, None, voice(language))
    tables = [block for part in document.parts for block in part.content if isinstance(block, Figures)]
    assert [len(each.rows) for each in tables] == [3, 3]
    assert sum("17: " in each for each in document.lead) == 1  # promises that are broken come first
    people = tables[0].rows[0].cells
    assert [Words(language).phrase("at-least", count=count) for count in (15, 5)] == list(people[-2:])
    assert "None" not in str(document)
    assert NAME in read_from(pdf_of(document, MADE, "letters"))


async def test_leaders_see_what_was_tried_here_and_nobody_else_does(runtime: Runtime, http: httpx.AsyncClient) -> None:
    path = "/thresholds"
    assert [(await asked(runtime, who, path))[0] for who in (None, OF_LINDENHOF)] == [401, 403]
    assert "Nothing was tried yet" in (await asked(runtime, LEADER, path))[2]
    assert (await asked(runtime, LEADER, path, "parameter=absent"))[0] == 404
    for value in (15, 16):
        answer = await http.post("MeasureReport", json=simulated(value), headers=WRITER)
        assert answer.status_code == 201, answer.text
    unread = {**simulated(14), "group": [{"code": {"text": "other"}}]}
    assert (await http.post("MeasureReport", json=unread, headers=WRITER)).status_code == 201
    assert (await http.post("MeasureReport", json=simulated(13), headers=token(SOUTH, "leader"))).status_code == 201
    status, _, body = await asked(runtime, LEADER, path, f"parameter={NAME}&policy=stepped-care")
    assert (status, "16 (in force)" in body, ">15<" in body, ">14<" in body, ">13<" in body) == (
        200, True, True, False, False
    )  # fmt: skip
    status, headers, file = await asked(runtime, LEADER, path, "_format=pdf")
    assert (status, headers["content-type"].partition(";")[0], file[:5]) == (200, "application/pdf", "%PDF-")
