"""Scores: blanks, bands, weights and totals, by the shipped definitions."""

from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_screening import data
from stepwell_screening.rules.definition import parse_definition
from stepwell_screening.rules.scoring import compile_scoring, score
from stepwell_screening.rules.weights import ITEM_WEIGHT, ORDINAL_VALUE

from tests.services.screening.rules.answering import DEFINITIONS, QUESTIONNAIRES, SCORINGS, answered, spread, total_of

BANDS = {
    "phq-9": [
        (0, 4, "minimal"),
        (5, 9, "mild"),
        (10, 14, "moderate"),
        (15, 19, "moderately-severe"),
        (20, 27, "severe"),
    ],
    "gad-7": [(0, 4, "minimal"), (5, 9, "mild"), (10, 14, "moderate"), (15, 21, "severe")],
    "phq-15": [(0, 4, "minimal"), (5, 9, "low"), (10, 14, "medium"), (15, 30, "high")],
}
SIZE = {"phq-9": (9, 3), "gad-7": (7, 3), "phq-15": (15, 2)}
EVERY_BOUNDARY = [
    (name, value, f"{name}-{code}") for name, rows in BANDS.items() for low, high, code in rows for value in (low, high)
]


def with_weight(response: dict[str, Any], index: int, weight: object, url: str = ITEM_WEIGHT) -> dict[str, Any]:
    coding = response["item"][index]["answer"][0]["valueCoding"]
    response["item"][index]["answer"][0]["valueCoding"] = {
        **coding,
        "extension": [{"url": url, "valueDecimal": weight}],
    }
    return response


class TestCompileRefuses:
    def test_a_definition_of_another_version(self) -> None:
        with pytest.raises(ValueError, match=r"not .*phq-9\|2\.0\.0"):
            compile_scoring({**QUESTIONNAIRES["phq-9"], "version": "2.0.0"}, DEFINITIONS["phq-9"])

    def test_a_scored_item_that_the_questionnaire_lacks(self) -> None:
        shorter = {**QUESTIONNAIRES["gad-7"], "item": QUESTIONNAIRES["gad-7"]["item"][2:]}
        with pytest.raises(ValueError, match="/69725-0 is not in"):
            compile_scoring(shorter, DEFINITIONS["gad-7"])

    def test_an_option_without_weight(self) -> None:
        questionnaire = data.questionnaire("gad-7")
        del questionnaire["item"][1]["answerOption"][2]["extension"]
        with pytest.raises(ValueError, match="option of item /69725-0 has no weight"):
            compile_scoring(questionnaire, DEFINITIONS["gad-7"])

    def test_an_accepted_answer_that_stands_for_nothing(self) -> None:
        shipped = data.scoring("gad-7")
        shipped["acceptedAnswers"][0]["meansCode"] = "LA0-0"
        with pytest.raises(ValueError, match="stands for no option"):
            compile_scoring(QUESTIONNAIRES["gad-7"], parse_definition(shipped))


class TestBands:
    @pytest.mark.parametrize(("instrument", "value", "code"), EVERY_BOUNDARY)
    def test_every_boundary_falls_in_its_band(self, instrument: str, value: int, code: str) -> None:
        result = total_of(instrument, answered(instrument, spread(value, *SIZE[instrument])))
        assert (result.value, result.band and result.band.code) == (value, code)

    def test_nothing_outside_the_range_has_a_band(self) -> None:
        assert DEFINITIONS["phq-9"].scores[0].band_for(-1) is None
        assert DEFINITIONS["phq-9"].scores[0].band_for(28) is None


class TestWeights:
    def test_every_answer_of_gad_7_adds_its_position(self) -> None:
        for weights in product(range(4), repeat=3):
            chosen = [*weights, 0, 3, *weights[:2]]
            assert total_of("gad-7", answered("gad-7", chosen)).value == sum(chosen)

    @given(st.lists(st.integers(0, 2), min_size=15, max_size=15))
    def test_phq_15_adds_up(self, weights: list[int]) -> None:
        assert total_of("phq-15", answered("phq-15", weights)).value == sum(weights)

    def test_the_display_text_weighs_nothing(self) -> None:
        response = answered("phq-9", [0] * 9)
        for item in response["item"]:
            item["answer"][0]["valueCoding"] = {**item["answer"][0]["valueCoding"], "display": "Nearly every day"}
        assert total_of("phq-9", response).value == 0

    def test_the_difficulty_item_adds_nothing(self) -> None:
        assert total_of("phq-9", answered("phq-9", [1] * 9, also={"/69722-7": 3})).value == 9

    @pytest.mark.parametrize("url", [ITEM_WEIGHT, ORDINAL_VALUE])
    def test_the_weight_on_the_answer_wins(self, url: str) -> None:
        response = with_weight(answered("phq-9", [0] * 9), 0, 2, url)
        assert total_of("phq-9", response).value == 2

    @pytest.mark.parametrize("half", [Decimal("0.5"), 0.5])
    def test_a_fractional_weight_stays_exact(self, half: object) -> None:
        response = with_weight(with_weight(answered("phq-9", [0] * 9), 0, half), 1, half)
        assert total_of("phq-9", response).value == 1

    def test_more_days_than_not_counts_two_where_loincs_own_form_offers_it(self) -> None:
        response = answered("gad-7", [0] * 7)
        response["item"][1]["answer"] = [{"valueCoding": {"system": "http://loinc.org", "code": "LA18938-3"}}]
        assert total_of("gad-7", response).value == 2

    def test_items_in_groups_and_under_answers_count(self) -> None:
        flat = answered("phq-9", [1] * 9)["item"]
        flat[0]["answer"][0]["item"] = flat[1:3]
        response = {"status": "completed", "item": [flat[0], {"linkId": "group", "item": flat[3:]}]}
        assert total_of("phq-9", response).value == 9


