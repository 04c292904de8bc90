"""What is known of everybody's care, one narrow row for each fact, and the rows that figures are counted from.

How they are kept is in `schema/care.py`; docs/measures.md says what each column means.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from stepwell_shared.database.functions import Effect

from stepwell_measurement.rules.care_record import Fact, Person

_OF_ALL = (
    *("person", "item", "practice", "age", "sex", "language", "ethnicity", "deprivation", "rurality"),
    *("tier", "pathway"),
)
COUNTED: Mapping[str, tuple[str, ...]] = {
    "care_referral": (*_OF_ALL, "asked_on", "begun_on", "second_on", "left_on"),
    "care_contact": (*_OF_ALL, "held_on", "attendance"),
    "care_course": (
        *_OF_ALL,
        *("started_on", "ended_on", "contacts", "case_at_start", "recovery"),
        *("reliable_improvement", "reliable_deterioration", "reliable_recovery"),
        *("mood_case", "mood_response", "mood_remission", "anxiety_case", "anxiety_response", "anxiety_remission"),
        *("function_better", "satisfaction", "cost", "use_before", "use_after"),
    ),
    "care_step": (*_OF_ALL, "entered_on", "left_on", "move"),
}
"""The columns of the counted tables in the order in which their rows are made: the person, then what is counted."""


class Mark(NamedTuple):
    """Somebody to be looked at, and which transactions had ended and begun when the mark was read."""

    person: str
    number: int
    ended_below: int
    begun_below: int


def fact_effect(person: str, version: int, fact: Fact) -> Effect:
    """One version of a fact; in any order, and as often as they come, the same versions leave the same row."""
    values = (fact.at, fact.begun_at, fact.ended_at, fact.what, fact.about, fact.path, fact.amount)
    return Effect("care_fact", (person, fact.kind, fact.source, version, fact.status, *values))


def person_effect(person: str, version: int, active: bool, strata: Person) -> Effect:
    """Where a registered person belongs; an older version changes nothing."""
    return Effect("care_person", (person, version, active, *strata))


def fact_of(row: Any) -> Fact:
    """A stored fact as the rules take it."""
    return Fact(*(row[name] for name in Fact._fields))


def person_of(row: Any) -> Person:
    """A stored person as the rules take it."""
    return Person(*(row[name] for name in Person._fields))
