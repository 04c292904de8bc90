"""Promises of what follows from a score: kept once, compared from the second on, in any order, one tenant's own."""

import asyncio
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.runtime import Runtime

from tests.services.measurement.scoring import NORTH, PATIENT, SOUTH, finalized, hear, score_id
from tests.support.runtime import URLS, announced, stored

Resource = dict[str, Any]

IDENTIFIED: Resource = {"identifier": {"system": "https://ehr.example/patient-numbers", "value": "a b c"}}
AT_THE_EHR: Resource = {"reference": "https://ehr.example/fhir/Patient/77"}


async def results(runtime: Runtime, tenant: str = NORTH) -> list[Resource]:
    """The reliable changes that stand or stood."""
    return [each for each in await stored(runtime, tenant, "Observation") if "method" in each]


async def standing(runtime: Runtime, tenant: str = NORTH) -> list[tuple[str, str, str]]:
    """(baseline, current, outcome) of each reliable change that stands, by the ids of the scores."""
    found = []
    for each in await results(runtime, tenant):
        if each["status"] != "entered-in-error":
            first, second = (source["reference"].removeprefix("Observation/") for source in each["derivedFrom"])
            found.append((first, second, outcome_of(each)))
    return sorted(found)


def outcome_of(result: Resource) -> str:
    concept: Resource = (
        result["valueCodeableConcept"] if "valueCodeableConcept" in result else result["dataAbsentReason"]
    )
    code: str = concept["coding"][0]["code"]
    return code


async def told(runtime: Runtime, tenant: str = NORTH) -> list[str]:
    """The outcomes that subscribers were told, in order; `withdrawn` when one no longer stands."""
    events = await announced(runtime, tenant)
    assert all(each.topic == "trajectory-changed" for each in events)
    return ["withdrawn" if each.focus["status"] == "entered-in-error" else outcome_of(each.focus) for each in events]


async def test_a_score_that_does_not_say_where_it_comes_from_is_refused(runtime: Runtime) -> None:
    event = finalized("r1", 16)
    for resource in event.resources.values():
        if resource["resourceType"] == "Observation":
            del resource["meta"]
    with pytest.raises(FhirError) as refused:
        await hear(runtime, event)
    assert refused.value.category is Category.BUSINESS_RULE
    assert await stored(runtime, NORTH, "Observation") == []


async def test_a_first_score_is_kept_as_it_was_sent_and_compared_with_nothing(runtime: Runtime) -> None:
    event = finalized("r1", 16)
    await hear(runtime, event)
    (kept,) = await stored(runtime, NORTH, "Observation")
    sent = next(each for url, each in event.resources.items() if "/Observation/" in url)
    assert {**sent, "meta": None} == {**kept, "meta": None}
    assert kept["meta"]["source"] == sent["meta"]["source"]
    assert kept["meta"]["versionId"] == "1"
    assert await told(runtime) == []


async def test_the_other_tenant_sees_nothing_and_its_scores_are_never_compared_with_ours(runtime: Runtime) -> None:
    await hear(runtime, finalized("r1", 20))
    await hear(runtime, finalized("r2", 5, week=4), tenant=SOUTH)
    assert [each["id"] for each in await stored(runtime, NORTH, "Observation")] == [score_id("r1")]
    assert [each["id"] for each in await stored(runtime, SOUTH, "Observation")] == [score_id("r2")]
    assert await results(runtime, NORTH) == await results(runtime, SOUTH) == []


@pytest.mark.parametrize("subject", [PATIENT, AT_THE_EHR, IDENTIFIED], ids=["ours", "of the EHR", "an identifier"])
async def test_the_second_score_says_whether_the_change_is_real(
    runtime: Runtime, subject: Resource, emitted: Callable[[Resource], None]
) -> None:
    await hear(runtime, finalized("r1", 20, subject=subject), finalized("r2", 9, week=4, subject=subject))
    assert await standing(runtime) == [(score_id("r1"), score_id("r2"), "improvement")]
    (result,) = await results(runtime)
    assert result["subject"] == subject
    (provenance,) = await stored(runtime, NORTH, "Provenance")
    assert provenance["target"] == [{"reference": f"Observation/{result['id']}/_history/1"}]
    assert [entity["what"]["reference"] for entity in provenance["entity"]] == [
        f"Observation/{score_id('r1')}/_history/1",
        f"Observation/{score_id('r2')}/_history/1",
    ]
    for resource in (result, provenance):
        validation.check(encode(resource), resource["resourceType"])
        emitted(resource)


