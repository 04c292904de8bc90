"""What a policy would ask of each step's places by stratum, and how long people of a stratum would wait. Pure.

Computed from what a report publishes anyway, small groups merged and counts rounded: nothing new can be subtracted.
"""

from collections.abc import Mapping
from typing import NamedTuple

from stepwell_routing.rules.disclosure import Labels
from stepwell_routing.rules.simulation import Report


class StratumLoad(NamedTuple):
    """People of these values: arrivals a week at each step, and the wait at the end, in weeks, of who comes then.

    The wait is the mean over their steps; None where no capacity was given for one of them, or nobody ever begins.
    """

    values: Labels
    arrivals: tuple[tuple[Labels, float], ...]
    wait_weeks: float | None


def loads_by_stratum(report: Report) -> Mapping[str, tuple[StratumLoad, ...]]:
    """The loads by dimension. Everybody at a step waits in one line, whichever stratum they belong to."""
    waits = {load.steps: load.queue.wait_weeks[-1] for load in report.load if load.queue and load.queue.wait_weeks}
    found = {}
    for dimension, strata in report.strata.items():
        found[dimension] = tuple(
            StratumLoad(
                stratum.values,
                tuple((mix.steps, mix.people / report.weeks) for mix in stratum.proposed),
                _mean([(mix.people, waits.get(mix.steps)) for mix in stratum.proposed if mix.people]),
            )
            for stratum in strata
        )
    return found


def _mean(weighted: list[tuple[int, float | None]]) -> float | None:
    known = [(people, wait) for people, wait in weighted if wait is not None]
    people = sum(each for each, _ in known)
    return sum(each * wait for each, wait in known) / people if people and len(known) == len(weighted) else None
