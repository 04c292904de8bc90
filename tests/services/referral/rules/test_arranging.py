"""Promises about supports: what a place answers itself is asked of nobody, and nothing that is open is forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_referral.data.directory import parameters
from stepwell_referral.rules.arranging import to_arrange
from stepwell_referral.rules.matching import FREE, OFTEN, Need, Profile

BARRIERS = sorted(parameters().remedies)


@pytest.mark.parametrize(
    ("profile", "barrier"),
    [
        (Profile(modalities=frozenset({"telehealth"})), "transport"),
        (Profile(supports=frozenset({"flexible-hours"})), "caregiving"),
        (Profile(price=FREE), "income"),
        (Profile(languages=frozenset({"de"})), "language"),
    ],
)
def test_what_the_place_answers_itself_is_asked_of_nobody(profile: Profile, barrier: str) -> None:
    assert to_arrange(Need(languages=("de",), barriers={barrier: OFTEN}), profile, parameters()) == ()


@given(st.sets(st.sampled_from(BARRIERS)))
def test_a_place_of_which_nothing_is_known_leaves_every_barrier_to_people(barriers: set[str]) -> None:
    found = to_arrange(Need(barriers=dict.fromkeys(barriers, OFTEN)), Profile(), parameters())
    assert {each.barrier for each in found} == barriers
    assert all(each.supports == parameters().remedies[each.barrier].supports for each in found)


def test_who_asked_for_an_interpreter_without_naming_a_barrier_gets_one_arranged() -> None:
    (found,) = to_arrange(Need(languages=("ti",), interpreter=True), Profile(), parameters())
    assert (found.barrier, found.frequency, found.supports) == ("language", "", ("interpreter",))
