"""Safety items: a positive answer or a blank always reaches a person, and a recorded level is one of three."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stepwell_screening import data
from stepwell_screening.rules.safety import compile_safety
from stepwell_screening.rules.safety_policy import parse_policy
from stepwell_screening.rules.safety_reviews import recorded_risk_level
from stepwell_screening.rules.weights import ITEM_WEIGHT
from stepwell_shared.canonical import code_system

from tests.services.screening.rules.answering import DEFINITIONS, QUESTIONNAIRES, answered

POLICY = parse_policy(data.safety_policy())
CHECKS = {name: compile_safety(QUESTIONNAIRES[name], DEFINITIONS[name], POLICY) for name in data.INSTRUMENTS}
NOW = datetime(2026, 11, 21, 20, 54, tzinfo=UTC)


def rules(response: dict[str, Any]) -> list[str]:
    return [finding.rule.code for finding in CHECKS["phq-9"](response, NOW)]


def nine(weight: int | None, status: str = "completed") -> dict[str, Any]:
    return answered("phq-9", [0] * 8 + [weight], status=status)


def task(status: str, *levels: str) -> dict[str, Any]:
    return {
        "resourceType": "Task",
        "status": status,
        "output": [
            {
                "type": {"coding": [{"system": code_system("task"), "code": "risk-level"}]},
                "valueCodeableConcept": {"coding": [{"system": code_system("risk-level"), "code": level}]},
            }
            for level in levels
        ],
    }


class TestPositive:
    @pytest.mark.parametrize("weight", [1, 2, 3])
    @pytest.mark.parametrize("status", ["completed", "amended", "in-progress", "stopped"])
    def test_item_nine_above_zero_is_saf_1_in_every_status(self, weight: int, status: str) -> None:
        assert rules(nine(weight, status)) == ["SAF-1"]

    @pytest.mark.parametrize("status", ["completed", "amended", "in-progress", "stopped"])
    def test_item_nine_at_zero_raises_nothing(self, status: str) -> None:
        assert rules(nine(0, status)) == []

    def test_a_severe_score_with_item_nine_at_zero_raises_nothing(self) -> None:
        assert rules(answered("phq-9", [3] * 8 + [0])) == []

    def test_a_weight_on_the_answer_cannot_weigh_a_positive_down(self) -> None:
        response = nine(3)
        coding = response["item"][8]["answer"][0]["valueCoding"]
        weighed = {**coding, "extension": [{"url": ITEM_WEIGHT, "valueDecimal": 0}]}
        response["item"][8]["answer"][0]["valueCoding"] = weighed
        assert rules(response) == ["SAF-1"]

    def test_a_weight_on_the_answer_can_make_a_positive(self) -> None:
        response = nine(0)
        coding = response["item"][8]["answer"][0]["valueCoding"]
        weighed = {**coding, "extension": [{"url": ITEM_WEIGHT, "valueDecimal": 1}]}
        response["item"][8]["answer"][0]["valueCoding"] = weighed
        assert rules(response) == ["SAF-1"]

    def test_what_was_entered_in_error_raises_nothing(self) -> None:
        assert rules(nine(3, "entered-in-error")) == []


class TestUnanswered:
    @pytest.mark.parametrize("status", ["completed", "amended", "stopped"])
    def test_a_missing_item_nine_is_never_zero(self, status: str) -> None:
        assert rules(nine(None, status)) == ["SAF-5"]

    def test_an_item_nine_without_answer_is_never_zero(self) -> None:
        response = nine(None)
        response["item"].append({"linkId": "/44260-8"})
        assert rules(response) == ["SAF-5"]

    def test_an_answer_that_weighs_nothing_known_is_never_zero(self) -> None:
        response = nine(0)
        response["item"][8]["answer"] = [{"valueString": "rather not say"}]
        assert rules(response) == ["SAF-5"]
        response["item"][8]["answer"] = [
            {
                "valueCoding": {
                    "system": "urn:x",
                    "code": "y",
                    "extension": [{"url": ITEM_WEIGHT, "valueDecimal": 0}],
                }
            }
        ]
        assert rules(response) == ["SAF-5"]

    def test_a_form_still_being_filled_in_is_given_time(self) -> None:
        assert rules(nine(None, "in-progress")) == []

    def test_an_empty_finished_form_is_unresolved(self) -> None:
        assert rules({"resourceType": "QuestionnaireResponse", "status": "completed"}) == ["SAF-5"]


class TestFinding:
    def test_says_why_and_by_when_in_plain_words(self) -> None:
        [finding] = CHECKS["phq-9"](nine(2), NOW)
        assert finding.link_id == "/44260-8"
        assert finding.deadline == NOW + timedelta(hours=4)
        assert finding.rule.priority == "stat"
        assert "better off dead" in finding.reason
        assert "{" not in finding.reason

    @pytest.mark.parametrize(("instrument", "size"), [("gad-7", 7), ("phq-15", 15)])
    def test_instruments_without_safety_items_raise_nothing(self, instrument: str, size: int) -> None:
        assert CHECKS[instrument](answered(instrument, [None] * size), NOW) == ()


class TestRecordedRiskLevel:
    @pytest.mark.parametrize(
        ("level", "rule", "floor"), [("low", "SAF-4", None), ("moderate", "SAF-3", 3), ("high", "SAF-2", 4)]
    )
    def test_names_its_rule_and_tier_floor(self, level: str, rule: str, floor: int | None) -> None:
        recorded, findings = recorded_risk_level(POLICY, task("completed", level))
        assert findings == []
        assert recorded is not None
        assert (recorded.code, recorded.rule, recorded.tier_floor) == (level, rule, floor)

    def test_is_not_asked_of_an_open_task(self) -> None:
        assert recorded_risk_level(POLICY, task("in-progress")) == (None, [])

    @pytest.mark.parametrize(
        ("submitted", "code", "expression"),
        [
            (task("completed"), "required", "Task.output"),
            (task("completed", "low", "high"), "business-rule", "Task.output"),
            (task("completed", "unclear"), "code-invalid", "Task.output[0].value"),
            (task("in-progress", "unclear"), "code-invalid", "Task.output[0].value"),
        ],
    )
    def test_refuses_none_two_and_unknown(self, submitted: dict[str, Any], code: str, expression: str) -> None:
        level, [finding] = recorded_risk_level(POLICY, submitted)
        assert level is None
        assert (finding.code, finding.expression) == (code, expression)

    def test_of_another_code_system_is_refused(self) -> None:
        submitted = task("completed", "low")
        submitted["output"][0]["valueCodeableConcept"]["coding"][0]["system"] = "urn:other"
        assert recorded_risk_level(POLICY, submitted)[0] is None


class TestPolicyRefuses:
    def test_a_deadline_that_is_not_positive(self) -> None:
        shipped = data.safety_policy()
        shipped["rules"]["SAF-1"]["deadlineHours"] = 0
        with pytest.raises(ValueError, match="positive number of hours"):
            parse_policy(shipped)

    def test_a_policy_without_a_rule_for_blanks(self) -> None:
        shipped = data.safety_policy()
        del shipped["rules"]["SAF-5"]
        with pytest.raises(ValueError, match="unanswered"):
            parse_policy(shipped)

    def test_blanks_that_count_where_answers_do_not(self) -> None:
        shipped = data.safety_policy()
        shipped["positiveStatuses"] = ["completed"]
        with pytest.raises(ValueError, match="blanks count"):
            parse_policy(shipped)
