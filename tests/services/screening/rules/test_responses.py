"""A response against its Questionnaire: structure always, everything once it is finished."""

from typing import Any

import pytest
from stepwell_screening import data
from stepwell_screening.rules.finding import Finding
from stepwell_screening.rules.responses import compile_questionnaire

from tests.services.screening.rules.answering import CHECKERS, QUESTIONNAIRES, answered, spread

Item = dict[str, Any]
CORE = "http://hl7.org/fhir/StructureDefinition/"


def checked(items: list[Item], response: list[Item], status: str = "completed") -> list[tuple[str, str]]:
    checker = compile_questionnaire({"resourceType": "Questionnaire", "item": items})
    found = checker({"resourceType": "QuestionnaireResponse", "status": status, "item": response})
    return [(finding.code, finding.expression.removeprefix("QuestionnaireResponse.")) for finding in found]


def string(link_id: str, **more: Any) -> Item:
    return {"linkId": link_id, "type": "string", **more}


def says(link_id: str, *values: str) -> Item:
    return {"linkId": link_id, "answer": [{"valueString": value} for value in values]}


def occurs(**limits: int) -> list[dict[str, Any]]:
    return [{"url": f"{CORE}questionnaire-{name}", "valueInteger": value} for name, value in limits.items()]


class TestShippedInstruments:
    @pytest.mark.parametrize("instrument", data.INSTRUMENTS)
    @pytest.mark.parametrize("status", ["in-progress", "completed", "amended", "stopped"])
    def test_a_right_response_has_no_findings(self, instrument: str, status: str) -> None:
        size, most = {"phq-9": (9, 3), "gad-7": (7, 3), "phq-15": (15, 2)}[instrument]
        response = answered(instrument, spread(12, size, most), total=12, status=status)
        assert CHECKERS[instrument](response) == []

    def test_blanks_and_the_stem_are_allowed(self) -> None:
        response = answered("phq-9", [None] * 8 + [0])
        stem = QUESTIONNAIRES["phq-9"]["item"][0]
        response["item"].insert(0, {"linkId": stem["linkId"], "text": stem["text"]})
        assert CHECKERS["phq-9"](response) == []

    def test_an_unknown_link_id_is_found_at_its_path(self) -> None:
        response = answered("phq-9", [0] * 9)
        response["item"][3]["linkId"] = "/secret-words"
        [finding] = CHECKERS["phq-9"](response)
        assert (finding.code, finding.expression) == ("structure", "QuestionnaireResponse.item[3].linkId")
        assert "secret" not in finding.text

    @pytest.mark.parametrize("status", ["completed", "in-progress"])
    def test_an_answer_outside_the_options_is_found_and_not_quoted(self, status: str) -> None:
        response = answered("phq-9", [0] * 9, status=status)
        response["item"][3]["answer"] = [{"valueCoding": {"system": "http://loinc.org", "code": "LA6572-7"}}]
        [finding] = CHECKERS["phq-9"](response)
        assert finding == Finding(
            "code-invalid",
            "The answer is not one of the options of this question.",
            "QuestionnaireResponse.item[3].answer[0].value",
        )

    def test_a_code_without_its_system_is_no_option(self) -> None:
        response = answered("phq-9", [0] * 9)
        response["item"][0]["answer"] = [{"valueCoding": {"code": "LA6568-5"}}]
        assert [finding.code for finding in CHECKERS["phq-9"](response)] == ["code-invalid"]

    def test_a_total_of_another_type_is_found(self) -> None:
        response = answered("gad-7", [0] * 7)
        response["item"].append({"linkId": "/70274-6", "answer": [{"valueString": "0"}]})
        assert [finding.code for finding in CHECKERS["gad-7"](response)] == ["value"]

    def test_more_days_than_not_is_accepted_for_its_item_only(self) -> None:
        response = answered("gad-7", [0] * 7)
        response["item"][1]["answer"] = [{"valueCoding": {"system": "http://loinc.org", "code": "LA18938-3"}}]
        assert CHECKERS["gad-7"](response) == []
        response["item"][2]["answer"] = response["item"][1]["answer"]
        assert [finding.expression for finding in CHECKERS["gad-7"](response)] == [
            "QuestionnaireResponse.item[2].answer[0].value"
        ]

    def test_what_was_entered_in_error_is_held_to_nothing(self) -> None:
        assert CHECKERS["phq-9"]({"status": "entered-in-error", "item": [{"linkId": "/x"}]}) == []

    def test_all_problems_come_at_once(self) -> None:
        response = answered("phq-9", [0] * 9)
        response["item"][0]["linkId"] = "/x"
        response["item"][4]["text"] = "Other words"
        response["item"][8]["answer"] *= 2
        expressions = [
            finding.expression.removeprefix("QuestionnaireResponse.") for finding in CHECKERS["phq-9"](response)
        ]
        assert expressions == ["item[0].linkId", "item[4].text", "item[8].answer"]


