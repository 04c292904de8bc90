"""SAF-1 to SAF-7 of the default routing policy, row by row: what answers call for, of whom, by when, and why so."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from stepwell_screening import data
from stepwell_screening.rules.definition import parse_definition
from stepwell_screening.rules.safety import SafetyCheck, SafetyFinding, compile_safety, is_minor
from stepwell_screening.rules.safety_policy import parse_policy
from stepwell_screening.rules.suicide_screens import Answer, asq, c_ssrs

POLICY = parse_policy(data.safety_policy())
NOW = datetime(2026, 11, 21, 20, 54, tzinfo=UTC)
LOINC, LOCAL = "http://loinc.org", "https://stepwell.health/fhir/CodeSystem/instrument-answer"
YES, NO, DECLINED = (LOINC, "LA33-6"), (LOINC, "LA32-8"), (LOCAL, "asq-declined")
ROLES = ("wish", "thoughts", "method", "intent", "plan", "behaviour-ever", "behaviour-recent")
C_SSRS_CODES = dict(
    zip(ROLES, ("93246-7", "93247-5", "93248-3", "93249-1", "93250-9", "93267-3", "93269-9"), strict=True)
)
FINISHED = ("completed", "amended", "stopped")
Code = tuple[str, str]


def check_of(name: str) -> SafetyCheck:
    return compile_safety(data.questionnaire(name), parse_definition(data.scoring(name)), POLICY)


def c_ssrs_form() -> dict[str, Any]:
    """The questions by their codes, with a site's own linkIds and wording."""
    items = [
        {"linkId": f"q-{role}", "type": "choice", "code": [{"system": LOINC, "code": code}]}
        for role, code in C_SSRS_CODES.items()
    ]
    return {"url": "https://site.example/c-ssrs", "version": "1", "item": [{"linkId": "all", "item": items}]}


C_SSRS = compile_safety(c_ssrs_form(), parse_definition({**data.scoring("gad-7"), "safetyItems": []}), POLICY)


def response(answers: dict[str, Code], status: str = "completed") -> dict[str, Any]:
    items = [
        {"linkId": link_id, "answer": [{"valueCoding": {"system": system, "code": code}}]}
        for link_id, (system, code) in answers.items()
    ]
    return {"resourceType": "QuestionnaireResponse", "status": status, "item": items}


def screened(yes: str, no: str = "", status: str = "completed") -> list[SafetyFinding]:
    """The findings of a C-SSRS with these roles answered; the others are left out."""
    answers = {f"q-{role}": YES for role in yes.split()} | {f"q-{role}": NO for role in no.split()}
    return list(C_SSRS(response(answers, status), NOW))


def codes(findings: Any) -> list[str]:
    return [finding.rule.code for finding in findings]


def of_asq(*answers: Code | None, status: str = "completed") -> list[SafetyFinding]:
    given = {f"/asq-{number}": answer for number, answer in enumerate(answers, 1) if answer is not None}
    return list(check_of("asq")(response(given, status), NOW))


class TestSaf1:
    """Source: clinical facts 3.1; ASQ, public summary: any yes is positive, question 5 yes is acute."""

    @pytest.mark.parametrize("position", range(4))
    @pytest.mark.parametrize("answer", [YES, DECLINED])
    @pytest.mark.parametrize("status", ["in-progress", *FINISHED])
    def test_any_yes_or_refusal_of_asq_is_positive_in_every_status(
        self, position: int, answer: Code, status: str
    ) -> None:
        answers = [NO, NO, NO, NO]
        answers[position] = answer
        [finding] = of_asq(*answers, NO, status=status)
        assert (finding.rule.code, finding.rule.priority, finding.link_id) == ("SAF-1", "stat", "asq")
        assert finding.deadline - NOW == timedelta(hours=4)

    def test_an_acute_yes_is_an_alert_of_its_own(self) -> None:
        [finding] = of_asq(NO, NO, YES, NO, YES)
        assert (finding.rule.code, finding.link_id) == ("SAF-1", "asq-acute")

    def test_four_times_no_raises_nothing(self) -> None:
        assert of_asq(NO, NO, NO, NO) == []

    def test_a_form_of_a_site_is_watched_by_its_codes_not_its_link_ids(self) -> None:
        assert codes(screened("wish intent", "thoughts")) == ["SAF-2"]


