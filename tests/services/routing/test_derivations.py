"""Promises of what is counted and dated from the rows of a person: at each boundary, and nothing out of nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from stepwell_routing.policies import active_policies
from stepwell_routing.rules.answers import NOTHING
from stepwell_routing.rules.evidence_names import known, measure_of
from stepwell_routing.rules.expressions import Scalar
from stepwell_routing.rules.policies import Input, Policy
from stepwell_routing.tables import BORN, CONDITION, EXIT, PLACE, SAID, SITE, STEP, WAIT_UNTIL, Known
from stepwell_routing.use_cases.derivations import is_answered
from stepwell_routing.use_cases.evidence import gather, is_score

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
PAIN = "http://snomed.info/sct", "161891005"
PHQ_9 = "http://loinc.org|44261-6"


def ago(name: str, value: str | None, days: float, reference: str = "", version: int = 1) -> Known:
    return Known(name, value, NOW - timedelta(days=days), reference or f"r/{name}-{days}", version)


def said(name: str, *, codes: tuple[tuple[str, str], ...] = ()) -> Policy:
    """A policy that asks for this alone."""
    found = known(name)
    assert found is not None
    asked = Input(name, found.kind, found.resource_type, codes, None)
    return replace(active_policies()["stepped-care"], inputs=(asked,), derived={})


def value(policy: Policy, *rows: Known) -> Scalar | None:
    (asked,) = policy.inputs
    found = gather(policy, rows, now=NOW).values.get(asked.name)
    return None if found is None else found.value


@pytest.mark.parametrize("name", ["flares", "tasks_met_reviews", "step_reviews", "age", "symptom_months"])
def test_nothing_is_made_of_nothing(name: str) -> None:
    assert value(said(name)) is None


def test_a_flare_that_is_still_open_at_the_next_review_is_the_same_flare() -> None:
    step = ago(STEP, "pain-p2a", 40)
    flares = [
        ago(f"{SAID}flare", each, days) for each, days in (("true", 35), ("true", 28), ("false", 21), ("true", 7))
    ]
    assert value(said("flares"), step, *flares) == 2


def test_flares_of_the_step_before_do_not_count() -> None:
    assert value(said("flares"), ago(f"{SAID}flare", "true", 41), ago(STEP, "pain-p2a", 40)) is None


@pytest.mark.parametrize(
    ("reviews", "running"), [((), None), (("false",), 0), (("true", "false"), 0), (("false", "true", "true"), 2)]
)
def test_reviews_with_tasks_met_are_counted_up_to_the_last(reviews: tuple[str, ...], running: int | None) -> None:
    rows = [ago(f"{SAID}tasks_met", each, 30 - day) for day, each in enumerate(reviews)]
    assert value(said("tasks_met_reviews"), ago(STEP, "pain-p1", 40), *rows) == running


@pytest.mark.parametrize(("days", "reviews"), [((), 0), ((20,), 1), ((20, 14), 1), ((20, 13), 2), ((20, 13, 6), 3)])
def test_measures_less_than_a_week_apart_are_one_review(days: tuple[int, ...], reviews: int) -> None:
    rows = [ago(PHQ_9, "9", each) for each in (*days, 50)]
    assert value(said("step_reviews"), ago(STEP, "somatic-p1", 40), *rows) == reviews


def test_after_an_exit_there_is_no_step_to_review() -> None:
    assert value(said("step_reviews"), ago(STEP, "somatic-p1", 40), ago(EXIT, "somatic-p1", 10)) is None


@pytest.mark.parametrize(
    ("born", "age"),
    [
        ("2008-11-21", 18),
        ("2008-11-22", 17),
        ("2008-11", 17),  # as young as it can be: no minor is missed
        ("2008", 17),
        ("2007", 18),
    ],
)
def test_age_is_that_of_the_youngest_whom_the_date_allows(born: str, age: int) -> None:
    assert value(said("age"), ago(BORN, born, 0)) == age


@pytest.mark.parametrize(("onset", "months"), [("2026-05-21", 6), ("2026-05-25", 5), ("2025", 22), ("", None)])
def test_symptoms_last_since_the_earliest_onset_that_is_known(onset: str, months: int | None) -> None:
    rows = [ago(f"{CONDITION}{'|'.join(PAIN)}", f"active|{onset}", 3, "Condition/1"),
            ago(f"{CONDITION}x|y", "inactive|", 3, "Condition/2")]  # fmt: skip
    assert value(said("symptom_months", codes=(PAIN,)), *rows) == months


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((), None),
        ((("x|y", "active|"),), False),
        ((("|".join(PAIN), "inactive|"),), False),
        ((("|".join(PAIN), "active|"), ("x|y", "active|")), True),
        ((("|".join(PAIN), None),), None),
    ],
)
def test_a_condition_is_false_only_where_something_of_the_kind_was_received(
    rows: tuple[tuple[str, str | None], ...], expected: bool | None
) -> None:
    kept = [ago(f"{CONDITION}{name}", each, 3, f"Condition/{name}") for name, each in rows]
    assert value(said("condition_back_pain", codes=(PAIN,)), *kept) is expected


def test_one_condition_in_two_code_systems_is_one() -> None:
    rows = [ago(f"{CONDITION}{code}", "active|", 3, "Condition/1") for code in ("a|1", "b|2")]
    assert value(said("conditions"), *rows) == 1


@pytest.mark.parametrize(("until", "days"), [("2026-11-30T09:00:00Z", 9), ("2026-11-20T09:00:00Z", 0)])
def test_a_wait_is_counted_in_days_and_never_below_none(until: str, days: int) -> None:
    assert value(said("wait_days"), ago(WAIT_UNTIL, until, 1)) == days


def test_places_are_summed_for_each_tier_and_a_tier_without_any_is_not_told() -> None:
    rows = [ago(PLACE, each, 1, f"h/{each}") for each in ("2.5 tier-2", "3 tier-1 tier-2", "40 tier-1")]
    found = gather(active_policies()["stepped-care"], rows, now=NOW).places
    assert {tier: each.value for tier, each in found.items()} == {"tier-1": 43, "tier-2": 5}


def test_a_checklist_without_a_contraindication_ends_the_one_before() -> None:
    before, after = ago(f"{SAID}contraindication", "pause", 9), ago(f"{SAID}contraindication", NOTHING, 2)
    assert value(said("contraindication"), before) == "pause"
    assert value(said("contraindication"), before, after) is None


def test_an_answer_that_was_taken_back_leaves_the_one_before() -> None:
    first = ago(f"{SAID}preference", "group", 9)
    second = [ago(f"{SAID}preference", "telehealth", 2, "r/2"), ago(f"{SAID}preference", None, 2, "r/2", 2)]
    assert value(said("preference"), first, *second) == "group"


def test_a_site_is_known_by_its_address() -> None:
    assert value(said("site"), ago(SITE, "Organization/valley", 0)) == "Organization/valley"


def test_results_that_are_no_numbers_are_no_scores_and_answers_are_what_a_review_asks() -> None:
    result, step = ago("x|asq", "asq-negative", 1), ago(STEP, "tier-1", 1)
    answer = ago(f"{SAID}flare", "true", 1, "https://stepwell.example/screening/fhir/QuestionnaireResponse/r1")
    consent, withdrawn = (
        ago(f"{SAID}family_takes_part", "true", 1, "https://x/Consent/c1"),
        ago(f"{CONDITION}x|y", None, 1),
    )
    rows = [ago(PHQ_9, "9", 1), ago(PHQ_9, None, 1), result, answer, step, consent, withdrawn]
    assert [is_score(each) for each in rows] == [True, True, False, False, False, False, False]
    assert [is_answered(each) for each in rows] == [True, True, True, True, False, False, False]


def test_conditions_are_no_reviews() -> None:
    assert value(said("step_reviews"), ago(STEP, "somatic-p1", 40), ago(f"{CONDITION}x|y", "active|", 20)) == 0


@pytest.mark.parametrize(
    ("instrument", "name"),
    [("phq-9", "phq9"), ("euronet-interference", "euronet_interference"), ("whodas", "whodas"), ("sd-4a", "sd4a")],
)
def test_what_measurement_says_of_an_instrument_has_the_name_of_its_measure(instrument: str, name: str) -> None:
    assert measure_of(instrument) == name
