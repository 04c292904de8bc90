"""Promises of what a ServiceRequest means for its Task: nothing starts that is not authorised, nothing is lost."""

import pytest
from stepwell_referral.rules.authorisation import Step, authorises, next_step
from stepwell_referral.rules.transitions import STATUSES, Actor, actors_of


@pytest.mark.parametrize("status", ["draft", "on-hold", "unknown"])
@pytest.mark.parametrize("intent", ["proposal", "plan", "order"])
@pytest.mark.parametrize("task", [None, *STATUSES])
def test_a_request_that_is_not_active_starts_and_moves_nothing(status: str, intent: str, task: str | None) -> None:
    assert next_step(status, intent, task).outcome is Step.NOTHING
    assert not authorises(status, intent)


@pytest.mark.parametrize("intent", ["proposal", "directive", "option"])
def test_without_an_accepted_plan_nothing_is_requested(intent: str) -> None:
    assert not authorises("active", intent)
    for task in (None, *STATUSES):
        assert next_step("active", intent, task, priority_changed=True).outcome is not Step.REQUEST


@pytest.mark.parametrize("task", [status for status in STATUSES if status != "draft"])
def test_what_is_under_way_or_ended_is_not_requested_again(task: str) -> None:
    assert next_step("active", "plan", task).outcome is Step.NOTHING
    assert next_step("active", "proposal", task, priority_changed=True).outcome is Step.NOTHING


@pytest.mark.parametrize("task", STATUSES)
def test_re_triage_renews_what_waits_and_nothing_else(task: str) -> None:
    found = next_step("active", "plan", task, priority_changed=True)
    waits = task in {"requested", "received", "accepted", "on-hold"}
    assert found.outcome is (Step.REQUEST if task == "draft" else Step.RENEW if waits else Step.NOTHING)


def test_a_proposal_is_prepared_and_prepared_anew_when_its_priority_changes() -> None:
    assert next_step("active", "proposal", None).outcome is Step.PREPARE
    assert next_step("active", "proposal", "draft").outcome is Step.NOTHING
    assert next_step("active", "proposal", "draft", priority_changed=True).outcome is Step.RENEW


@pytest.mark.parametrize("intent", ["plan", "order"])
@pytest.mark.parametrize("task", [None, "draft"])
def test_an_accepted_plan_is_requested_whether_or_not_its_draft_came(intent: str, task: str | None) -> None:
    assert next_step("active", intent, task).outcome is Step.REQUEST


@pytest.mark.parametrize("status", ["revoked", "entered-in-error", "completed"])
@pytest.mark.parametrize("task", ["received", "accepted", "in-progress", "on-hold"])
def test_what_a_place_has_taken_up_is_ended_by_people_who_are_told(status: str, task: str) -> None:
    assert next_step(status, "plan", task).outcome is Step.TELL


@pytest.mark.parametrize("status", ["revoked", "entered-in-error", "completed"])
def test_a_withdrawn_request_takes_back_only_what_nobody_has_taken_up(status: str) -> None:
    cancelled = {task for task in STATUSES if next_step(status, "plan", task).outcome is Step.CANCEL}
    assert cancelled == {"draft", "requested"}
    assert next_step(status, "proposal", None).outcome is Step.NOTHING


@pytest.mark.parametrize(
    ("roles", "sides"),
    [
        ((), {Actor.REQUESTER}),
        (("clinician",), {Actor.REQUESTER}),
        (("coordinator",), {Actor.OWNER}),
        (("community-health-worker",), {Actor.OWNER}),
        (("service",), {Actor.OWNER}),
        (("clinician", "coordinator"), {Actor.REQUESTER, Actor.OWNER}),
        (("analyst",), {Actor.REQUESTER}),
    ],
)
def test_a_client_acts_for_the_sides_of_its_roles(roles: tuple[str, ...], sides: set[Actor]) -> None:
    assert actors_of(roles) == sides
