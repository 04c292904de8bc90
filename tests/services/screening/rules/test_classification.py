"""Outcomes that are no numbers: algorithms, screens and groups, what a blank leaves open, and bands by sex."""

from typing import Any

import pytest
from stepwell_screening.rules.aggregation import ScoreResult
from stepwell_screening.rules.conditions import Facts, parse_condition
from stepwell_screening.rules.scoring import compile_scoring
from stepwell_screening.rules.weights import ITEM_WEIGHT

from tests.services.screening.rules.filling import DEFINITIONS, FORMS, SCORINGS, Answers, filled

PHQ_9 = DEFINITIONS["phq-9"].scores[0].item_link_ids
PHQ_15 = DEFINITIONS["phq-15"].scores[0].item_link_ids
C_SSRS = DEFINITIONS["c-ssrs-screener"].scores[0].item_link_ids
AUDIT_C = DEFINITIONS["audit-c"].scores[0].item_link_ids


def outcome(name: str, answers: Answers, position: int = 0) -> ScoreResult:
    return SCORINGS[name].every(filled(name, answers))[position]


def algorithm(*weights: int | None) -> object:
    """What PHQ-9's algorithm says of these nine answers."""
    return outcome("phq-9", dict(zip(PHQ_9, weights, strict=True)), 1).value


class TestConditions:
    ONE, TWO = {"item": "/1", "atLeast": 1}, {"item": "/2", "atLeast": 1}

    @pytest.mark.parametrize("condition", [{"item": "/1"}, {"count": [ONE]}, {"score": "total"}])
    def test_one_without_bound_is_refused(self, condition: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="needs a bound"):
            parse_condition(condition)

    @pytest.mark.parametrize(
        ("condition", "when_one_is_yes", "when_one_is_no"),
        [
            ({"any": [ONE, TWO]}, True, None),
            ({"all": [ONE, TWO]}, None, False),
            ({"not": ONE}, False, True),
            ({"not": TWO}, None, None),
            ({"count": [ONE, TWO], "atLeast": 1}, True, None),
            ({"count": [ONE, TWO], "atLeast": 2}, None, False),
            ({"count": [ONE, TWO], "atMost": 0}, False, None),
            ({"count": [ONE, TWO], "atMost": 1}, None, True),
        ],
    )
    def test_a_blank_leaves_open_what_it_could_change_and_nothing_else(
        self, condition: dict[str, Any], when_one_is_yes: bool | None, when_one_is_no: bool | None
    ) -> None:
        said = [parse_condition(condition)(Facts(found, found)) for found in ({"/1": 1}, {"/1": 0})]
        assert said == [when_one_is_yes, when_one_is_no]


class TestPhq9Algorithm:
    """Core: item 1 or 2 at 2 or more; others at 2 or more, item 9 at 1 or more; camcops task documentation (phq9)."""

    @pytest.mark.parametrize(
        ("weights", "label"),
        [
            ((2, 0, 2, 2, 2, 2, 0, 0, 0), "major"),
            ((0, 2, 2, 2, 2, 0, 0, 0, 1), "major"),
            ((3, 3, 3, 3, 3, 3, 3, 3, 3), "major"),
            ((2, 0, 2, 2, 2, 1, 1, 1, 0), "other"),
            ((2, 0, 0, 0, 0, 0, 0, 0, 1), "other"),
            ((2, 0, 0, 0, 0, 0, 0, 0, 0), "none"),
            ((1, 1, 3, 3, 3, 3, 3, 3, 3), "none"),
            ((0, 0, 0, 0, 0, 0, 0, 0, 0), "none"),
        ],
    )
    def test_needs_a_core_item_and_five_or_two_to_four_in_all(self, weights: tuple[int, ...], label: str) -> None:
        assert algorithm(*weights) == f"phq-9-algorithm-{label}"

    def test_says_nothing_where_a_blank_could_change_it(self) -> None:
        assert algorithm(2, 0, 2, 2, 2, None, 0, 0, 0) is None

    def test_stands_where_a_blank_cannot(self) -> None:
        assert algorithm(2, 2, 2, 2, 2, 2, None, None, None) == "phq-9-algorithm-major"

    def test_is_for_whoever_asks_and_goes_out_with_no_response(self) -> None:
        (total,) = SCORINGS["phq-9"](filled("phq-9", dict.fromkeys(PHQ_9, 3)))
        assert total.score.id == "total"


class TestPhq15SomatoformScreen:
    @pytest.mark.parametrize(("bothered_a_lot", "outcome_code"), [(0, "negative"), (2, "negative"), (3, "positive")])
    def test_is_positive_from_three_items_at_two(self, bothered_a_lot: int, outcome_code: str) -> None:
        weights = [2] * bothered_a_lot + [1] * (15 - bothered_a_lot)
        result = outcome("phq-15", dict(zip(PHQ_15, weights, strict=True)), 1)
        assert result.value == f"phq-15-somatoform-{outcome_code}"


