"""What is emitted of bookings is R4: held, booked and moved Appointments, slots, outreach, contingencies, reminders."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class
from stepwell_referral import data
from stepwell_referral.builders import booking as builders
from stepwell_referral.rules.booking import after_missed
from stepwell_shared.fhir import validation

from tests.services.referral.booking import extension, slot, waiting_task
from tests.support.corpus import Emitted

AT = datetime(2026, 11, 22, 9, tzinfo=UTC)
START = AT + timedelta(days=3)
PERSON = {"reference": "Patient/p1"}
Resource = dict[str, Any]


def booked(**more: Any) -> builders.Booked:
    actors = [{"reference": "HealthcareService/default-tier-3"}]
    return builders.Booked("a1", PERSON, actors, service_request="ServiceRequest/s1", **more)


def appointment(status: str, held_until: datetime | None = None, **more: Any) -> Resource:
    return builders.appointment(booked(**more), slot("s1", START), status=status, at=AT, held_until=held_until)


REMOTE = appointment(
    "booked",
    telehealth_link="https://video.example/room",
    is_remote=True,
    private_space=True,
    series="series-1",
    comment="By the side door",
    overtaking={"QUEUE-URGENCY": 2},
)
EMITTED = {
    "held": appointment("pending", AT + timedelta(minutes=15)),
    "remote": REMOTE,
    "confirmed": builders.confirmed_appointment(appointment("pending", AT), booked()),
    "cancelled": builders.ended_appointment(appointment("pending", AT), reason="other", text="The hold is over."),
    "group": builders.counted_slot(slot("s2", START, places=8), status="free", free=5),
    "outreach": builders.outreach_task("t1", REMOTE, PERSON, after_missed(AT, 48), AT),
    "contingency": builders.contingency_task(
        "t2", waiting_task("t0", "p1", 1, "urgent"), in_time=["default-tier-2"],
        steps=data.queue_data()["contingency"]["steps"], reason="No place in time.", due_by=START, at=AT,
    ),
    "reminder": builders.reminder("c1", REMOTE, PERSON, "You have an appointment.", "en"),
}  # fmt: skip


@pytest.mark.parametrize("name", EMITTED)
def test_what_is_emitted_is_valid_r4(name: str, emitted: Emitted) -> None:
    body = orjson.dumps(EMITTED[name])
    validation.check(body, EMITTED[name]["resourceType"])
    get_fhir_model_class(EMITTED[name]["resourceType"]).model_validate_json(body)
    emitted(EMITTED[name])


def test_what_is_proposed_is_nobodys_and_complete() -> None:
    proposed = builders.proposed_appointment(slot("s1", START), [])
    validation.check(orjson.dumps(proposed), "Appointment")
    assert builders.person_in(proposed) is None


def test_a_hold_that_is_booked_or_over_says_no_longer_until_when() -> None:
    assert extension(EMITTED["held"], "appointment-hold") is not None
    assert extension(EMITTED["confirmed"], "appointment-hold") is None
    assert extension(EMITTED["cancelled"], "appointment-hold") is None


def test_without_another_place_in_time_a_clinician_decides() -> None:
    task = builders.contingency_task(
        "t2", waiting_task("t0", "p1", 1, "urgent"), in_time=[],
        steps=data.queue_data()["contingency"]["steps"], reason="None.", due_by=START, at=AT,
    )  # fmt: skip
    codes = [each["type"]["coding"][0]["code"] for each in task["input"]]
    assert codes == ["CONTINGENCY-RESERVED", "CONTINGENCY-CLINICIAN"]


def test_a_reminder_says_when_in_the_time_of_the_slot_and_names_nothing_else() -> None:
    start = datetime.fromisoformat("2026-12-01T09:30:00+01:00")
    words = data.booking_words()
    said = {
        language: builders.reminder_words(words[language], start, is_remote=True, asks_for_space=True)
        for language in words
    }
    assert said["en"].startswith("You have an appointment on 1 December 2026 at 09:30. We meet by video or telephone.")
    assert said["de"].startswith("Sie haben einen Termin am 1. Dezember 2026 um 09:30 Uhr.")
    assert all("{" not in text for text in said.values())