class TestSaf2To4:
    """Sources: C-SSRS clinical triage guidelines (high), Rula help article (moderate), general knowledge (low)."""

    @pytest.mark.parametrize("role", ["intent", "plan"])
    def test_intent_or_plan_is_high_whatever_else_was_answered(self, role: str) -> None:
        [finding] = screened(f"thoughts {role}", "behaviour-ever")
        assert (finding.rule.code, finding.rule.level) == ("SAF-2", "high")
        assert finding.deadline - NOW == timedelta(hours=4)

    def test_behaviour_in_the_past_three_months_is_high_without_any_thought(self) -> None:
        assert codes(screened("behaviour-ever behaviour-recent", "wish thoughts")) == ["SAF-2"]

    @pytest.mark.parametrize("status", ["in-progress", *FINISHED])
    def test_high_is_known_as_soon_as_it_is_saved(self, status: str) -> None:
        assert codes(screened("intent", status=status)) == ["SAF-2"]

    @pytest.mark.parametrize(
        ("yes", "no"),
        [
            ("thoughts method", "wish intent plan behaviour-ever"),
            ("behaviour-ever", "wish thoughts behaviour-recent"),
            ("wish thoughts method behaviour-ever", "intent plan behaviour-recent"),
        ],
    )
    def test_method_or_earlier_behaviour_is_moderate_and_holds_routine_decisions(self, yes: str, no: str) -> None:
        [finding] = screened(yes, no)
        assert (finding.rule.code, finding.rule.priority, finding.rule.holds) == ("SAF-3", "urgent", True)
        assert finding.deadline - NOW == timedelta(hours=24)

    @pytest.mark.parametrize(
        ("yes", "no", "holds"),
        [
            ("wish", "thoughts behaviour-ever", False),
            ("thoughts", "wish method intent plan behaviour-ever", True),
            ("wish thoughts", "method intent plan behaviour-ever", True),
        ],
    )
    def test_wish_or_thoughts_alone_is_low_and_thoughts_hold_self_help_until_a_review(
        self, yes: str, no: str, holds: bool
    ) -> None:
        [finding] = screened(yes, no)
        assert (finding.rule.code, finding.rule.holds) == ("SAF-4", holds)
        assert finding.deadline - NOW == timedelta(days=7)

    def test_no_to_everything_that_is_asked_raises_nothing(self) -> None:
        assert screened("", "wish thoughts behaviour-ever") == []

    def test_the_recorded_levels_have_the_floors_of_the_table(self) -> None:
        floors = {level.rule: level.tier_floor for level in POLICY.risk_levels.values()}
        assert floors == {"SAF-2": 4, "SAF-3": 3, "SAF-4": None}


