"""What an EHR is told: each rule, from decisions that routing has made, in words that hurt nobody."""

from datetime import timedelta
from typing import Any

import orjson
from stepwell_routing.app import service as routing
from stepwell_routing.cds.services import CARE_STEP, EARLIER_RESULTS, REFERRAL_STEP
from stepwell_routing.tables import Known, evidence_effect
from stepwell_shared.canonical import code_system
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.services.routing.cds.ehr import BASE, Ehr, concept, draft, ehr_of, orders, patient_view, rules
from tests.services.routing.hearing import BY_IDENTIFIER, alert, assessment, hear, open_request, scored
from tests.support.runtime import NORTH, Clock, http_of, token

Json = dict[str, Any]

SNOMED = "http://snomed.info/sct"
TIER = code_system("tier")
PSYCHOTHERAPY = concept(SNOMED, "394913002")
LABORATORY = [concept(SNOMED, "108252007")]
FERRITIN = concept("http://loinc.org", "2276-4", "Ferritin")


def bundle(*resources: Json) -> Json:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": each} for each in resources]}


def result(day: str, value: float = 48, **more: Any) -> Json:
    """A laboratory result as an EHR has it."""
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": FERRITIN,
        "effectiveDateTime": f"2026-{day}T08:00:00Z",
        "valueQuantity": {"value": value, "unit": "ug/L"},
        **more,
    }


async def accepted(runtime: Runtime) -> None:
    """A clinician accepts the open proposal."""
    async with http_of(runtime, routing) as http:
        path = f"ServiceRequest/{(await open_request(runtime))['id']}/$accept"
        answer = await http.post(path, headers=token(NORTH, "clinician", "Practitioner/dr-1"))
        assert answer.status_code == 200, answer.text


async def on_pathway(runtime: Runtime, pathway: str) -> None:
    """A clinician starts the person on a pathway."""
    patient = built(runtime.engine, {"resourceType": "Patient", "id": "p1"}, runtime.clock())
    await runtime.store.commit(UnitOfWork(NORTH, [patient]))
    given = [{"name": "subject", "valueReference": {"reference": "Patient/p1"}}]
    body = {"resourceType": "Parameters", "parameter": [*given, {"name": "pathway", "valueCode": pathway}]}
    async with http_of(runtime, routing) as http:
        headers = token(NORTH, "clinician", "Practitioner/dr-1")
        answer = await http.post("EpisodeOfCare/$start-pathway", json=body, headers=headers)
        assert answer.is_success, answer.text


def passed(runtime: Runtime, days: int) -> None:
    assert isinstance(runtime.clock, Clock)
    runtime.clock.now += timedelta(days=days)


class TestPatientView:
    async def test_a_person_nobody_knows_here_gets_no_card(self, ehr: Ehr) -> None:
        assert await ehr.cards(CARE_STEP, patient_view("stranger")) == []

    async def test_an_open_safety_question_comes_first_and_says_that_help_never_waits(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(16, risk=assessment()))
        first, *_ = cards = await ehr.cards(CARE_STEP, patient_view())
        assert first["indicator"] == "critical"
        assert "urgent help and contact never wait" in first["detail"]
        assert rules(cards) == ["safety-open"]

    async def test_it_is_said_no_longer_once_a_clinician_has_recorded_a_level(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(16, risk=assessment()), alert("low"))
        assert rules(await ehr.cards(CARE_STEP, patient_view())) == ["care-step-proposed"]

    async def test_a_withdrawn_or_unanswered_item_is_open_too(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(16, risk=assessment(item_nine=None)))
        assert rules(await ehr.cards(CARE_STEP, patient_view())) == ["safety-open"]

    async def test_the_step_that_is_proposed_or_agreed_is_named_in_words(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(16))
        (proposed,) = await ehr.cards(CARE_STEP, patient_view())
        assert proposed["summary"].endswith("Individual therapy with medical care")
        await accepted(ehr.runtime)
        (agreed,) = await ehr.cards(CARE_STEP, patient_view())
        assert rules([agreed]) == ["care-step"]
        assert "2026-11-21" in agreed["detail"]

    async def test_questionnaires_are_due_when_the_review_is_and_not_a_day_before(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(16, day=21))
        await accepted(ehr.runtime)
        period = (await open_request(ehr.runtime))["occurrencePeriod"]
        review = (int(period["end"][5:7]) - 11) * 30 + int(period["end"][8:10]) - 21
        passed(ehr.runtime, review - 2)
        assert "screening-due" not in rules(await ehr.cards(CARE_STEP, patient_view()))
        passed(ehr.runtime, 4)
        assert "screening-due" in rules(await ehr.cards(CARE_STEP, patient_view()))

    async def test_a_person_who_is_known_but_has_never_answered_is_to_be_asked(self, ehr: Ehr) -> None:
        patient = built(ehr.runtime.engine, {"resourceType": "Patient", "id": "new"}, ehr.runtime.clock())
        await ehr.runtime.store.commit(UnitOfWork(NORTH, [patient]))
        assert rules(await ehr.cards(CARE_STEP, patient_view("new"))) == ["screening-first"]

    async def test_a_rise_beyond_chance_is_not_on_track_and_one_point_less_says_nothing(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(10, day=20))
        await accepted(ehr.runtime)
        for later, day, expected in ((15, 25, []), (16, 26, ["track-worse"])):
            await hear(ehr.runtime, scored(later, f"r{day}", day=day))
            found = rules(await ehr.cards(CARE_STEP, patient_view()))
            assert [each for each in found if each.startswith("track")] == expected

    async def test_a_person_is_found_by_an_identifier_that_the_chart_carries(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(12, subject=BY_IDENTIFIER))
        patient = {"resourceType": "Patient", "id": "77", "identifier": [BY_IDENTIFIER["identifier"]]}
        async with ehr_of(ehr.runtime, organisation="by-number", patient_system="https://ehr.example/mrn") as other:
            cards = await other.cards(CARE_STEP, patient_view("77", prefetch={"patient": patient}))
        assert rules(cards) == ["care-step-proposed"]

    async def test_cards_speak_the_clinicians_language(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(12))
        for wanted, words in (("de", "Vorgeschlagen"), ("es-MX", "Propuesto"), ("fr", "Proposé"), ("it", "Proposed")):
            ehr.headers["Accept-Language"] = wanted
            (card,) = await ehr.cards(CARE_STEP, patient_view())
            assert card["summary"].startswith(words)


