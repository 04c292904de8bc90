"""Promises of who sees what on the worklist: what an address may say, where a page begins, what a token reaches."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_referral.use_cases.worklist_reach import chosen_in, cursor_of, owners_granted
from stepwell_referral.worklist_queries import After
from stepwell_shared.fhir.outcome import FhirError

from tests.services.referral.pages.visiting import at_work

ONE = "HealthcareService/a"


@pytest.mark.parametrize(
    "pair",
    [
        ("site", "Patient/p1"),
        ("site", "Location/a b"),
        ("tier", "tier 3"),
        ("service", "../x"),
        ("team", "yours"),
        ("state", "lost"),
        ("sort", "name"),
        ("count", "0"),
        ("count", "101"),
        ("count", "\u0663"),
        ("after", "x"),
        ("after", "MSAyIDM"),
        ("person", "Robin"),
    ],
)
def test_an_address_says_what_the_page_offers_and_nothing_else(pair: tuple[str, str]) -> None:
    with pytest.raises(FhirError) as refused:
        chosen_in([pair])
    assert refused.value.status == 400
    assert "Robin" not in str(refused.value.issues)


@given(st.binary(max_size=60), st.text(max_size=60))
def test_what_is_no_place_on_a_list_is_refused_and_never_fails(raw: bytes, text: str) -> None:
    for each in (text, raw.hex()):
        with suppress(FhirError):  # which is a refusal: nothing else may come of it
            assert chosen_in([("after", each)]).after.id or not each


def test_a_page_begins_after_the_last_line_of_the_one_before() -> None:
    after = After(2, datetime(2026, 11, 21, 9, 0, 0, 123456, tzinfo=UTC), "task-1")
    assert chosen_in([("after", cursor_of(after)), ("sort", "due")]).after == after


@pytest.mark.parametrize(
    "refused",
    [
        at_work("analyst"),
        at_work("patient", patient="p1", fhir_user="Patient/p1"),
        at_work("related-person", fhir_user="RelatedPerson/r1"),
        at_work("outside-organisation", fhir_user="Organization/o1"),
        at_work(scopes="user/Task.s"),
        at_work(scopes="user/Task.rs?status=requested"),
        at_work(scopes=f"user/Task.rs?owner={ONE}&status=requested"),
        at_work(scopes="user/Task.rs?owner=Practitioner/p1"),
        at_work(scopes="user/Patient.rs"),
    ],
    ids=lambda each: f"{each.roles[0]} {each.scopes}"[:60],
)
def test_whoever_may_not_see_every_referral_of_a_service_is_refused(refused: Any) -> None:
    with pytest.raises(FhirError) as error:
        owners_granted(refused)
    assert error.value.status == 403


def test_scopes_of_one_service_reach_that_service_alone() -> None:
    assert owners_granted(at_work(scopes=f"user/Task.rs?owner={ONE}")) == frozenset({ONE})
    assert owners_granted(at_work("coordinator")) is None