class TestBlanks:
    @pytest.mark.parametrize(
        ("instrument", "weights", "value"),
        [
            ("phq-9", [1, 1, 1, 1, 1, 1, 1, None, 0], 8),  # 7 x 9 / 8 = 7.875
            ("phq-9", [3, 3, 3, 3, 3, 3, 3, None, None], 27),
            ("phq-9", [1, 1, 1, 1, 0, 0, 0, 0, None], 5),  # 4 x 9 / 8 = 4.5 rounds up
            ("phq-9", [2, 2, 2, 2, 2, 2, None, None, 0], 15),  # 12 x 9 / 7 = 15.43
            ("gad-7", [1, 1, 1, 0, 0, 0, None], 4),  # 3 x 7 / 6 = 3.5 rounds up
            ("gad-7", [2, 2, 2, 2, 2, None, None], 14),
        ],
    )
    def test_up_to_two_are_filled_with_the_mean_rounded_half_up(
        self, instrument: str, weights: list[int | None], value: int
    ) -> None:
        result = total_of(instrument, answered(instrument, weights))
        assert (result.value, result.prorated) == (value, True)
        assert result.items_answered == len(weights) - len(result.missing)

    @pytest.mark.parametrize(("instrument", "size"), [("phq-9", 9), ("gad-7", 7)])
    def test_three_leave_no_score(self, instrument: str, size: int) -> None:
        result = total_of(instrument, answered(instrument, [None, None, None, *[3] * (size - 3)]))
        assert (result.value, result.band, result.prorated) == (None, None, False)
        assert result.missing == DEFINITIONS[instrument].item_link_ids[:3]

    def test_an_answer_without_weight_is_a_blank_not_a_zero(self) -> None:
        response = answered("phq-9", [3] * 9)
        response["item"][4]["answer"] = [{"valueCoding": {"system": "http://loinc.org", "code": "LA0-0"}}]
        result = total_of("phq-9", response)
        assert (result.value, result.prorated, result.missing) == (27, True, ("/44251-7",))

    def test_an_empty_form_has_no_score(self) -> None:
        for instrument in data.INSTRUMENTS:
            assert total_of(instrument, {"status": "completed"}).value is None

    def test_phq_15_counts_an_absent_menstrual_item_as_zero_without_prorating(self) -> None:
        result = total_of("phq-15", answered("phq-15", [2, 2, 2, None, *[2] * 11]))
        assert (result.value, result.prorated, result.missing) == (28, False, ())
        assert (result.items_answered, result.items_total) == (14, 15)

    @pytest.mark.parametrize("blank", [index for index in range(15) if index != 3])
    def test_phq_15_has_no_score_when_another_item_is_blank(self, blank: int) -> None:
        weights: list[int | None] = [1] * 15
        weights[blank] = None
        assert total_of("phq-15", answered("phq-15", weights)).value is None


class TestSubmittedTotal:
    @pytest.mark.parametrize("total", [16, 16.0, Decimal("16.00")])
    def test_that_equals_the_recomputed_one_passes(self, total: object) -> None:
        response = answered("phq-9", spread(16, 9, 3), total=total)
        assert SCORINGS["phq-9"].check(response, SCORINGS["phq-9"](response)) == []

    def test_of_thirteen_over_answers_that_add_to_ten_is_refused_at_its_path(self) -> None:
        response = answered("phq-9", spread(10, 9, 3), total=13)
        [finding] = SCORINGS["phq-9"].check(response, SCORINGS["phq-9"](response))
        assert finding.code == "business-rule"
        assert finding.expression == "QuestionnaireResponse.item[9].answer[0].value"
        assert not any(number in finding.text for number in ("10", "13"))

    def test_where_no_score_can_be_computed_is_refused(self) -> None:
        response = answered("phq-9", [None, None, None, *[1] * 6], total=6)
        assert len(SCORINGS["phq-9"].check(response, SCORINGS["phq-9"](response))) == 1

    @pytest.mark.parametrize("status", ["in-progress", "stopped"])
    def test_is_not_held_against_an_unfinished_form(self, status: str) -> None:
        response = answered("phq-9", [0] * 9, total=27, status=status)
        assert SCORINGS["phq-9"].check(response, SCORINGS["phq-9"](response)) == []

    def test_cannot_be_lifted_out_of_range_by_weights_on_answers(self) -> None:
        response = with_weight(answered("phq-9", [0] * 9), 0, 1000)
        [finding] = SCORINGS["phq-9"].check(response, SCORINGS["phq-9"](response))
        assert (finding.code, finding.expression) == ("business-rule", "QuestionnaireResponse.item")


def test_the_uncompiled_form_gives_the_same() -> None:
    response = answered("gad-7", [3, 2, 1, 0, 1, 2, 3])
    assert score(QUESTIONNAIRES["gad-7"], DEFINITIONS["gad-7"], response) == SCORINGS["gad-7"](response)
