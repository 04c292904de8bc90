"""Promises of the closed loop: no state without a time-out, no No without a next step, nobody left out."""

from datetime import UTC, datetime, timedelta

import pytest
from stepwell_referral.builders.messages import recipients
from stepwell_referral.data.loop import message_policy, reasons, time_outs, words
from stepwell_referral.rules.loop import (
    ASK,
    ELSEWHERE,
    TRANSFERRED,
    Follow,
    Moved,
    Reason,
    first_due,
    follows,
    next_due,
    told,
)
from stepwell_referral.rules.support import TABLE as SUPPORT
from stepwell_referral.rules.support import check_support
from stepwell_referral.rules.transitions import STATUSES, TABLE, TERMINAL

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
CLASSES = ("emergency", "urgent", "routine")
OPEN = sorted({before for before, _ in TABLE})
NO = Reason("no-capacity", ELSEWHERE)


@pytest.mark.parametrize("status", OPEN)
@pytest.mark.parametrize("urgency", CLASSES)
def test_no_open_state_is_without_a_time_at_which_somebody_is_told_and_told_again(status: str, urgency: str) -> None:
    due = first_due(status, urgency, NOW, None, time_outs())
    again = next_due(status, urgency, NOW, time_outs())
    assert due is not None
    assert NOW < due <= NOW + timedelta(weeks=12)
    assert again is not None
    assert NOW < again <= NOW + timedelta(weeks=4)
    assert all(told(status, step, time_outs()) for step in range(5))


@pytest.mark.parametrize("status", OPEN)
def test_the_more_urgent_never_waits_longer_and_each_repetition_tells_one_more(status: str) -> None:
    times = [first_due(status, urgency, NOW, None, time_outs()) for urgency in CLASSES]
    assert times == sorted(each for each in times if each is not None)
    first, second, third, fourth = (told(status, step, time_outs()) for step in range(4))
    assert first == second[:1] == third[:1]
    assert len(first) < len(second) < len(third) == len(fourth)
    assert "coordinator" in third


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_what_has_ended_is_looked_at_no_more(status: str) -> None:
    assert first_due(status, "routine", NOW, None, time_outs()) is None
    assert next_due(status, "routine", NOW, time_outs()) is None
    assert told(status, 0, time_outs()) == ()


def test_a_yes_is_held_to_the_date_that_was_promised_and_never_to_one_that_is_past() -> None:
    promised = NOW + timedelta(days=3)
    assert first_due("accepted", "routine", NOW, promised, time_outs()) == promised
    assert first_due("accepted", "routine", NOW, NOW - timedelta(days=3), time_outs()) == NOW
    assert first_due("requested", "routine", NOW, promised, time_outs()) == NOW + timedelta(hours=96)


@pytest.mark.parametrize("before", ["requested", "received"])
def test_a_no_without_a_known_reason_is_left_to_people(before: str) -> None:
    found = follows(Moved(before, "rejected"))
    assert Follow.TELL_TEAM in found
    assert Follow.REFER_ELSEWHERE not in found


@pytest.mark.parametrize("reason", reasons().values(), ids=lambda reason: reason.code)
def test_every_no_leads_to_another_place_or_to_people_and_the_person_hears(reason: Reason) -> None:
    for before, after in [("requested", "rejected"), ("accepted", "failed"), ("in-progress", "failed")]:
        found = follows(Moved(before, after, reason))
        assert (Follow.REFER_ELSEWHERE in found) is (reason.next == ELSEWHERE)
        assert (Follow.TELL_TEAM in found) is (reason.next == ASK)
        assert Follow.TELL_PERSON in found
        assert Follow.END_INTERIM not in found


def test_what_the_requester_takes_back_goes_nowhere_else_and_a_transfer_does() -> None:
    assert Follow.REFER_ELSEWHERE not in follows(Moved("accepted", "cancelled", NO))
    transferred = follows(Moved("accepted", "cancelled", Reason(TRANSFERRED, ELSEWHERE)))
    assert Follow.REFER_ELSEWHERE in transferred
    assert Follow.END_INTERIM not in transferred


