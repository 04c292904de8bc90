"""Everything screening emits parses as FHIR R4, says what the rule found, and carries nothing else of the person."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B.flag import Flag
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.provenance import Provenance
from fhir.resources.R4B.riskassessment import RiskAssessment
from fhir.resources.R4B.task import Task
from stepwell_screening import builders, data, safety_builders
from stepwell_screening.rules.safety import compile_safety
from stepwell_screening.rules.safety_policy import parse_policy
from stepwell_screening.rules.safety_reviews import recorded_risk_level
from stepwell_screening.safety_builders import SafetyCause
from stepwell_shared.canonical import code_system

from tests.services.screening.rules.answering import DEFINITIONS, QUESTIONNAIRES, answered, spread, total_of

OPENED = datetime(2026, 11, 21, 21, 54, tzinfo=timezone(timedelta(hours=1)))
RESPONSE_URL = "https://screening.example/fhir/QuestionnaireResponse/r1"
SUBJECT = {"reference": "https://screening.example/fhir/Patient/p1"}
LOCAL_SUBJECT = {"reference": "Patient/p1"}
CLINICIAN = {"reference": "https://ehr.example/fhir/Practitioner/d1"}
POLICY = parse_policy(data.safety_policy())
SAFETY = compile_safety(QUESTIONNAIRES["phq-9"], DEFINITIONS["phq-9"], POLICY)


def observation(instrument: str, weights: list[int | None], **more: Any) -> dict[str, Any]:
    built = builders.score_observation(
        observation_id="o1",
        definition=DEFINITIONS[instrument],
        result=total_of(instrument, answered(instrument, weights)),
        response_url=RESPONSE_URL,
        subject=SUBJECT,
        effective="2026-11-21T20:50:00+01:00",
        issued=OPENED,
        **more,
    )
    Observation.model_validate(built)
    return built


def cause(item_nine: int | None = 1) -> SafetyCause:
    [finding] = SAFETY(answered("phq-9", [0] * 8 + [item_nine]), OPENED)
    return SafetyCause(finding, "QuestionnaireResponse/r1", LOCAL_SUBJECT, "2026-11-21T20:50:00+01:00", OPENED)


def task() -> dict[str, Any]:
    return safety_builders.safety_task(task_id="t1", assessment="RiskAssessment/a1", cause=cause())


def flag() -> dict[str, Any]:
    return safety_builders.safety_flag(flag_id="f1", assessment="RiskAssessment/a1", cause=cause())


def assessment() -> dict[str, Any]:
    return safety_builders.risk_assessment(assessment_id="a1", cause=cause(), policy=POLICY)


class TestScoreObservation:
    def test_carries_score_band_and_where_it_comes_from(self) -> None:
        built = observation("phq-9", [*spread(16, 9, 3)], performer=LOCAL_SUBJECT)
        assert built["category"][0]["coding"][0]["code"] == "survey"
        assert built["code"]["coding"][0]["code"] == "44261-6"
        assert built["valueQuantity"] == {
            "value": 16,
            "unit": "{score}",
            "system": "http://unitsofmeasure.org",
            "code": "{score}",
        }
        [interpretation] = built["interpretation"]
        assert interpretation["coding"][0]["system"] == code_system("band")
        assert (interpretation["coding"][0]["code"], interpretation["text"]) == (
            "phq-9-moderately-severe",
            "Moderately severe",
        )
        assert built["derivedFrom"] == [{"reference": RESPONSE_URL}]
        assert (built["subject"], built["performer"]) == (SUBJECT, [LOCAL_SUBJECT])

    def test_keeps_authored_as_received_and_says_when_it_was_made(self) -> None:
        built = observation("gad-7", [0] * 7)
        assert built["effectiveDateTime"] == "2026-11-21T20:50:00+01:00"
        assert built["issued"] == "2026-11-21T20:54:00.000Z"

    @pytest.mark.parametrize("instrument", data.INSTRUMENTS)
    def test_lists_every_band_with_its_bounds_and_words(self, instrument: str) -> None:
        size = len(DEFINITIONS[instrument].item_link_ids)
        ranges = observation(instrument, [0] * size)["referenceRange"]
        bands = DEFINITIONS[instrument].scores[0].bands
        assert [(row["low"]["value"], row["high"]["value"], row["text"]) for row in ranges] == [
            (band.lower, band.upper, band.display) for band in bands
        ]

    def test_of_a_prorated_score_says_so_to_people_and_programs(self) -> None:
        built = observation("phq-9", [2] * 8 + [None])
        details = {part["code"]["coding"][0]["code"]: part for part in built["component"]}
        assert details["prorated"]["valueBoolean"] is True
        assert details["items-answered"]["valueInteger"] == 8
        assert built["note"][0]["text"].startswith("8 of 9 questions were answered")

    def test_of_a_complete_score_has_no_note(self) -> None:
        built = observation("phq-9", [2] * 9)
        details = {part["code"]["coding"][0]["code"]: part for part in built["component"]}
        assert details["prorated"]["valueBoolean"] is False
        assert "note" not in built

    def test_without_a_score_says_why_there_is_none(self) -> None:
        built = observation("phq-9", [None, None, None, *[1] * 6])
        assert not {"valueQuantity", "interpretation"} & built.keys()
        assert built["dataAbsentReason"]["coding"][0]["code"] == "unknown"
        assert built["dataAbsentReason"]["text"] == "6 of 9 questions were answered, too few for a score."

    def test_of_an_amended_response_is_amended(self) -> None:
        assert observation("phq-9", [0] * 9, status="amended")["status"] == "amended"

    @pytest.mark.parametrize("instrument", data.INSTRUMENTS)
    def test_has_numbers_that_json_keeps(self, instrument: str) -> None:
        size = len(DEFINITIONS[instrument].item_link_ids)
        built = observation(instrument, [1] * size)
        assert isinstance(built["valueQuantity"]["value"], int | Decimal)
        assert json.loads(json.dumps(built)) == built


class TestSafetyResources:
    def test_the_risk_assessment_is_preliminary_and_claims_no_level(self) -> None:
        built = assessment()
        RiskAssessment.model_validate(built)
        assert built["status"] == "preliminary"
        assert "qualitativeRisk" not in built["prediction"][0]
        assert built["basis"] == [{"reference": "QuestionnaireResponse/r1"}]
        assert built["reasonCode"][0]["coding"][0] == {
            "system": code_system("rule"),
            "code": "SAF-1",
            "display": "Positive safety item, not yet reviewed",
        }

    def test_the_flag_is_active_and_leads_to_the_assessment(self) -> None:
        built = flag()
        Flag.model_validate(built)
        assert (built["status"], built["category"][0]["coding"][0]["code"]) == ("active", "safety")
        assert built["extension"][0]["valueReference"] == {"reference": "RiskAssessment/a1"}
        assert built["period"] == {"start": "2026-11-21T20:54:00.000Z"}

    def test_the_task_asks_for_a_review_by_the_deadline(self) -> None:
        built = task()
        Task.model_validate(built)
        assert (built["status"], built["intent"], built["priority"]) == ("requested", "order", "stat")
        assert built["code"]["coding"][0]["code"] == "safety-review"
        assert built["restriction"]["period"]["end"] == "2026-11-22T00:54:00.000Z"
        assert (built["focus"], built["for"]) == ({"reference": "RiskAssessment/a1"}, LOCAL_SUBJECT)
        assert "owner" not in built

    def test_a_blank_names_its_own_rule(self) -> None:
        built = safety_builders.safety_task(task_id="t1", assessment="RiskAssessment/a1", cause=cause(None))
        assert built["reasonCode"]["coding"][0]["code"] == "SAF-5"
        assert "left unanswered" in built["description"]

    def test_the_provenance_names_software_response_and_instrument(self) -> None:
        built = builders.provenance(
            provenance_id="v1",
            targets=["RiskAssessment/a1/_history/1", "Task/t1/_history/1"],
            response_version="QuestionnaireResponse/r1/_history/1",
            questionnaire=DEFINITIONS["phq-9"].questionnaire,
            recorded=OPENED,
            software_version="0.1.0",
        )
        Provenance.model_validate(built)
        assert built["agent"][0]["who"] == {"type": "Device", "display": "Stepwell screening 0.1.0"}
        assert built["entity"][0]["what"]["reference"] == "QuestionnaireResponse/r1/_history/1"
        assert built["entity"][1]["what"]["identifier"]["value"].endswith("/Questionnaire/phq-9|1.0.0")

    def test_no_resource_quotes_the_answer(self) -> None:
        for built in (task(), flag(), assessment()):
            assert not any(words in json.dumps(built) for words in ("Several days", "LA6569-3", "44260-8"))


class TestAfterTheReview:
    @pytest.mark.parametrize("code", ["low", "moderate", "high"])
    def test_the_completed_task_records_a_level_that_can_be_read_back(self, code: str) -> None:
        level = POLICY.risk_levels[code]
        built = safety_builders.completed_task(task(), result=level, recorded=OPENED, clinician=CLINICIAN)
        Task.model_validate(built)
        assert (built["status"], built["owner"]) == ("completed", CLINICIAN)
        assert recorded_risk_level(POLICY, built) == (level, [])

    @pytest.mark.parametrize("code", ["low", "moderate", "high"])
    def test_the_risk_assessment_becomes_final_with_the_level(self, code: str) -> None:
        level = POLICY.risk_levels[code]
        built = safety_builders.final_risk_assessment(assessment(), result=level, recorded=OPENED, clinician=CLINICIAN)
        RiskAssessment.model_validate(built)
        assert (built["status"], built["performer"]) == ("final", CLINICIAN)
        codings = built["prediction"][0]["qualitativeRisk"]["coding"]
        assert {coding["code"] for coding in codings} == {code}
        assert len(codings) == 2
        assert built["mitigation"] == level.text

    @pytest.mark.parametrize(
        ("code", "status", "rule"),
        [("low", "inactive", "SAF-4"), ("moderate", "active", "SAF-3"), ("high", "active", "SAF-2")],
    )
    def test_the_flag_ends_only_at_low_risk(self, code: str, status: str, rule: str) -> None:
        built = safety_builders.reviewed_flag(
            flag(), result=POLICY.risk_levels[code], recorded=OPENED + timedelta(hours=1)
        )
        Flag.model_validate(built)
        assert (built["status"], built["code"]["coding"][0]["code"]) == (status, rule)
        assert ("end" in built["period"]) is (status == "inactive")

    def test_what_was_passed_in_is_left_as_it_was(self) -> None:
        opened = assessment()
        safety_builders.final_risk_assessment(opened, result=POLICY.risk_levels["low"], recorded=OPENED)
        assert opened == assessment()


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        safety_builders.reviewed_flag(
            flag(), result=POLICY.risk_levels["low"], recorded=OPENED.astimezone(UTC).replace(tzinfo=None)
        )