class TestStructure:
    GROUPED = ({"linkId": "g", "type": "group", "item": [string("a")]}, string("b"))

    def test_an_item_at_another_place_is_found(self) -> None:
        assert checked([*self.GROUPED], [says("a", "x")]) == [("structure", "item[0].linkId")]

    def test_order_is_kept_once_finished(self) -> None:
        response = [says("b", "x"), {"linkId": "g", "item": [says("a", "y")]}]
        assert checked([*self.GROUPED], response) == [("structure", "item[1].linkId")]
        assert checked([*self.GROUPED], response, "in-progress") == []

    def test_a_question_stands_once(self) -> None:
        assert checked([string("a", repeats=True)], [says("a", "x"), says("a", "y")]) == [
            ("structure", "item[1].linkId")
        ]

    def test_only_a_repeating_group_stands_twice(self) -> None:
        response = [{"linkId": "g", "item": [says("a", "x")]}] * 2
        group = dict(self.GROUPED[0])
        assert checked([group], response) == [("structure", "item[1].linkId")]
        assert checked([{**group, "repeats": True}], response) == []

    def test_groups_and_displays_take_no_answer(self) -> None:
        items = [{"linkId": "g", "type": "group"}, {"linkId": "d", "type": "display"}]
        assert checked(items, [says("g", "x"), says("d", "x")]) == [
            ("structure", "item[0].answer"),
            ("structure", "item[1].answer"),
        ]

    def test_displays_hold_no_items(self) -> None:
        display = {"linkId": "d", "type": "display"}
        assert checked([display], [{"linkId": "d", "item": [says("x", "y")]}]) == [("structure", "item[0].item")]

    def test_items_below_a_question_stand_in_its_answer(self) -> None:
        parent = string("a", item=[string("b")])
        nested = {"linkId": "a", "answer": [{"valueString": "x", "item": [says("b", "y")]}]}
        assert checked([parent], [nested]) == []
        assert checked([parent], [{"linkId": "a", "item": [says("b", "y")]}]) == [("structure", "item[0].item")]

    def test_items_stand_beside_or_in_answers_not_both(self) -> None:
        parent = string("a", item=[string("b")])
        assert checked([parent], [{**says("a", "x"), "item": [says("b", "y")]}]) == [("invariant", "item[0]")]

    def test_a_stranger_below_an_answer_is_found(self) -> None:
        nested = {"linkId": "a", "answer": [{"valueString": "x", "item": [says("b", "y")]}]}
        assert checked([string("a")], [nested]) == [("structure", "item[0].answer[0].item[0].linkId")]

    def test_text_is_absent_or_equal_in_any_language_of_the_questionnaire(self) -> None:
        german = {"url": "content", "valueString": "Wie geht es Ihnen?"}
        translation = {"url": f"{CORE}translation", "extension": [{"url": "lang", "valueCode": "de"}, german]}
        item = string("a", text="How are you?", _text={"extension": [translation]})
        for text in ("How are you?", "Wie geht es Ihnen?"):
            assert checked([item], [{"linkId": "a", "text": text}]) == []
        assert checked([item], [{"linkId": "a", "text": "?"}]) == [("value", "item[0].text")]


class TestRequired:
    def test_items_need_an_answer_once_finished(self) -> None:
        items = [string("a", required=True)]
        assert checked(items, []) == [("required", "QuestionnaireResponse")]
        assert checked(items, [{"linkId": "a"}]) == [("required", "QuestionnaireResponse")]
        assert checked(items, [{"linkId": "a", "answer": [{"extension": []}]}]) == [
            ("required", "QuestionnaireResponse")
        ]
        assert checked(items, [says("a", "x")]) == []
        assert checked(items, [], "in-progress") == []

    def test_a_required_group_needs_one_answer_at_any_depth(self) -> None:
        inner = {"linkId": "h", "type": "group", "item": [string("a"), string("b")]}
        items = [{"linkId": "g", "type": "group", "required": True, "item": [inner]}]
        deep = {"linkId": "g", "item": [{"linkId": "h", "item": [says("b", "x")]}]}
        assert checked(items, [deep]) == []
        empty = {"linkId": "g", "item": [{"linkId": "h", "item": [{"linkId": "b"}]}]}
        assert checked(items, [empty]) == [("required", "QuestionnaireResponse")]

    def test_items_in_an_absent_optional_group_are_not_asked_for(self) -> None:
        group = {"linkId": "g", "type": "group", "item": [string("a", required=True), string("b")]}
        assert checked([group], []) == []
        assert checked([group], [{"linkId": "g", "item": [says("b", "x")]}]) == [("required", "item[0]")]

    def test_items_that_are_not_enabled_are_not_asked_for(self) -> None:
        condition = {"question": "a", "operator": "=", "answerString": "yes"}
        items = [string("a"), string("b", required=True, enableWhen=[condition])]
        assert checked(items, [says("a", "no")]) == []
        assert checked(items, [says("a", "yes")]) == [("required", "QuestionnaireResponse")]

    def test_group_occurrences_are_counted(self) -> None:
        group = {"linkId": "g", "type": "group", "repeats": True, "item": [string("a")]}
        bounded = {**group, "extension": occurs(minOccurs=2, maxOccurs=3)}
        one = {"linkId": "g", "item": [says("a", "x")]}
        codes = [[code for code, _ in checked([bounded], [one] * count)] for count in range(5)]
        assert codes == [[], ["business-rule"], [], [], ["business-rule"]]


class TestCompileRefuses:
    @pytest.mark.parametrize(
        ("items", "why"),
        [
            ([string("a"), string("a")], "stands twice"),
            ([{"linkId": "a", "type": "question"}], "takes no answer"),
            ([{"linkId": "a", "type": "choice", "answerValueSet": "http://x/vs"}], "answerValueSet"),
            (
                [string("a", extension=[{"url": f"{CORE}questionnaire-constraint", "extension": []}])],
                "cannot be decided",
            ),
            ([string("a", enableWhen=[{"question": "b", "operator": "~", "answerString": "x"}])], "operator"),
            (
                [string("a", enableWhen=[{"question": "b", "operator": "exists", "answerBoolean": True}] * 2)],
                "enableBehavior",
            ),
        ],
    )
    def test_what_it_cannot_decide(self, items: list[Item], why: str) -> None:
        with pytest.raises(ValueError, match=why):
            compile_questionnaire({"resourceType": "Questionnaire", "item": items})
