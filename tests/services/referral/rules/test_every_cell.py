"""Every cell of the contract is walked: from each state that can be reached, to each state, by each actor.

The contract is written out by hand in test_loop_machine; what the walk could not reach is named here.
"""

from collections.abc import Callable, Collection, Iterable
from itertools import product

from stepwell_referral.data.intake import refer_nobody, sources
from stepwell_referral.rules.booking import STATUSES as APPOINTMENT_STATUSES
from stepwell_referral.rules.booking import check_move
from stepwell_referral.rules.intake import scope_problems, source_of
from stepwell_referral.rules.support import TABLE as SUPPORT
from stepwell_referral.rules.support import check_support
from stepwell_referral.rules.transitions import STATUSES, TERMINAL, Refusal, check_transition

from tests.services.referral.rules.test_loop_machine import ACTORS, APPOINTMENTS, CONTRACT

Cell = tuple[str, str, str, str]
ASKED = "owner-once-asked"
# R4 knows them, and no move of ours leads there: nothing is ready before it is accepted, and errors are withdrawn.
UNREACHED = {"ready", "entered-in-error"}
# Who may ask for which care from outside, by hand: role, outright, as a proposal.
REFERRERS = {
    "clinician": ({1, 2, 3, 4}, {1, 2, 3, 4}),
    "": ({1, 2, 3, 4}, {1, 2, 3, 4}),
    "community-health-worker": ({1}, {1, 2, 3, 4}),
    "patient": ({1}, {1, 2, 3, 4}),
}
REQUEST_STATUSES = ("draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown")
INTENTS = ("proposal", "plan", "order", "option", "directive")


def walked(
    kind: str,
    statuses: Collection[str],
    actors: Iterable[str],
    refusal: Callable[[str, str, str], object],
    expected: Callable[[str, str], set[str]],
    start: str,
) -> set[Cell]:
    """Every cell that a walk along what succeeds has tried; each succeeds as the contract says."""
    visited: set[Cell] = set()
    reached, pending, among = {start}, [start], list(actors)
    while pending:
        before = pending.pop()
        for actor, after in product(among, statuses):
            refused = refusal(before, after, actor)
            is_allowed = after in expected(before, actor)
            assert (refused is None) is (is_allowed or after == before), (before, after, actor)
            assert refused is None or set(refused.allowed) == expected(before, actor)  # type: ignore[attr-defined]  # either Refusal
            visited.add((kind, before, after, actor))
            if is_allowed and after not in reached:
                reached.add(after)
                pending.append(after)
    return visited


def test_every_move_of_a_task_by_every_actor_is_tried_and_only_the_contract_succeeds() -> None:
    actors = [*ACTORS, ASKED]

    def refused(before: str, after: str, actor: str) -> Refusal | None:
        return check_transition(before, after, actor.removesuffix("-once-asked"), cancel_requested=actor == ASKED)

    def expected(before: str, actor: str) -> set[str]:
        asked = actor == ASKED and before not in TERMINAL and before != "draft"
        return set(CONTRACT.get((before, actor.removesuffix("-once-asked")), ())) | ({"cancelled"} if asked else set())

    visited = walked("Task", STATUSES, actors, refused, expected, "draft")
    reachable = set(STATUSES) - UNREACHED
    assert visited == set(product(["Task"], reachable, STATUSES, actors))


def test_every_move_of_a_task_beside_a_referral_is_tried() -> None:
    def expected(before: str, _: str) -> set[str]:
        return set(SUPPORT.get(before, ()))

    visited = walked("Support", STATUSES, ["team"], lambda before, after, _: check_support(before, after), expected,
                     "requested")  # fmt: skip
    assert {before for _, before, _, _ in visited} == set(STATUSES) - {"draft", "received", *UNREACHED}


def test_every_move_of_an_appointment_is_tried_and_only_the_contract_succeeds() -> None:
    def expected(before: str, _: str) -> set[str]:
        return set(APPOINTMENTS[before])

    visited = walked(
        "Appointment",
        APPOINTMENT_STATUSES,
        ["anybody"],
        lambda before, after, _: check_move(before or None, after),
        expected,
        "",
    )
    assert visited == set(product(["Appointment"], ["", *APPOINTMENT_STATUSES], APPOINTMENT_STATUSES, ["anybody"]))


def test_every_request_from_outside_is_tried_by_every_role_and_only_what_is_in_its_scope_is_taken() -> None:
    visited = set()
    for role, tier, status, intent in product(REFERRERS, (1, 2, 3, 4), REQUEST_STATUSES, INTENTS):
        source = source_of([role] if role else [], sources(), refer_nobody())
        assert source is not None
        outright, proposed = REFERRERS[role]
        allowed = proposed if intent == "proposal" else outright if intent in {"plan", "order"} else set()
        problems = scope_problems(source, f"tier-{tier}", status, intent)
        assert (problems == []) is (status == "active" and tier in allowed), (role, tier, status, intent)
        visited.add((role, tier, status, intent))
    assert len(visited) == len(REFERRERS) * 4 * len(REQUEST_STATUSES) * len(INTENTS)
    assert {each.role for each in sources()} == set(REFERRERS)