async def test_subscribers_get_the_result_with_both_scores_under_the_person(runtime: Runtime) -> None:
    await hear(runtime, finalized("r1", 20), finalized("r2", 9, week=4))
    (event,) = await announced(runtime, NORTH)
    assert event.subject == "Patient/p1"
    (result,) = await results(runtime)
    assert event.focus == result
    assert list(event.entries) == [
        f"{URLS['measurement']}/Observation/{id_}" for id_ in (result["id"], score_id("r1"), score_id("r2"))
    ]


async def test_the_same_event_twice_changes_nothing(runtime: Runtime) -> None:
    first, second = finalized("r1", 20), finalized("r2", 9, week=4)
    await hear(runtime, first, second)
    before = await stored(runtime, NORTH, "Observation")
    await hear(runtime, first, second, second)
    assert await stored(runtime, NORTH, "Observation") == before
    assert await told(runtime) == ["improvement"]


async def test_subscribers_are_told_only_what_they_were_not_told_last(runtime: Runtime) -> None:
    totals = [14, 13, 15, 22, 24, 8]
    await hear(runtime, *(finalized(f"r{week}", total, week=week) for week, total in enumerate(totals)))
    assert await told(runtime) == ["no-reliable-change", "deterioration", "improvement"]
    assert len(await standing(runtime)) == 5


async def test_each_instrument_has_its_own_series(runtime: Runtime) -> None:
    await hear(
        runtime,
        finalized("r1", 20),
        finalized("g1", 15, instrument="gad-7"),
        finalized("r2", 19, week=4),
        finalized("g2", 5, week=4, instrument="gad-7"),
    )
    assert await standing(runtime) == sorted(
        [
            (score_id("r1"), score_id("r2"), "no-reliable-change"),
            (score_id("g1", "gad-7"), score_id("g2", "gad-7"), "improvement"),
        ]
    )


async def test_an_instrument_without_parameters_says_so_instead_of_guessing(
    runtime: Runtime, emitted: Callable[[Resource], None]
) -> None:
    await hear(runtime, finalized("r1", 20, instrument="phq-15"), finalized("r2", 4, week=4, instrument="phq-15"))
    assert await standing(runtime) == [(score_id("r1", "phq-15"), score_id("r2", "phq-15"), "unsupported")]
    for result in await results(runtime):
        emitted(result)


async def test_whatever_the_order_of_arrival_the_earliest_score_is_the_baseline(runtime: Runtime) -> None:
    scores = {"r1": (20, 0), "r2": (15, 2), "r3": (9, 4)}
    for number, order in enumerate(permutations(scores)):
        subject = {"reference": f"{URLS['screening']}/Patient/p{number}"}
        events = [
            finalized(f"{name}-{number}", scores[name][0], week=scores[name][1], subject=subject) for name in order
        ]
        await hear(runtime, *events)
        first, second, third = (score_id(f"{name}-{number}") for name in scores)
        mine = [each for each in await standing(runtime) if each[0] == first]
        assert mine == sorted([(first, second, "no-reliable-change"), (first, third, "improvement")])
    assert len(await standing(runtime)) == 12


async def test_an_older_version_that_comes_late_changes_nothing(runtime: Runtime) -> None:
    await hear(runtime, finalized("r1", 20, version=2, status="amended"), finalized("r1", 5))
    (kept,) = await stored(runtime, NORTH, "Observation")
    assert (kept["valueQuantity"]["value"], kept["meta"]["versionId"]) == (20, "1")


async def test_an_amended_score_is_its_next_version_and_so_is_what_followed_from_it(runtime: Runtime) -> None:
    await hear(runtime, finalized("r1", 20), finalized("r2", 9, week=4))
    await hear(runtime, finalized("r2", 18, week=4, version=2, status="amended"))
    (result,) = await results(runtime)
    assert (result["status"], result["meta"]["versionId"]) == ("amended", "2")
    assert await standing(runtime) == [(score_id("r1"), score_id("r2"), "no-reliable-change")]
    assert await told(runtime) == ["improvement", "no-reliable-change"]
    assert len(await stored(runtime, NORTH, "Provenance")) == 2


