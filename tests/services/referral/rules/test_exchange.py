"""Promises of what partners are told, and of what their news do: by version, never backwards, never by a clock."""

import itertools

import pytest
from stepwell_referral.rules.exchange import BUSINESS_STATES, Message, Step, business_state, follow, message_for
from stepwell_referral.rules.transitions import STATUSES, TERMINAL


@pytest.mark.parametrize(
    "status", [each for each in STATUSES if each not in ("requested", "cancelled", "entered-in-error")]
)
@pytest.mark.parametrize("partner_status", [None, *STATUSES])
def test_nothing_is_sent_but_what_was_asked_for_or_taken_back(status: str, partner_status: str | None) -> None:
    assert message_for(status, partner_status).outcome is Message.NOTHING


def test_a_referral_is_sent_until_the_partner_has_it() -> None:
    assert message_for("requested", None).outcome is Message.REFERRAL
    assert all(message_for("requested", each).outcome is Message.NOTHING for each in STATUSES)


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_what_is_closed_there_is_not_taken_back_again(status: str) -> None:
    told = {each: message_for(status, each).outcome for each in (None, *STATUSES)}
    assert {each for each, outcome in told.items() if outcome is Message.NOTHING} == TERMINAL
    assert {outcome for each, outcome in told.items() if each not in TERMINAL} == {Message.CANCELLATION}


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("partner_status", STATUSES)
def test_news_that_are_known_or_older_do_nothing(partner_status: str, version: int) -> None:
    assert follow("accepted", 3, partner_status, version).outcome is Step.NOTHING


@pytest.mark.parametrize("status", sorted(TERMINAL))
@pytest.mark.parametrize("partner_status", STATUSES)
def test_what_is_closed_here_stays_closed_whatever_the_partner_says(status: str, partner_status: str) -> None:
    assert follow(status, 1, partner_status, 2).outcome is Step.NOTE


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_in_whatever_order_news_come_the_newest_stands(order: tuple[int, ...]) -> None:
    news = [("requested", 1), ("accepted", 2), ("in-progress", 4), ("on-hold", 7)]
    status, known = "requested", 0
    for index in (*order, *order):
        told, version = news[index]
        outcome = follow(status, known, told, version).outcome
        if outcome is not Step.NOTHING:
            known = version
        if outcome is Step.FOLLOW:
            status = told
    assert (status, known) == ("on-hold", 7)


@pytest.mark.parametrize("status", STATUSES)
def test_what_was_said_of_an_earlier_state_is_not_said_of_this_one(status: str) -> None:
    possible = BUSINESS_STATES.get(status, ())
    every = {code for codes in BUSINESS_STATES.values() for code in codes}
    assert all(business_state(status, [code]) == code for code in possible)
    assert {business_state(status, [code]) for code in every - set(possible)} == {next(iter(possible), None)}


def test_every_status_that_a_partner_hears_of_has_a_business_state() -> None:
    assert set(STATUSES) - set(BUSINESS_STATES) == {"draft", "ready", "entered-in-error"} & set(STATUSES)
    assert [business_state(each, []) for each in ("requested", "accepted", "rejected", "cancelled", "completed")] == [
        *("2.0", "3.0", "4.0", "6.0", "7.0")
    ]


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_an_erasure_is_told_whatever_is_known(status: str) -> None:
    assert {message_for(status, each, is_erased=True).outcome for each in (None, *STATUSES)} == {Message.ERASURE}
