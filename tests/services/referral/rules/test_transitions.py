"""Promises of the Task state machine: every cell of the table, for either side, asked or not asked to cancel."""

import itertools

import pytest
from stepwell_referral.rules.transitions import (
    INITIAL,
    STATUSES,
    TABLE,
    TERMINAL,
    Actor,
    allowed_targets,
    check_transition,
    service_request_status,
)

# Written out once more by hand, so that a slip in the table cannot confirm itself.
REQUESTER = {
    "draft": {"requested", "cancelled"},
    "requested": {"cancelled"},
    "received": {"cancelled"},
    "accepted": {"cancelled"},
    "in-progress": {"cancelled"},
    "on-hold": {"cancelled"},
}
OWNER = {
    "requested": {"received", "accepted", "rejected"},
    "received": {"accepted", "rejected"},
    "accepted": {"in-progress", "on-hold", "cancelled", "failed"},
    "in-progress": {"completed", "failed", "on-hold"},
    "on-hold": {"in-progress", "accepted", "cancelled"},
}
OWNER_ONCE_ASKED = {"requested", "received", "accepted", "in-progress", "on-hold"}


def expected(before: str, actor: Actor, cancel_requested: bool) -> set[str]:
    if actor is Actor.REQUESTER:
        return REQUESTER.get(before, set())
    extra = {"cancelled"} if cancel_requested and before in OWNER_ONCE_ASKED else set()
    return OWNER.get(before, set()) | extra


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("actor", Actor)
@pytest.mark.parametrize("cancel_requested", [False, True])
def test_exactly_the_moves_of_the_table_pass(before: str, actor: Actor, cancel_requested: bool) -> None:
    allowed = expected(before, actor, cancel_requested)
    for after in STATUSES:
        refusal = check_transition(before, after, actor, cancel_requested=cancel_requested)
        if after == before or after in allowed:
            assert refusal is None
        else:
            assert refusal is not None
            assert set(refusal.allowed) == allowed
            assert refusal.outcome == "refused"
            assert refusal.reason


def test_a_closed_task_refuses_every_move_and_says_to_make_a_new_one() -> None:
    for before, actor in itertools.product(TERMINAL, Actor):
        refusal = check_transition(before, "requested", actor)
        assert refusal is not None
        assert refusal.rule == "TASK-TERMINAL"
        assert refusal.allowed == ()


def test_a_move_of_the_other_side_is_refused_for_who_not_for_what() -> None:
    refusal = check_transition("requested", "accepted", Actor.REQUESTER)
    assert refusal is not None
    assert refusal.rule == "TASK-ACTOR"
    assert refusal.allowed == ("cancelled",)


def test_a_stranger_may_move_nothing() -> None:
    for before, after in itertools.product([None, *STATUSES], STATUSES):
        refusal = check_transition(before, after, "stranger", cancel_requested=True)
        assert before == after or (refusal is not None and refusal.allowed == ())


@pytest.mark.parametrize(("before", "after"), [("draft", "done"), ("banana", "requested"), ("draft", "")])
def test_an_unknown_status_is_refused(before: str, after: str) -> None:
    refusal = check_transition(before, after, Actor.REQUESTER)
    assert refusal is not None
    assert refusal.rule == "TASK-STATUS"


def test_a_jump_over_a_state_is_refused() -> None:
    refusal = check_transition("requested", "completed", Actor.OWNER)
    assert refusal is not None
    assert refusal.rule == "TASK-TRANSITION"


def test_a_task_begins_as_draft_or_requested_and_by_its_requester() -> None:
    for after in STATUSES:
        assert (check_transition(None, after, Actor.REQUESTER) is None) == (after in INITIAL)
        assert check_transition(None, after, Actor.OWNER) is not None


def test_every_open_state_reaches_an_end() -> None:
    reachable = {before: {after for start, after in TABLE if start == before} for before in STATUSES}
    for before in {start for start, _ in TABLE}:
        seen, frontier = {before}, {before}
        while frontier:
            frontier = set().union(*(reachable[status] for status in frontier)) - seen
            seen |= frontier
        assert seen & TERMINAL


def test_no_move_leaves_a_terminal_state() -> None:
    assert not {before for before, _ in TABLE} & TERMINAL
    assert allowed_targets("completed", Actor.OWNER, cancel_requested=True) == ()


def test_the_service_request_follows_only_request_cancellation_and_completion() -> None:
    followed = {after: service_request_status(after) for after in STATUSES}
    assert {after: status for after, status in followed.items() if status} == {
        "requested": "active",
        "cancelled": "revoked",
        "completed": "completed",
    }
