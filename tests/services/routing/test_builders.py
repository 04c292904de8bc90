"""The resources a decision leaves behind: valid R4, complete, and the same for the same cause."""

import json
from typing import Any

import pytest
from fhir.resources.R4B.episodeofcare import EpisodeOfCare
from fhir.resources.R4B.provenance import Provenance
from fhir.resources.R4B.servicerequest import ServiceRequest
from stepwell_routing.builders import (
    acceptance_provenance,
    accepted_assignment,
    current_tier,
    decision_provenance,
    episode,
    step_since,
    tier_assignment,
)
from stepwell_routing.rules.decisions import Decision, RiskState
from stepwell_shared.canonical import CANONICAL, instant

from tests.services.routing.rules.shipped import NOW, POLICY, decided

SUBJECT = {"reference": "https://screening.example/fhir/Patient/p1"}
RESPONSE = "https://screening.example/fhir/QuestionnaireResponse/qr1"
PRACTITIONER = "https://ehr.example/fhir/Practitioner/dr-1"
RISK = "https://screening.example/fhir/RiskAssessment/r1"
POLICY_CANONICAL = f"{CANONICAL}/PlanDefinition/stepped-care|1.0.0"


def _assignment(decision: Decision, prior: str | None = None) -> dict[str, Any]:
    return tier_assignment(
        decision,
        resource_id="sr1",
        identifier="cause-1",
        subject=SUBJECT,
        questionnaire_response=RESPONSE,
        prior=prior,
    )


def _provenance(decision: Decision, activity: str) -> dict[str, Any]:
    return decision_provenance(
        decision,
        resource_id="pv1",
        activity=activity,
        targets=["ServiceRequest/sr1/_history/1"],
        questionnaire_response=f"{RESPONSE}/_history/1",
    )


def _codes(concepts: list[dict[str, Any]]) -> list[str]:
    return [concept["coding"][0]["code"] for concept in concepts]


class TestTierAssignment:
    def test_it_is_the_machines_proposal_for_the_tier(self) -> None:
        body = _assignment(decided(phq9=16))
        assert ServiceRequest.model_validate(body).id == "sr1"
        assert (body["intent"], body["status"], body["priority"]) == ("proposal", "active", "routine")
        assert body["category"][0]["coding"][0] == {
            "system": f"{CANONICAL}/CodeSystem/tier",
            "code": "tier-3",
            "display": "Individual therapy with medical care",
        }
        assert body["code"]["coding"][0]["system"] == f"{CANONICAL}/CodeSystem/tier-service"
        assert body["instantiatesCanonical"] == [POLICY_CANONICAL]
        assert body["requester"]["identifier"]["value"] == "stepwell-routing"

    def test_the_reason_names_the_rule_and_reaches_the_score(self) -> None:
        body = _assignment(decided(phq9=16))
        assert _codes(body["reasonCode"]) == ["FLOOR-PHQ9-T3"]
        assert body["reasonReference"] == [{"reference": "https://measurement.example/fhir/Observation/phq9"}]
        assert body["supportingInfo"] == [{"reference": RESPONSE}]
        assert body["note"][0]["text"].startswith("PHQ-9 is 16")

    def test_every_text_is_there_in_every_language(self) -> None:
        body = _assignment(decided(phq9=16))
        for element in (body, body["note"][0], body["code"], body["category"][0], body["reasonCode"][0]):
            name = "patientInstruction" if element is body else "text"
            languages = [part["valueCode"] for part in element[f"_{name}"]["extension"][0]["extension"][:1]]
            assert [body["language"], *languages] == ["en", "de"]

    def test_while_safety_is_open_it_is_on_hold_and_names_why(self) -> None:
        body = _assignment(decided(RiskState(positive_item_open=True, reference=RISK), phq9=16))
        assert (body["status"], body["priority"]) == ("on-hold", "urgent")
        assert _codes(body["reasonCode"]) == ["SAF-1", "FLOOR-PHQ9-T3"]
        assert {"reference": RISK} in body["supportingInfo"]
        assert {"reference": RISK} not in body["reasonReference"]

    def test_without_a_score_it_has_no_empty_list(self) -> None:
        body = _assignment(decided())
        assert "reasonReference" not in body
        assert ServiceRequest.model_validate(body).status == "on-hold"

    def test_excluded_options_are_not_offered(self) -> None:
        offered = _codes(_assignment(decided(phq9=3))["orderDetail"])
        held = _codes(_assignment(decided(RiskState(level="low"), phq9=3))["orderDetail"])
        assert set(offered) - set(held) == {"self-guided-programme"}

    def test_it_replaces_the_one_before(self) -> None:
        body = _assignment(decided(phq9=16), prior="ServiceRequest/sr0")
        assert body["replaces"] == [{"reference": "ServiceRequest/sr0"}]
        assert body["supportingInfo"][-1] == {"reference": "ServiceRequest/sr0"}

    def test_the_same_decision_gives_the_same_bytes(self) -> None:
        assert json.dumps(_assignment(decided(phq9=16))) == json.dumps(_assignment(decided(phq9=16)))


