"""Every code that queues and bookings name can be looked up, and what people read of an appointment is complete."""

import re
from pathlib import Path

import stepwell_referral
from stepwell_referral import data
from stepwell_shared.canonical import code_system

from tests.support.terminology import CODE_SYSTEMS

NAMED = re.compile(r'"((?:QUEUE|BOOK|FORECAST|CONTINGENCY|BASIS)-[A-Z0-9-]+)"')


def test_every_code_of_queues_and_bookings_is_defined() -> None:
    sources = Path(stepwell_referral.__file__).parent.rglob("*.py")
    named = {code for path in sources for code in NAMED.findall(path.read_text(encoding="utf-8"))}
    published = {each["code"] for each in data.queue_data()["overtaking"]} | set(
        data.queue_data()["contingency"]["steps"]
    )
    defined = {concept["code"] for concept in CODE_SYSTEMS[code_system("queue")]["concept"]}
    assert len(named) > 15
    assert named | published <= defined


def test_what_people_read_of_an_appointment_is_there_in_every_language() -> None:
    words = data.booking_words()
    assert set(words) == {"de", "en", "es", "fr"}
    assert all(each.keys() == words["en"].keys() for each in words.values())
    assert all(len(each["months"]) == 12 for each in words.values())


def test_numbers_that_ship_say_why_they_are_what_they_are() -> None:
    for each in (data.queue_data(), data.pace_data(), data.booking_data()):
        assert each["about"]
        assert each["source"]
        tables = [table for table in each.values() if isinstance(table, dict)]
        assert all(any("reason" in name for name in table) for table in tables)
