"""Promises of override rates: small groups are never seen, nothing is subtracted, shares are those of the groups."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from stepwell_routing.rules.override_rates import Answered, Rates, override_rates

YES, NO = "accepted", "overridden-less"


def answers(kind: str, many: int, *, rule: str = "A", reason: str = "", site: str = "one") -> list[Answered]:
    return [Answered(kind, (rule,), reason if kind != YES else "", site)] * many


def rates(found: list[Answered], round_to: int = 1) -> Rates:
    report = override_rates(found, YES, round_to=round_to)
    assert report is not None
    return report


def test_too_few_answers_or_overrides_are_no_report() -> None:
    for accepted, overridden in ((0, 0), (4, 0), (100, 4), (3, 100)):
        assert override_rates([*answers(YES, accepted), *answers(NO, overridden)], YES, round_to=1) is None


def test_a_rule_that_is_overridden_often_is_seen() -> None:
    found = [*answers(YES, 40), *answers(NO, 10, reason="person-prefers")]
    found += [*answers(YES, 10, rule="B", site="two"), *answers(NO, 30, rule="B", site="two", reason="other")]
    report = rates(found)
    shares = {rate.labels: rate.overridden.estimate for rate in report.by_rule}
    assert shares == {("A",): 0.2, ("B",): 0.75}
    assert {rate.labels for rate in report.by_site} == {("one",), ("two",)}
    assert {each.labels: each.overrides for each in report.by_reason} == {("person-prefers",): 10, ("other",): 30}
    assert all(rate.overridden.low < rate.overridden.estimate < rate.overridden.high for rate in report.by_rule)


def test_a_proposal_counts_for_each_rule_that_led_to_it() -> None:
    report = rates([Answered(kind, ("A", "B"), "", "") for kind in [YES] * 10 + [NO] * 10])
    assert [(rate.labels, rate.proposals) for rate in report.by_rule] == [(("A",), 20), (("B",), 20)]
    assert report.whole.proposals == 20


def test_a_rule_with_few_overrides_is_never_seen_by_itself() -> None:
    found = [*answers(YES, 50), *answers(NO, 20), *answers(YES, 50, rule="B"), *answers(NO, 3, rule="B")]
    assert [rate.labels for rate in rates(found).by_rule] == [("A", "B")]


def test_counts_are_rounded_so_that_one_more_answer_is_not_seen() -> None:
    sizes = {rates([*answers(YES, 100 + more), *answers(NO, 20)], 5).whole.proposals for more in (0, 1, 2)}
    assert sizes == {120}


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("xyz"), st.integers(0, 12)), max_size=9))
def test_no_published_group_is_small(rows: list[tuple[str, str, int]]) -> None:
    found = [
        each
        for (rule, site, many), kind in product(rows, (YES, NO))
        for each in answers(kind, many, rule=rule, site=site, reason=site)
    ]
    report = override_rates(found, YES, round_to=1)
    if report is None:
        return
    for rate in (*report.by_rule, *report.by_site, report.whole):
        overridden = round(rate.overridden.estimate * rate.proposals)
        assert all(count == 0 or count >= 5 for count in (overridden, rate.proposals - overridden))
    assert all(each.overrides >= 5 for each in (*report.by_reason, *report.by_direction))