def test_a_partner_looks_after_its_own_people() -> None:
    for status in STATUSES:
        found = follows(Moved("requested", status, NO, is_ours=False))
        assert not {Follow.REFER_ELSEWHERE, Follow.START_INTERIM, Follow.TELL_PERSON, Follow.TELL_TEAM} & set(found)


def test_a_version_that_is_no_move_leads_to_nothing() -> None:
    assert all(follows(Moved(status, status, NO)) == () for status in STATUSES)


def test_support_starts_with_the_request_and_ends_with_the_wait() -> None:
    assert Follow.START_INTERIM in follows(Moved("draft", "requested"))
    assert Follow.START_INTERIM in follows(Moved(None, "requested"))
    assert Follow.START_INTERIM not in follows(Moved("received", "accepted"))
    assert Follow.COMPLETE_INTERIM in follows(Moved("accepted", "in-progress"))
    assert Follow.END_INTERIM in follows(Moved("requested", "cancelled"))


def test_a_part_completes_its_whole_only_as_the_last_one_and_is_never_asked_of_others_by_itself() -> None:
    for after in sorted(TERMINAL):
        alone = follows(Moved("in-progress", after, NO, is_part=True))
        last = follows(Moved("in-progress", after, NO, is_part=True, is_last_part=True))
        assert Follow.COMPLETE_WHOLE not in alone
        assert Follow.COMPLETE_WHOLE in last
        assert Follow.REFER_ELSEWHERE not in last
    assert Follow.TELL_TEAM in follows(Moved("requested", "rejected", NO, is_part=True))
    assert Follow.CANCEL_PARTS in follows(Moved("in-progress", "failed"))


@pytest.mark.parametrize("before", STATUSES)
def test_tasks_beside_a_referral_move_by_their_table_and_say_what_is_allowed(before: str) -> None:
    for after in STATUSES:
        refusal = check_support(before, after)
        allowed = SUPPORT.get(before, frozenset())
        assert (refusal is None) is (after == before or after in allowed)
        assert refusal is None or set(refusal.allowed) == allowed
    assert before not in TERMINAL or before not in SUPPORT


def test_nobody_is_told_nothing_for_want_of_an_owner() -> None:
    task = {"requester": {"type": "Device", "display": "Stepwell routing"}}
    (coordinator,) = recipients(task, ("owner", "requester", "coordinator"))
    assert coordinator["identifier"]["value"] == "coordinator"
    owned = {**task, "owner": {"reference": "HealthcareService/x"}}
    assert recipients(owned, ("owner",)) == [{"reference": "HealthcareService/x"}]


def test_people_read_of_every_reason_and_state_in_every_language() -> None:
    assert set(words()) == {"en", "de", "es", "fr"}
    for said in words().values():
        assert set(said) == set(words()["en"])
        assert set(said["reasons"]) == {*reasons(), "other"}
        assert all(set(said[name]) == set(words()["en"][name]) for name in ("states", "parts"))
        assert said["message_received"].count("{reply_by}") == said["message_busy"].count("{reply_by}") == 1


def test_what_may_travel_over_any_channel_names_no_place_and_no_condition() -> None:
    for said in words().values():
        for text in (said["open"], said["open_urgent"]):
            assert "{" not in text
            assert not {"psych", "depress", "angst", "anxi", "schmerz", "pain", "dolor", "douleur"} & {
                each
                for each in ("psych", "depress", "angst", "anxi", "schmerz", "pain", "dolor", "douleur")
                if each in text.lower()
            }


def test_a_busy_team_promises_later_and_never_refuses() -> None:
    policy = message_policy()
    assert timedelta(0) < policy.reply < policy.reply_busy <= timedelta(weeks=1)
    assert policy.open_max > 0