class TestSaf5:
    """Source: clinical facts 3.1: item 9 or C-SSRS unanswered, a form abandoned after a positive item."""

    @pytest.mark.parametrize("status", FINISHED)
    @pytest.mark.parametrize("left_out", range(4))
    def test_a_blank_of_asq_is_unresolved_once_the_form_is_over(self, status: str, left_out: int) -> None:
        answers: list[Code | None] = [NO, NO, NO, NO]
        answers[left_out] = None
        assert codes(of_asq(*answers, status=status)) == ["SAF-5"]

    def test_a_form_that_goes_on_is_given_time(self) -> None:
        assert of_asq(NO, None, status="in-progress") == []
        assert screened("", "wish", status="in-progress") == []

    @pytest.mark.parametrize("left_out", ["wish", "thoughts", "behaviour-ever"])
    @pytest.mark.parametrize("status", FINISHED)
    def test_a_blank_of_c_ssrs_is_never_a_no(self, left_out: str, status: str) -> None:
        asked = {"wish", "thoughts", "behaviour-ever", "method", "intent", "plan"} - {left_out}
        assert codes(screened("", " ".join(asked), status)) == ["SAF-5"]

    @pytest.mark.parametrize("left_out", ["method", "intent", "plan", "behaviour-ever"])
    def test_thoughts_with_open_questions_are_unresolved_and_not_low(self, left_out: str) -> None:
        asked = {"wish", "method", "intent", "plan", "behaviour-ever"} - {left_out}
        assert codes(screened("thoughts", " ".join(asked))) == ["SAF-5"]

    def test_a_moderate_level_with_open_questions_stays_moderate_and_is_unresolved_as_well(self) -> None:
        assert codes(screened("thoughts method", "wish behaviour-ever")) == ["SAF-3", "SAF-5"]

    @pytest.mark.parametrize("yes", ["wish", "thoughts"])
    def test_a_form_abandoned_after_a_yes_is_an_unresolved_positive_before_anybody_ends_it(self, yes: str) -> None:
        [finding] = screened(yes, status="in-progress")
        assert (finding.rule.code, finding.rule.priority) == ("SAF-1", "stat")

    @pytest.mark.parametrize("name", ["phq-2", "phq-8", "phq-4", "gad-2"])
    @pytest.mark.parametrize("status", FINISHED)
    def test_a_form_without_any_safety_question_asks_for_asq_and_is_no_silent_zero(
        self, name: str, status: str
    ) -> None:
        [finding] = check_of(name)(response({}, status), NOW)
        assert (finding.rule.code, finding.rule.kind, finding.rule.is_assessed) == (
            "SAF-ASK",
            "ask-safety-question",
            False,
        )
        assert "ASQ" in finding.reason
        assert check_of(name)(response({}, "in-progress"), NOW) == ()

    def test_asq_in_the_same_form_is_what_is_looked_at(self) -> None:
        both = {**data.questionnaire("phq-2"), "item": [*data.questionnaire("phq-2")["item"], *asq_items()]}
        check = compile_safety(both, parse_definition(data.scoring("phq-2")), POLICY)
        assert codes(check(response({}), NOW)) == ["SAF-5"]
        assert codes(check(response({f"/asq-{number}": NO for number in range(1, 5)}), NOW)) == []

    @pytest.mark.parametrize("name", ["phq-9", "phq-sads", "gad-7", "phq-15", "peg"])
    def test_forms_with_item_nine_or_without_the_depression_items_ask_for_nothing(self, name: str) -> None:
        assert "SAF-ASK" not in codes(check_of(name)(response({}), NOW))


def asq_items() -> list[dict[str, Any]]:
    return [item for item in data.questionnaire("asq")["item"] if item["linkId"].startswith("/asq-")]


class TestSaf6:
    """Source: clinical facts 3.1; the list is general knowledge and belongs to the site's clinicians."""

    FLAGS = (
        *("/cauda-equina", "/weight-loss", "/fever-night-pain", "/progressive-neurology"),
        *("/exertional-chest-pain", "/new-seizure", "/cancer-new-pain"),
    )

    @pytest.mark.parametrize("link_id", FLAGS)
    @pytest.mark.parametrize("status", ["in-progress", *FINISHED])
    def test_every_red_flag_of_the_checklist_asks_for_a_medical_review(self, link_id: str, status: str) -> None:
        answers = dict.fromkeys(self.FLAGS, NO) | {link_id: YES}
        [finding] = check_of("pain-phase-checklist")(response(answers, status), NOW)
        assert (finding.rule.code, finding.rule.kind, finding.link_id) == ("SAF-6", "medical-review", link_id)
        assert "contact and listening go on" in finding.reason

    def test_none_seen_or_not_assessed_raises_nothing(self) -> None:
        not_assessed = dict.fromkeys(self.FLAGS, (LOCAL, "not-assessed"))
        assert check_of("pain-phase-checklist")(response(not_assessed), NOW) == ()