async def test_an_amended_baseline_changes_every_comparison_with_it(runtime: Runtime) -> None:
    await hear(runtime, finalized("r1", 20), finalized("r2", 12, week=2), finalized("r3", 11, week=4))
    await hear(runtime, finalized("r1", 13, version=2, status="amended"))
    assert {outcome for _, _, outcome in await standing(runtime)} == {"no-reliable-change"}
    assert await told(runtime) == ["improvement", "no-reliable-change"]


async def test_a_score_entered_in_error_leaves_the_series_and_its_comparison_is_withdrawn(
    runtime: Runtime, emitted: Callable[[Resource], None]
) -> None:
    await hear(runtime, finalized("r1", 20), finalized("r2", 9, week=4))
    await hear(runtime, finalized("r2", 9, week=4, version=2, status="entered-in-error"))
    assert await standing(runtime) == []
    (result,) = await results(runtime)
    validation.check(encode(result), "Observation")
    emitted(result)
    assert await told(runtime) == ["improvement", "withdrawn"]
    await hear(runtime, finalized("r3", 19, week=6))
    assert await standing(runtime) == [(score_id("r1"), score_id("r3"), "no-reliable-change")]


async def test_a_retracted_baseline_hands_over_to_the_next_score(runtime: Runtime) -> None:
    await hear(runtime, finalized("r1", 20), finalized("r2", 9, week=2), finalized("r3", 8, week=4))
    await hear(runtime, finalized("r1", 20, version=2, status="entered-in-error"))
    assert await standing(runtime) == [(score_id("r2"), score_id("r3"), "no-reliable-change")]
    assert await told(runtime) == ["improvement", "no-reliable-change"]


async def test_a_score_with_filled_in_answers_is_kept_and_not_compared(runtime: Runtime) -> None:
    await hear(runtime, finalized("r1", 20), finalized("r2", 6, week=2, blank_items=1), finalized("r3", 9, week=4))
    assert await standing(runtime) == [(score_id("r1"), score_id("r3"), "improvement")]
    assert len(await stored(runtime, NORTH, "Observation")) == 4


async def test_a_score_that_moves_to_another_person_changes_both_series(runtime: Runtime) -> None:
    other = {"reference": f"{URLS['screening']}/Patient/p2"}
    await hear(runtime, finalized("r1", 20), finalized("r2", 9, week=4), finalized("r3", 8, week=6))
    await hear(runtime, finalized("s1", 18, week=1, subject=other))
    await hear(runtime, finalized("r1", 20, version=2, status="amended", subject=other))
    assert await standing(runtime) == sorted(
        [
            (score_id("r2"), score_id("r3"), "no-reliable-change"),
            (score_id("r1"), score_id("s1"), "no-reliable-change"),
        ]
    )


@pytest.mark.parametrize("rivals", [2, 6])
async def test_scores_that_arrive_at_once_are_all_compared(runtime: Runtime, rivals: int) -> None:
    events = [finalized(f"r{week}", 20 - week, week=week) for week in range(rivals)]
    await asyncio.gather(*(hear(runtime, each) for each in events), *(hear(runtime, each) for each in events))
    assert len(await standing(runtime)) == rivals - 1
    assert {first for first, _, _ in await standing(runtime)} == {score_id("r0")}
    kept = [each for each in await stored(runtime, NORTH, "Observation") if "method" not in each]
    assert [each["meta"]["versionId"] for each in kept] == ["1"] * rivals


async def test_many_persons_at_once_read_their_series_together(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    fetch = runtime.database.fetch

    async def counting(statement: str, *arguments: Any) -> Any:
        if "read_trajectories" in statement:
            calls.append(len(arguments[1]))
        return await fetch(statement, *arguments)

    monkeypatch.setattr(runtime.database, "fetch", counting)
    persons = [{"reference": f"{URLS['screening']}/Patient/p{number}"} for number in range(20)]
    await asyncio.gather(
        *(hear(runtime, finalized(f"r{number}", 16, subject=person)) for number, person in enumerate(persons))
    )
    assert sum(calls) == 20
    assert len(calls) <= 2
