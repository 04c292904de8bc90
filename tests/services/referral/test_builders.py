"""Promises of the referral Task: R4, with place, wait and interim support, first drafted and then requested."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from fhir.resources.R4B.task import Task
from stepwell_referral import data
from stepwell_referral.builders import Referral, place_of, referral_task, requested_task, wait_extension
from stepwell_referral.rules.interim import choose_interim
from stepwell_referral.rules.matching import Place
from stepwell_referral.rules.waits import WaitPromise, promise, wait_words
from stepwell_shared.canonical import code_system, extension_url

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LATER = AT + timedelta(hours=5)
SERVICE_REQUEST = "https://routing.example/fhir/ServiceRequest/s1"
PLACES = {
    place.place_id: place
    for place in (place_of(resource) for resource in data.default_catalogue() if "category" in resource)
}
REFERRAL = Referral(
    task_id="t1",
    identifier={"system": "https://referral.example/fhir/NamingSystem/referral", "value": "s1"},
    service_request=SERVICE_REQUEST,
    subject={"reference": "Patient/p1"},
    requester={"reference": "Organization/default-organization"},
    tier="tier-3",
    priority="routine",
)


def wait_of(weekly_starts: float, routine: int = 0, at: datetime = AT) -> WaitPromise:
    return promise({"routine": routine}, weekly_starts, "routine", at, data.urgency_classes())


def draft(place: Place | None = PLACES["default-tier-3"], wait: WaitPromise | None = None) -> dict[str, Any]:
    wait = wait or wait_of(8)
    return referral_task(
        REFERRAL,
        place=place,
        wait=wait,
        interim=choose_interim("tier-3", data.interim_offers()).offer,
        words=wait_words(wait, place.name if place else None, data.wait_templates()),
        at=AT,
    )


def parts(task: dict[str, Any]) -> dict[str, Any]:
    (promised,) = [item for item in task["extension"] if item["url"] == extension_url("wait-promise")]
    return {part["url"]: next(value for key, value in part.items() if key != "url") for part in promised["extension"]}


def test_without_a_place_the_task_has_no_owner_and_says_so() -> None:
    task = draft(place=None)
    assert "owner" not in task
    assert "no place found" in task["description"]
    Task.model_validate_json(orjson.dumps(task))


def test_without_a_date_nothing_is_promised_and_the_limit_is_the_deadline() -> None:
    task = draft(wait=wait_of(0))
    assert set(parts(task)) == {"due-by", "keepable", "computed-at", "rule"}
    assert parts(task)["keepable"] is False
    assert task["restriction"]["period"]["end"] == "2026-12-19T09:00:00.000Z"


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        requested_task(draft(), at=LATER.replace(tzinfo=None))


def test_the_draft_parses_as_fhir_and_says_what_it_is() -> None:
    task = draft()
    Task.model_validate_json(orjson.dumps(task))
    assert (task["status"], task["intent"], task["priority"]) == ("draft", "order", "routine")
    assert {"system": code_system("task"), "code": "tier-referral"} in task["code"]["coding"]
    assert {"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"} in task["code"]["coding"]
    assert task["focus"] == task["basedOn"][0] == {"reference": SERVICE_REQUEST}
    assert task["for"] == {"reference": "Patient/p1"}
    assert task["owner"]["reference"] == "HealthcareService/default-tier-3"
    assert task["lastModified"] == task["authoredOn"]


def test_the_wait_is_on_the_task_with_its_bounds_and_its_rule() -> None:
    values = parts(draft())
    assert values["median"] == {"value": 1, "unit": "days", "system": "http://unitsofmeasure.org", "code": "d"}
    assert values["upper"]["value"] == 3
    assert values["keepable"] is True
    assert values["rule"] == {"system": code_system("rule"), "code": "WAIT-WITHIN-LIMIT"}
    assert values["computed-at"] == "2026-11-21T09:00:00.000Z"
    assert draft()["restriction"]["period"]["end"] == "2026-11-24T09:00:00.000Z"


def test_every_part_of_the_wait_is_one_that_its_definition_knows() -> None:
    (definition,) = [item for item in data.structure_definitions() if item["id"] == "wait-promise"]
    slices = [element for element in definition["differential"]["element"] if "sliceName" in element]
    known = {element["sliceName"] for element in slices}
    required = {element["sliceName"] for element in slices if element["min"] == 1}
    for wait in (wait_of(8), wait_of(0)):
        emitted = {part["url"] for part in wait_extension(wait)["extension"]}
        assert required <= emitted <= known


def test_people_read_the_wait_and_the_support_in_every_language() -> None:
    task = draft()
    (note,) = task["note"]
    assert "nine in ten within 3 days" in note["text"]
    assert note["_text"]["extension"][0]["extension"][0] == {"url": "lang", "valueCode": "de"}
    (interim,) = task["input"]
    assert interim["type"]["coding"][0]["code"] == "interim-support"
    assert interim["valueCodeableConcept"]["coding"][0]["code"] == "brief-intervention"
    assert "Until your therapy begins" in interim["valueCodeableConcept"]["text"]


@pytest.mark.parametrize(
    ("language", "begins", "others"), [("de", "Bis Ihre", {"en", "es", "fr"}), ("tr", "Until", {"de", "es", "fr"})]
)
def test_texts_are_in_the_chosen_language_or_in_a_readable_one(language: str, begins: str, others: set[str]) -> None:
    wait = wait_of(8)
    task = referral_task(
        replace(REFERRAL, language=language),
        place=None,
        wait=wait,
        interim=choose_interim("tier-3", data.interim_offers()).offer,
        words=wait_words(wait, None, data.wait_templates()),
        at=AT,
    )
    text = task["input"][0]["valueCodeableConcept"]
    assert text["text"].startswith(begins)
    assert {item["extension"][0]["valueCode"] for item in text["_text"]["extension"]} == others
    assert task["language"] == language
    requested = requested_task(task, at=LATER, words={"en": "Sent.", "de": "Verschickt."})
    assert requested["note"][1]["text"] == ("Verschickt." if language == "de" else "Sent.")
    Task.model_validate_json(orjson.dumps(requested))


def test_a_tier_without_interim_support_has_no_empty_input() -> None:
    task = referral_task(REFERRAL, place=None, wait=wait_of(8), interim=None, words={"en": "We look."}, at=AT)
    assert "input" not in task
    assert "_text" not in task["note"][0]
    Task.model_validate_json(orjson.dumps(task))


def test_requesting_keeps_the_draft_untouched_and_moves_only_what_changed() -> None:
    task = draft()
    before = deepcopy(task)
    requested = requested_task(task, at=LATER)
    assert task == before
    changed = {key for key in requested if requested[key] != task[key]}
    assert changed == {"status", "businessStatus", "lastModified"}
    assert requested["status"] == "requested"
    assert requested["lastModified"] > requested["authoredOn"]
    Task.model_validate_json(orjson.dumps(requested))


def test_requesting_replaces_the_promise_and_tells_the_person_again() -> None:
    wait = wait_of(8, routine=30, at=LATER)
    words = wait_words(wait, "Psychotherapy", data.wait_templates())
    requested = requested_task(draft(), at=LATER, wait=wait, words=words)
    assert parts(requested)["upper"]["value"] == wait.upper_days
    assert parts(requested)["computed-at"] == "2026-11-21T14:00:00.000Z"
    assert wait.promised_by is not None
    assert requested["restriction"]["period"]["end"].startswith(wait.promised_by.date().isoformat())
    assert [note["time"] for note in requested["note"]] == ["2026-11-21T09:00:00.000Z", "2026-11-21T14:00:00.000Z"]
    Task.model_validate_json(orjson.dumps(requested))


def test_a_service_is_read_as_the_rules_need_it() -> None:
    place = PLACES["default-tier-3"]
    assert place.tiers == {"tier-3"}
    assert place.profile.modalities == {"in-person", "telehealth"}
    assert place.profile.languages == {"en", "de"}
    assert place.weekly_starts == 8


def test_a_service_without_numbers_has_nothing_to_promise_from() -> None:
    place = place_of({"resourceType": "HealthcareService", "id": "x", "extension": [{"url": "https://other.example"}]})
    assert (place.weekly_starts, place.active, place.tiers) == (0.0, True, frozenset())