class TestSaf7:
    """Source: clinical facts 3.1: psychosis or mania (same day), perinatal, age under 18, active dependence."""

    @pytest.mark.parametrize(
        ("born", "minor"),
        [
            ("2008-11-22", True), ("2008-11-21", False), ("2008-11", True), ("2008", True), ("2007", False),
            ("2007-12", False), ("2015-01-01", True), ("1950", False), (None, False), ("", False),
        ],
    )  # fmt: skip
    def test_whoever_may_be_younger_than_18_is_and_an_unknown_age_says_nothing(self, born: object, minor: bool) -> None:
        assert is_minor(born, date(2026, 11, 21), POLICY.adult_from_years) is minor

    def test_psychosis_or_mania_is_for_the_same_day_and_the_others_are_urgent(self) -> None:
        triage = {code: each.rule for code, each in POLICY.concerns.items() if each.rule.code == "SAF-7"}
        assert {code for code, rule in triage.items() if rule.ladder == "same-day"} == {"psychosis-or-mania"}
        assert set(triage) == {"psychosis-or-mania", "perinatal", "under-18", "dependence"}
        assert {rule.kind for rule in triage.values()} == {"manual-triage"}

    @pytest.mark.parametrize(
        ("gender", "points", "prompted"),
        [("male", 3, False), ("male", 4, True), ("female", 2, False), ("female", 3, True), (None, 3, True)],
    )
    def test_a_positive_audit_c_is_a_prompt_and_no_alert(self, gender: str | None, points: int, prompted: bool) -> None:
        weights = [min(points, 2), points - min(points, 2), 0]
        items = [item for item in data.questionnaire("audit-c")["item"] if item.get("answerOption")][:3]
        answers = {
            item["linkId"]: (LOINC, item["answerOption"][weight]["valueCoding"]["code"])
            for item, weight in zip(items, weights, strict=True)
        }
        found = check_of("audit-c")(response(answers), NOW, {"gender": gender})
        assert codes(found) == (["SAF-PROMPT"] if prompted else [])
        assert not any(finding.rule.cannot_wait or finding.rule.ladder for finding in found)


class TestScreens:
    @pytest.mark.parametrize("finished", [True, False])
    def test_one_more_yes_never_makes_less_of_it(self, finished: bool) -> None:
        severity = {"SAF-2": 4, "SAF-1": 3, "SAF-5": 3, "SAF-3": 2, "SAF-4": 1}

        def worst(said: dict[str, Answer]) -> int:
            return max((severity[each.rule] for each in c_ssrs(said, finished=finished)), default=0)

        for number in range(3**7):
            digits = [(number // 3**place) % 3 for place in range(7)]
            said = {
                role: (Answer.YES, Answer.NO)[digit - 1] for role, digit in zip(ROLES, digits, strict=True) if digit
            }
            for role in [role for role, answer in said.items() if answer == Answer.NO]:
                assert worst({**said, role: Answer.YES}) >= worst(said), (said, role)

    def test_a_refused_question_of_either_screen_is_not_a_no(self) -> None:
        assert [each.rule for each in asq({"question-1": Answer.UNCLEAR}, finished=False)] == ["SAF-1"]
        refused = dict.fromkeys(ROLES, Answer.NO) | {"thoughts": Answer.UNCLEAR}
        assert [each.rule for each in c_ssrs(refused, finished=True)] == ["SAF-5"]
        assert [each.rule for each in c_ssrs(refused, finished=False)] == ["SAF-1"]

    def test_a_sender_cannot_weigh_a_yes_down_but_can_make_one(self) -> None:
        weight = "http://hl7.org/fhir/StructureDefinition/itemWeight"
        for code, value, expected in ((YES[1], 0, ["SAF-1"]), (NO[1], 1, ["SAF-1"]), (NO[1], 0, [])):
            given = response({f"/asq-{number}": NO for number in range(1, 5)})
            coding = given["item"][0]["answer"][0]["valueCoding"]
            coding |= {"code": code, "extension": [{"url": weight, "valueDecimal": value}]}
            assert codes(check_of("asq")(given, NOW)) == expected


def test_every_rule_and_screen_names_its_source() -> None:
    shipped = data.safety_policy()
    for part in ("rules", "screens", "concerns", "ladders", "riskLevels"):
        assert all(each["source"] for each in shipped[part].values()), part
    assert all(each["productDefault"] for each in (*shipped["rules"].values(), *shipped["ladders"].values()))
