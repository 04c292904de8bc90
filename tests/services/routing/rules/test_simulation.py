"""A simulation proposes what a decision would, says first what is unsafe, and hides small groups."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_routing.rules.decisions import Evidence, RiskState, decide
from stepwell_routing.rules.policies import parse_policy
from stepwell_routing.rules.simulation import (
    PRESENT,
    PROPOSED,
    Frame,
    Person,
    SafetyPromises,
    Tally,
    count,
    place,
    published,
)
from stepwell_routing.rules.statistics import Capacity
from stepwell_routing.rules.synthetic import Assumptions, people

from tests.services.routing.rules.shipped import CATALOGUE, NOW, POLICY, changed_document, evidence, rule_actions

PROMISES = SafetyPromises("SAF-2", "SAF-3", 3, "SAF-1", "SAF-5")
ASSUMPTIONS = Assumptions(
    0.1, 0.5, 0.2, 0.1, {"high": 0.1, "moderate": 0.1, "low": 0.1}, 0.3, {"language": ["de", "en"]}
)
FRAME = Frame(weeks=10, capacities={}, horizon_weeks=4, round_to=1)


def without_safety() -> dict[str, Any]:
    """The shipped policy with safety rules that never fire."""
    document = changed_document()
    for action in rule_actions(document):
        code = action.get("code", [{}])[0].get("coding", [{}])[0].get("code", "")
        if code.startswith("SAF-"):
            action["condition"][0]["expression"]["expression"] = "%phq9 > 26"
    return document


def simulated(proposed: Any, persons: list[Person], frame: Frame = FRAME) -> Any:
    tally = Tally()
    for person in persons:
        count(tally, person, proposed, POLICY, PROMISES)
    return published(tally, proposed, POLICY, frame)


def persons(many: int, strata: Mapping[str, str] | None = None, **values: Any) -> list[Person]:
    return [Person(evidence(**values), NOW, strata or {})] * many


def test_four_people_are_no_report() -> None:
    assert simulated(POLICY, persons(4, phq9=12)) is None


@pytest.mark.parametrize(
    ("risk", "rule"),
    [
        (RiskState(level="high"), "SAF-2"),
        (RiskState(level="moderate"), "SAF-3"),
        (RiskState(positive_item_open=True), "SAF-1"),
        (RiskState(unanswered_item_open=True), "SAF-5"),
    ],
)
def test_a_policy_that_forgets_safety_is_found_out(risk: RiskState, rule: str) -> None:
    unsafe = parse_policy(without_safety(), CATALOGUE)
    known = Evidence(evidence(phq9=3).values, risk)
    assert place(unsafe, PROMISES, known, NOW).broken == (rule,)
    assert place(POLICY, PROMISES, known, NOW).broken == ()


def test_one_person_whose_safety_breaks_is_said_and_never_suppressed() -> None:
    unsafe = parse_policy(without_safety(), CATALOGUE)
    at_risk = Person(Evidence(evidence(phq9=3).values, RiskState(level="high")), NOW, {})
    report = simulated(unsafe, [*persons(20, phq9=3), at_risk])
    assert report.broken == (("SAF-2", 1),)


def test_a_simulation_places_everybody_where_a_decision_would() -> None:
    for person in people([POLICY], ASSUMPTIONS, 7, 300, NOW):
        assert place(POLICY, PROMISES, person.evidence, NOW).step == decide(POLICY, person.evidence, NOW).step.code


def test_the_shipped_policy_breaks_no_promise_on_people_of_every_kind() -> None:
    report = simulated(POLICY, list(people([POLICY], ASSUMPTIONS, 3, 2000, NOW)))
    assert report.broken == ()
    assert sum(mix.people for mix in report.proposed) == report.people == 2000


def test_the_same_seed_makes_the_same_people() -> None:
    made = [list(people([POLICY], ASSUMPTIONS, seed, 20, NOW)) for seed in (5, 5, 6)]
    assert made[0] == made[1] != made[2]


def test_evidence_that_is_too_old_by_then_is_not_counted() -> None:
    later = NOW + timedelta(days=4000)
    report = simulated(POLICY, [Person(evidence(phq9=18), later, {})] * 10)
    assert [mix.people for mix in report.proposed if "tier-1" in mix.steps] == [10]


def test_moves_name_where_people_are_now_and_where_they_would_be() -> None:
    report = simulated(POLICY, persons(10, phq9=18) + persons(10, phq9=3))
    assert [(move.present, move.proposed, move.people) for move in report.moves] == [
        (("tier-1",), ("tier-1",), 10),
        (("tier-3",), ("tier-3",), 10),
    ]


def test_load_is_people_by_weeks_and_waits_need_a_capacity() -> None:
    frame = Frame(10, {"tier-3": Capacity(1)}, 4, 1)
    report = simulated(POLICY, persons(20, phq9=18) + persons(10, phq9=3), frame)
    load = {each.steps: each for each in report.load}
    assert load["tier-3",].arrivals_per_week == 2
    assert load["tier-3",].queue.wait_weeks == (1, 2, 3, 4)
    assert load["tier-1",].queue is None


def test_a_small_step_is_published_with_another_and_its_load_as_well() -> None:
    report = simulated(POLICY, persons(20, phq9=18) + persons(2, phq9=3) + persons(30, phq9=12))
    steps = [mix.steps for mix in report.proposed]
    assert all("tier-1" not in each or len(each) > 1 for each in steps)
    assert [each.steps for each in report.load] == steps


TALLIES = st.lists(
    st.tuples(*[st.sampled_from([step.code for step in POLICY.steps])] * 2, st.sampled_from("abc"), st.integers(1, 9)),
    max_size=12,
)


def tallied(rows: list[tuple[str, str, str, int]]) -> Tally:
    tally = Tally()
    for before, after, value, many in rows:
        tally.people += many
        tally.present[before] += many
        tally.proposed[after] += many
        tally.moves[before, after] += many
        counts = tally.strata.setdefault("language", {}).setdefault(value, Counter())
        counts[PROPOSED, after] += many
        counts[PRESENT, before] += many
    return tally


@settings(max_examples=150)
@given(TALLIES)
def test_every_figure_is_a_sum_of_groups_that_are_published_elsewhere_the_same(
    rows: list[tuple[str, str, str, int]],
) -> None:
    """Different groupings of the same people could be subtracted; here all tables share theirs, and none is small."""
    report = published(tallied(rows), POLICY, POLICY, FRAME)
    if report is None:
        assert sum(row[3] for row in rows) < 5
        return
    after, before = [mix.steps for mix in report.proposed], [mix.steps for mix in report.present]
    figures = [mix.people for mix in (*report.proposed, *report.present)] + [move.people for move in report.moves]
    for move in report.moves:
        assert move.proposed in after
        assert all(set(each) <= set(move.present) or not set(each) & set(move.present) for each in before)
    for stratum in report.strata["language"]:
        assert [mix.steps for mix in stratum.proposed] == after
        assert [mix.steps for mix in stratum.present] == before
        figures += [mix.people for mix in (*stratum.proposed, *stratum.present)]
    assert all(figure == 0 or figure >= 5 for figure in figures)


@given(TALLIES, st.integers(0, 4))
def test_rounded_reports_hide_who_came_since(rows: list[tuple[str, str, str, int]], more: int) -> None:
    frame = Frame(10, {}, 4, round_to=5)
    report = published(tallied([*rows, ("tier-1", "tier-1", "a", 5 + more)]), POLICY, POLICY, frame)
    assert report is not None
    assert all(mix.people % 5 == 0 for mix in report.proposed)