class TestReferrals:
    async def test_orders_that_are_no_referral_into_stepped_care_get_no_card(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(16))
        others = [
            draft("1", category=LABORATORY, code=FERRITIN),
            draft("2", performerType=concept(SNOMED, "394582007")),
        ]
        assert await ehr.cards(REFERRAL_STEP, orders(*others)) == []

    async def test_a_referral_is_held_against_the_proposed_step(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(12))
        for order, expected in (
            ({"performerType": PSYCHOTHERAPY}, [("referral-without-step", "info")]),
            ({"category": [concept(TIER, "tier-1")]}, [("referral-below", "warning")]),
            ({"category": [concept(TIER, "tier-2")]}, []),
            ({"category": [concept(TIER, "tier-3")]}, [("referral-above", "info")]),
            ({"code": concept(code_system("tier-service"), "x")}, [("referral-without-step", "info")]),
        ):
            cards = await ehr.cards(REFERRAL_STEP, orders(draft(**order)))
            assert [(each["source"]["topic"]["code"], each["indicator"]) for each in cards] == expected

    async def test_the_ladder_is_that_of_the_persons_own_pathway(self, ehr: Ehr) -> None:
        await on_pathway(ehr.runtime, "rural")
        await hear(ehr.runtime, scored(12))
        step = code_system("step")
        for order, expected in (
            (concept(step, "rural-l1"), ["referral-below"]),
            (concept(step, "rural-l2"), []),
            (concept(TIER, "tier-2"), []),
            (concept(step, "rural-l4"), ["referral-above"]),
            (concept(step, "pain-p1"), ["referral-without-step"]),
        ):
            cards = await ehr.cards(REFERRAL_STEP, orders(draft(category=[order])))
            assert rules(cards) == expected
            drafts = [card["suggestions"][0]["actions"][0]["resource"] for card in cards]
            proposed = (await open_request(ehr.runtime))["category"]
            assert all(each["category"] == proposed for each in drafts)
        (shown,) = await ehr.cards(CARE_STEP, patient_view())
        words = [each["coding"][0]["display"] for each in (await open_request(ehr.runtime))["category"]]
        assert shown["summary"].endswith(words[-1])

    async def test_a_proposal_that_waits_for_something_else_is_not_called_unsafe(self, ehr: Ehr) -> None:
        await on_pathway(ehr.runtime, "chronic-pain-rehabilitation")
        await hear(ehr.runtime, scored(12))
        assert (await open_request(ehr.runtime))["status"] == "on-hold"
        assert await ehr.cards(REFERRAL_STEP, orders(draft(performerType=PSYCHOTHERAPY))) == []
        assert "safety-open" not in rules(await ehr.cards(CARE_STEP, patient_view()))

    async def test_the_suggestion_is_a_draft_for_the_proposed_step_in_place_of_the_order(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(12))
        (card,) = await ehr.cards(REFERRAL_STEP, orders(draft(performerType=PSYCHOTHERAPY, priority="urgent")))
        (suggestion,) = card["suggestions"]
        create, delete = suggestion["actions"]
        made, proposal = create["resource"], await open_request(ehr.runtime)
        assert card["selectionBehavior"] == "at-most-one"
        assert (made["status"], made["intent"], made["priority"]) == ("draft", "order", "urgent")
        assert (made["category"], made["code"]) == (proposal["category"], proposal["code"])
        assert made["subject"] == {"reference": "Patient/p1"}
        assert made["supportingInfo"] == [
            {"reference": f"https://stepwell.example/routing/fhir/ServiceRequest/{proposal['id']}"}
        ]
        assert (delete["type"], delete["resourceId"]) == ("delete", "ServiceRequest/draft-1")
        built(ehr.runtime.engine, {**made, "id": "x"}, ehr.runtime.clock())

    async def test_while_orders_are_chosen_only_the_chosen_ones_are_looked_at(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(12))
        both = [draft("1", performerType=PSYCHOTHERAPY), draft("2", performerType=PSYCHOTHERAPY)]
        call = orders(*both, hook="order-select", selections=["ServiceRequest/2"])
        (card,) = await ehr.cards(REFERRAL_STEP, call)
        assert card["suggestions"][0]["actions"][1]["resourceId"] == "ServiceRequest/2"

    async def test_while_a_safety_question_is_open_no_step_is_suggested(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(12, risk=assessment()))
        (card,) = await ehr.cards(REFERRAL_STEP, orders(draft(category=[concept(TIER, "tier-1")])))
        assert rules([card]) == ["safety-open"]
        assert "suggestions" not in card