class TestWhatABlankLeavesOpen:
    @pytest.mark.parametrize(
        ("answers", "least"),
        [
            ((1, 1, 1, 0, None, 0, None), "c-ssrs-moderate"),
            ((0, 0, None, None, None, 1, None), "c-ssrs-moderate"),
            ((1, 0, None, None, None, None, None), "c-ssrs-low"),
            ((0, 0, None, None, None, None, None), None),
        ],
    )
    def test_the_level_is_no_milder_than_what_was_answered(
        self, answers: tuple[int | None, ...], least: str | None
    ) -> None:
        result = outcome("c-ssrs-screener", dict(zip(C_SSRS, answers, strict=True)))
        assert (result.value, result.band) == (None, None)
        assert (result.at_least.code if result.at_least else None) == least

    def test_questions_that_are_not_asked_are_not_missing(self) -> None:
        result = outcome("c-ssrs-screener", dict(zip(C_SSRS, (1, 0, None, None, None, 0, None), strict=True)))
        assert (result.missing, result.items_answered) == ((), 3)


class TestAuditC:
    @pytest.mark.parametrize(
        ("sex", "value", "band"),
        [
            ("female", 2, "negative"),
            ("female", 3, "positive"),
            ("male", 3, "negative"),
            ("male", 4, "positive"),
            (None, 2, "negative"),
            (None, 3, "depends-on-sex"),
            (None, 4, "positive"),
        ],
    )
    def test_is_positive_from_three_for_women_and_four_for_men(self, sex: str | None, value: int, band: str) -> None:
        response = filled("audit-c", dict(zip(AUDIT_C, (1, 1, value - 2), strict=True)))
        (result,) = SCORINGS["audit-c"](response, {"sex": sex} if sex else None)
        assert (result.value, result.band and result.band.code) == (value, f"audit-c-{band}")

    @pytest.mark.parametrize(("weights", "remarked"), [((3, 0, 0), True), ((4, 0, 0), True), ((2, 0, 0), False)])
    def test_points_that_all_come_from_question_1_ask_for_a_look(
        self, weights: tuple[int, ...], remarked: bool
    ) -> None:
        result = outcome("audit-c", dict(zip(AUDIT_C, weights, strict=True)))
        assert [remark.code for remark in result.remarks] == ["all-points-from-question-1"] * remarked

    def test_points_from_other_questions_do_not(self) -> None:
        assert outcome("audit-c", dict(zip(AUDIT_C, (3, 1, 0), strict=True))).remarks == ()


@pytest.mark.parametrize(
    ("context", "band"),
    [({"sex": "female"}, "positive"), ({"sex": "male"}, "negative"), ({"profile": "sensitive"}, "positive")],
)
def test_pc_ptsd_5_is_positive_from_three_for_women_and_in_the_sensitive_profile(
    context: dict[str, str], band: str
) -> None:
    links = DEFINITIONS["pc-ptsd-5"].scores[0].item_link_ids
    answers = dict(zip(links, (1, 1, 1, 0, 0), strict=True)) | {"/pc-ptsd-5-exposure": "LA33-6"}
    (result,) = SCORINGS["pc-ptsd-5"](filled("pc-ptsd-5", answers), context)
    assert result.band is not None
    assert result.band.code == f"pc-ptsd-5-{band}"


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("c-ssrs-screener", dict(zip(C_SSRS, (1, 1, 1, 1, 1, 1, 1), strict=True))),
        ("eq-5d-5l", {f"/eq-5d-5l-{number}": 5 for number in range(1, 6)}),
    ],
)
def test_no_weight_that_a_sender_puts_on_an_answer_changes_what_was_chosen(name: str, answers: Answers) -> None:
    response = filled(name, answers)
    expected = [result.value for result in SCORINGS[name](response)]
    for item in response["item"]:
        item["answer"][0]["valueCoding"]["extension"] = [{"url": ITEM_WEIGHT, "valueDecimal": 0}]
    assert [result.value for result in SCORINGS[name](response)] == expected


def test_of_several_answers_the_strongest_counts() -> None:
    form = {**FORMS["prapare"], "item": [{**item, "repeats": True} for item in FORMS["prapare"]["item"]]}
    response = filled("prapare", {"/93030-5": "LA30134-3"})
    response["item"][0]["answer"] += filled("prapare", {"/93030-5": "LA30133-5"})["item"][0]["answer"]
    (transport,) = compile_scoring(form, DEFINITIONS["prapare"])(response)
    assert transport.value == "prapare-transport-medical"
