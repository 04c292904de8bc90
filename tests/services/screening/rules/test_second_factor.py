"""Somebody is who they say when they know what the record has of them; a record without it proves nobody."""

from typing import Any

import pytest
from stepwell_screening.rules.second_factor import FACTORS, birth_date_of, is_on_record, is_proved

PERSON: dict[str, Any] = {
    "birthDate": "1980-03-05",
    "address": [{"city": "Example"}, {"postalCode": "AB1 2CD"}],
    "telecom": [{"system": "email", "value": "1234@example.org"}, {"system": "phone", "value": "(0) 555-01 99"}],
}


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("given", ["", " ", "-", "0", "None"])
def test_a_record_without_the_fact_proves_nobody(factor: str, given: str) -> None:
    for person in ({}, {"birthDate": "1980-03", "telecom": [{"system": "phone", "value": "12"}], "address": [{}]}):
        assert not is_on_record(factor, person)
        assert not is_proved(factor, person, given)


@pytest.mark.parametrize(
    ("factor", "given", "proved"),
    [
        ("birth-date", "1980-03-05", True),
        ("birth-date", "1980-05-03", False),
        ("birth-date", "1980", False),
        ("birth-date", "", False),
        ("postal-code", "ab1-2cd", True),
        ("postal-code", "AB1", False),
        ("phone-digits", "0199", True),
        ("phone-digits", "1234", False),
        ("phone-digits", "199", False),
    ],
)
def test_the_whole_fact_proves_and_nothing_less(factor: str, given: str, *, proved: bool) -> None:
    assert is_on_record(factor, PERSON)
    assert is_proved(factor, PERSON, given) is proved


def test_a_fact_that_no_site_can_choose_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="birth-date"):
        is_proved("shoe-size", PERSON, "43")


def test_a_date_in_three_parts_is_a_date() -> None:
    assert birth_date_of(" 5", "3", "1980") == "1980-03-05"
    assert birth_date_of("", "", "") == "0000-00-00"