class TestEarlierResults:
    async def call(self, ehr: Ehr, *results: Json, order: Json | None = None) -> list[Json]:
        test = draft(category=LABORATORY, code=FERRITIN, **(order or {}))
        prefetch = {"results": bundle(*results), "plans": bundle({"resourceType": "CarePlan", "title": "Plan of May"})}
        return await ehr.cards(EARLIER_RESULTS, orders(test, prefetch=prefetch))

    async def test_earlier_results_and_the_agreed_plan_are_shown_and_nothing_is_blocked(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(12))
        await accepted(ehr.runtime)
        (card,) = await self.call(ehr, result("05-02"), result("09-03", 51))
        assert card["indicator"] == "info"
        assert "suggestions" not in card
        assert "2 " in card["summary"] or ": 2," in card["summary"]
        assert "51 ug/L" in card["detail"]
        assert "Structured support" in card["detail"]
        assert "Plan of May" in card["detail"]
        assert "real whatever a test shows" in card["detail"]

    async def test_a_red_flag_wins(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(12))
        await known(ehr.runtime, "risk", "SAF-6")
        (card,) = await self.call(ehr, result("09-03"))
        assert rules([card]) == ["red-flag"]
        assert "is needed now" in card["detail"]

    async def test_an_order_that_cannot_wait_gets_no_card(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(12))
        for priority in ("urgent", "asap", "stat"):
            assert await self.call(ehr, result("09-03"), order={"priority": priority}) == []

    async def test_other_tests_old_ones_and_those_entered_in_error_do_not_count(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(12))
        old = {**result("09-03"), "effectiveDateTime": "2025-09-03"}
        other = result("09-03", code=concept("http://loinc.org", "718-7"))
        assert await self.call(ehr, old, other, result("09-03", status="entered-in-error")) == []

    async def test_what_was_not_sent_along_is_said_and_never_fetched(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(12))
        (card,) = await ehr.cards(EARLIER_RESULTS, orders(draft(category=LABORATORY, code=FERRITIN)))
        assert rules([card]) == ["results-missing"]
        assert "`results`" in card["detail"]

    async def test_words_of_others_show_as_text_and_lead_nowhere(self, ehr: Ehr) -> None:
        await hear(ehr.runtime, scored(12))
        bad = "<img src=x onerror=1> [click](javascript:1)\n# Heading " + "x" * 500
        (card,) = await self.call(ehr, result("09-03", code={**FERRITIN, "text": bad}))
        assert "<img" not in card["detail"]
        assert "](" not in card["detail"]
        assert "\n#" not in card["detail"]
        assert len(card["detail"]) < 1_000


async def known(runtime: Runtime, name: str, value: str) -> None:
    """Something came to be known about the person."""
    row = Known(name, value, runtime.clock(), f"https://stepwell.example/x/{value}", 1)
    await runtime.store.commit(UnitOfWork(NORTH, effects=[evidence_effect("Patient/p1", row)]))


async def test_no_card_has_an_empty_member_and_all_are_as_the_specification_has_them(ehr: Ehr) -> None:
    await hear(ehr.runtime, scored(12))
    cards = await ehr.cards(REFERRAL_STEP, orders(draft(performerType=PSYCHOTHERAPY)))
    for card in [*cards, *await ehr.cards(CARE_STEP, patient_view())]:
        assert len(card["summary"]) < 140
        assert card["indicator"] in {"info", "warning", "critical"}
        assert card["source"]["label"]
        assert all(reason["display"] and reason["system"] for reason in card["overrideReasons"])
        assert b"null" not in orjson.dumps(card)


async def test_an_app_is_offered_where_the_client_was_registered_with_one(ehr: Ehr) -> None:
    await hear(ehr.runtime, scored(12))
    async with ehr_of(ehr.runtime, organisation="app", app_url="https://app.example/launch") as other:
        (card,) = await other.cards(CARE_STEP, patient_view())
    assert card["links"] == [{"label": "Open in Stepwell", "url": "https://app.example/launch", "type": "smart"}]
    assert BASE not in orjson.dumps(card).decode()