class TestAcceptance:
    def test_a_plan_cannot_be_accepted_again(self) -> None:
        plan = accepted_assignment(_assignment(decided(phq9=16)), practitioner=PRACTITIONER, accepted_at=NOW)
        with pytest.raises(ValueError, match="only a proposal"):
            accepted_assignment(plan, practitioner=PRACTITIONER, accepted_at=NOW)

    def test_a_named_clinician_makes_it_a_plan(self) -> None:
        proposal = {**_assignment(decided(phq9=16)), "meta": {"versionId": "1"}}
        plan = accepted_assignment(proposal, practitioner=PRACTITIONER, accepted_at=NOW)
        assert ServiceRequest.model_validate(plan).intent == "plan"
        assert plan["requester"] == {"reference": PRACTITIONER}
        changed = {name for name in proposal if plan.get(name) != proposal[name]}
        assert changed == {"intent", "requester", "meta"}
        assert proposal["intent"] == "proposal"

    def test_the_acceptance_names_who_and_from_what(self) -> None:
        body = acceptance_provenance(
            resource_id="pv2",
            target="ServiceRequest/sr1/_history/2",
            proposal="ServiceRequest/sr1/_history/1",
            practitioner=PRACTITIONER,
            policy=POLICY_CANONICAL,
            accepted_at=NOW,
        )
        assert Provenance.model_validate(body).id == "pv2"
        assert body["agent"][0]["who"] == {"reference": PRACTITIONER}
        assert body["entity"][0] == {"role": "revision", "what": {"reference": "ServiceRequest/sr1/_history/1"}}


class TestProvenance:
    @pytest.mark.parametrize("activity", ["assign", "modify", "stay"])
    def test_it_names_policy_evidence_and_every_rule_that_fired(self, activity: str) -> None:
        decision = decided(phq9=16, gad7=9)
        body = _provenance(decision, activity)
        assert Provenance.model_validate(body).id == "pv1"
        assert body["activity"]["coding"][0]["code"] == activity
        assert _codes(body["reason"]) == [rule.code for rule in decision.fired]
        assert "phq9 = 16" in [reason["text"] for reason in body["reason"]]
        assert body["entity"][0]["what"] == {"reference": f"{RESPONSE}/_history/1"}
        assert body["entity"][-1]["role"] == "derivation"
        assert body["entity"][-1]["what"]["identifier"]["value"] == POLICY_CANONICAL

    def test_a_text_with_values_has_no_translation_of_another_text(self) -> None:
        reasons = _provenance(decided(phq9=16), "assign")["reason"]
        assert all("_text" not in reason for reason in reasons if reason["text"] == "phq9 = 16")


class TestEpisode:
    def test_while_only_a_safety_question_is_open_it_is_planned_and_in_no_tier(self) -> None:
        body = _episode(requests=[])
        assert EpisodeOfCare.model_validate(body).status == "planned"
        assert "referralRequest" not in body
        assert current_tier(body) is None

    def test_a_proposal_starts_it_and_begins_no_step(self) -> None:
        body = _episode()
        assert EpisodeOfCare.model_validate(body).status == "active"
        assert (current_tier(body), step_since(body)) == (None, None)
        assert body["type"][0]["coding"][0]["code"] == POLICY.pathway
        assert body["period"] == {"start": instant(NOW)}
        assert _episode(previous=_episode(requests=[]))["status"] == "active"

    def test_an_accepted_tier_begins_a_step_and_keeps_the_start(self) -> None:
        after = _episode(
            requests=["ServiceRequest/sr2"], entered=("tier-3", "tier-3"), previous=_earlier(current="tier-2")
        )
        assert after["period"] == {"start": EARLIER}
        assert (current_tier(after), step_since(after)) == ("tier-3", instant(NOW))
        assert after["referralRequest"] == [{"reference": "ServiceRequest/sr2"}]
        assert "meta" not in after
        assert len(after["extension"]) == 1

    @pytest.mark.parametrize("tier", [None, "tier-3"])
    def test_the_same_tier_goes_on_with_its_step(self, tier: str | None) -> None:
        after = _episode(entered=tier and (tier, tier), previous=_earlier(current="tier-3"))
        assert (current_tier(after), step_since(after)) == ("tier-3", EARLIER)

    def test_a_person_known_by_an_identifier_has_one_too(self) -> None:
        subject = {"identifier": {"system": "https://ehr.example/mrn", "value": "7"}}
        assert EpisodeOfCare.model_validate(_episode(subject=subject)).id == "e1"
        assert _episode(subject=subject)["patient"] == subject


EARLIER = "2026-01-01T00:00:00.000Z"


def _episode(**changed: Any) -> dict[str, Any]:
    given = {
        "resource_id": "e1",
        "pathway": POLICY.pathway,
        "subject": SUBJECT,
        "requests": ["ServiceRequest/sr1"],
        "moment": NOW,
    }
    return episode(**{**given, **changed})


def _earlier(current: str) -> dict[str, Any]:
    body = _episode(entered=current and (current, current))
    body["extension"][0]["extension"][1]["valueDateTime"] = EARLIER
    return {**body, "period": {"start": EARLIER}, "meta": {"versionId": "3"}}
