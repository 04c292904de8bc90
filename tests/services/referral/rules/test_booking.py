"""Promises of the rules of booking: places, states of an Appointment, reminders, and what a missed one leads to."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_referral.rules.booking import (
    INITIAL,
    STATUSES,
    TABLE,
    TERMINAL,
    Claim,
    Refusal,
    Taken,
    after_missed,
    check_ending,
    check_move,
    check_telehealth,
    free_places,
    hold_until,
    next_reminder,
    series_starts,
    slot_status,
    take_place,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SOON, PAST = NOW + timedelta(minutes=5), NOW - timedelta(seconds=1)


def taken(*claims: Claim, places: int = 1, person: str = "p", appointment: str = "new") -> Taken | Refusal:
    return take_place(claims, places, person, appointment, NOW)


def test_a_place_that_somebody_has_is_refused() -> None:
    for until in (None, SOON):
        found = taken(Claim(1, "other", "q", until))
        assert (found.outcome, found.rule) == ("refused", "BOOK-FULL")


def test_nobody_gets_two_places_of_one_slot() -> None:
    assert taken(Claim(1, "other", "p", None), places=3).rule == "BOOK-TWICE"


def test_an_own_hold_that_has_lapsed_is_no_claim() -> None:
    assert taken(Claim(1, "new", "p", PAST)).rule == "BOOK-LAPSED"


def test_a_lapsed_hold_of_somebody_else_is_ended_and_its_place_given() -> None:
    lapsed = Claim(1, "other", "q", NOW)
    found = taken(lapsed, Claim(2, "third", "r", None), places=2)
    assert isinstance(found, Taken)
    assert (found.place, found.free, found.lapsed) == (1, 0, (lapsed,))


def test_what_an_appointment_has_it_keeps() -> None:
    found = taken(Claim(2, "new", "p", SOON), Claim(1, "other", "q", None), places=2)
    assert isinstance(found, Taken)
    assert (found.place, found.free) == (2, 0)


CLAIMS = st.lists(
    st.builds(Claim, st.integers(1, 4), st.uuids().map(str), st.uuids().map(str), st.sampled_from([None, SOON, PAST])),
    unique_by=lambda claim: claim.place,
)


@given(CLAIMS, st.integers(1, 4))
def test_a_slot_never_has_more_people_than_places_and_says_what_it_is(claims: list[Claim], places: int) -> None:
    inside = [claim for claim in claims if claim.place <= places]
    live = [claim for claim in inside if not claim.has_lapsed(NOW)]
    found = take_place(inside, places, "p", "new", NOW)
    assert (found.outcome == "taken") == (len(live) < places) == (slot_status(inside, places, NOW) == "free")
    assert free_places(inside, places, NOW) == places - len(live)
    if isinstance(found, Taken):
        assert found.place not in {claim.place for claim in live}
        assert found.place <= places


def test_what_is_only_held_is_tentative() -> None:
    assert slot_status([Claim(1, "a", "p", SOON)], 1, NOW) == "busy-tentative"
    assert slot_status([Claim(1, "a", "p", None)], 1, NOW) == "busy"


def test_every_move_that_is_not_in_the_table_is_refused_with_what_is_allowed() -> None:
    for before in STATUSES:
        for after in STATUSES:
            found = check_move(before, after)
            assert (found is None) == (before == after or after in TABLE.get(before, ()))
            assert found is None or found.allowed == TABLE.get(before, ())
    for after in STATUSES:
        assert (check_move(None, after) is None) == (after in INITIAL)


def test_an_appointment_that_is_over_stays_over_but_for_who_comes_late_after_all() -> None:
    assert {before for before in TERMINAL if TABLE.get(before)} == {"noshow"}
    assert check_move("noshow", "arrived") is None


@pytest.mark.parametrize("seconds", [0, 14401, -5])
def test_a_hold_without_a_fair_end_is_refused(seconds: int) -> None:
    with pytest.raises(ValueError, match="hold"):
        hold_until(NOW, seconds, 14400)
    assert hold_until(NOW, 15, 14400) == NOW + timedelta(seconds=15)


def test_no_private_space_means_no_remote_session_and_not_asked_is_not_no() -> None:
    refused = check_telehealth(is_remote=True, private_space=False)
    assert refused is not None
    assert refused.rule == "BOOK-PRIVATE-SPACE"
    assert check_telehealth(is_remote=True, private_space=None) is None
    assert check_telehealth(is_remote=False, private_space=False) is None


def test_reminders_that_are_in_the_past_are_left_out() -> None:
    start = NOW + timedelta(hours=100)
    assert next_reminder(start, [24, 72], NOW) == (1, start - timedelta(hours=72))
    assert next_reminder(start, [24, 72], NOW, sent=1) == (2, start - timedelta(hours=24))
    assert next_reminder(start, [24, 72], start - timedelta(hours=30)) == (2, start - timedelta(hours=24))
    assert next_reminder(start, [24, 72], start - timedelta(hours=1)) is None


def test_a_series_has_fixed_intervals() -> None:
    week = timedelta(days=7)
    assert series_starts(NOW, 3, week) == [NOW, NOW + week, NOW + 2 * week]


def test_a_missed_appointment_leads_to_outreach_and_ends_nothing() -> None:
    assert (after_missed(NOW, 48).outcome, after_missed(NOW, 48).due_by) == ("outreach", NOW + timedelta(hours=48))
    for after in ("failed", "cancelled", "rejected"):
        for reasons in ((True, False), (False, True)):
            found = check_ending(after, missed_alone=reasons[0], outreach_open=reasons[1])
            assert found is not None
            assert found.rule == "BOOK-NO-DISCHARGE"
        assert check_ending(after, missed_alone=False, outreach_open=False) is None
    assert check_ending("in-progress", missed_alone=True, outreach_open=True) is None
