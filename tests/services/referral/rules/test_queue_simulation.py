"""A synthetic year at services of several kinds: promises are kept as often as they say, urgent need is seen in time,
and nobody is passed without a reason that is true."""

from datetime import timedelta
from functools import cache
from random import Random

import pytest
from stepwell_referral import data
from stepwell_referral.rules.queue import Entry

from tests.services.referral.rules.queue_simulation import LOADS, Given, Load, Person, Service

SEEDS = (1, 2, 5)
LARGE = tuple(load for load in LOADS if load.name != "small and unreliable")
(SMALL,) = (load for load in LOADS if load.name == "small and unreliable")


@cache
def simulated(load: Load, seed: int) -> Service:
    return Service(load, Random(seed)).run()


def share_kept(people: list[Person]) -> float:
    kept = [each.settled_kept for each in people if each.settled_kept is not None]
    assert len(kept) > 150
    return sum(kept) / len(kept)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("load", LARGE, ids=lambda load: load.name)
def test_the_bound_holds_for_nine_in_ten_people_of_a_year(load: Load, seed: int) -> None:
    assert 0.85 <= share_kept(list(simulated(load, seed).year())) <= 0.95


def test_the_bound_of_a_small_service_holds_over_several_years() -> None:
    """A small service has few waits in a year that do not overlap, so one year alone says little."""
    people = [person for seed in range(6) for person in simulated(SMALL, seed).year()]
    assert 0.85 <= share_kept(people) <= 0.95


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.name)
def test_urgent_need_begins_within_its_longest_wait(load: Load) -> None:
    limit = data.queue_parameters().maximum_wait["urgent"]
    people = [person for seed in SEEDS for person in simulated(load, seed).year() if person.entry.priority == "urgent"]
    begun = [person.begun_at - person.entry.entered_at for person in people if person.begun_at is not None]
    assert len(begun) > 20
    assert max(begun) <= limit


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.name)
def test_nobody_is_passed_without_a_reason_that_is_true(load: Load) -> None:
    reasons = set()
    for given in simulated(load, SEEDS[0]).given:
        reasons |= {untrue_or_code(given, each) for each in came_before(given)}
    assert reasons <= {each["code"] for each in data.queue_data()["overtaking"]}
    assert {"QUEUE-URGENCY", "QUEUE-SLOT-FIT"} <= reasons


def came_before(given: Given) -> list[Entry]:
    chosen = given.allocation.entry
    assert chosen is not None
    return [each for each in given.waiting if each.entered_at < chosen.entered_at]


def untrue_or_code(given: Given, passed: Entry) -> str:
    """The code that was stated for somebody who was passed, if what it says is so; worked out without the rule."""
    chosen = given.allocation.entry
    assert chosen is not None
    stated = {each.entry.task_id: each.rule for each in given.allocation.overtaken}
    code = stated.get(passed.task_id, "nothing stated")
    true = {
        "QUEUE-URGENCY": chosen.priority == "urgent" and passed.priority == "routine",
        "QUEUE-SLOT-FIT": bool(given.opening.asks & passed.unable),
        "QUEUE-FAIRNESS": chosen.priority == passed.priority and chosen.overtaken > passed.overtaken,
        "QUEUE-AGEING": given.at - passed.entered_at > timedelta(0) and chosen.priority != passed.priority,
    }
    return code if true.get(code, False) else f"untrue: {code}"
