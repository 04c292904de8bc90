"""Promises of loads by stratum: they add up to the loads of the report, and a wait is said where it is known."""

from dataclasses import replace

import pytest
from stepwell_routing.rules.simulation import Frame, Report, Tally, count, published
from stepwell_routing.rules.statistics import Capacity
from stepwell_routing.rules.stratum_load import loads_by_stratum
from stepwell_routing.rules.synthetic import people

from tests.services.routing.rules.shipped import NOW, POLICY
from tests.services.routing.rules.test_simulation import ASSUMPTIONS, PROMISES


def report(capacities: dict[str, Capacity]) -> Report:
    tally = Tally()
    for person in people([POLICY], ASSUMPTIONS, 2, 400, NOW):
        count(tally, person, POLICY, POLICY, PROMISES)
    found = published(tally, POLICY, POLICY, Frame(10, capacities, 4, 1))
    assert found is not None
    return found


def test_arrivals_of_the_strata_are_those_of_the_steps() -> None:
    found = report({})
    whole = {load.steps: load.arrivals_per_week for load in found.load}
    for strata in loads_by_stratum(found).values():
        for steps, arrivals in whole.items():
            assert sum(dict(each.arrivals)[steps] for each in strata) == pytest.approx(arrivals)
        assert all(each.wait_weeks is None for each in strata)


def test_a_wait_is_the_mean_over_the_steps_and_unknown_where_one_of_them_is() -> None:
    capacities = {step.code: Capacity(5, 10) for step in POLICY.steps}
    found = report(capacities)
    waits = [load.queue.wait_weeks[-1] for load in found.load if load.queue]
    known = [wait for wait in waits if wait is not None]
    for strata in loads_by_stratum(found).values():
        assert all(min(known) <= each.wait_weeks <= max(known) for each in strata if each.wait_weeks is not None)
        assert any(each.wait_weeks is not None for each in strata)
    without = replace(found, load=found.load[1:])
    assert all(each.wait_weeks is None for strata in loads_by_stratum(without).values() for each in strata)
