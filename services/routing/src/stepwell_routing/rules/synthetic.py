"""People who do not exist, to try a policy on: made from a seed by stated assumptions, so that anybody can repeat it.

Nothing here is an estimate of any population. Values spread over the whole range of each measure, so that every rule
is reached; how many come out at a step says something about the policy, and nothing about the people of a site.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from stepwell_routing.rules.evidence import Evidence, EvidenceValue, RiskState
from stepwell_routing.rules.evidence_names import Known, known
from stepwell_routing.rules.expressions import Kind, Scalar
from stepwell_routing.rules.policies import Input, Policy
from stepwell_routing.rules.simulation import Person

SOURCE = "urn:uuid:00000000-0000-4000-8000-000000000000"
"""What synthetic evidence refers to: nothing that exists."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """The numbers of the generator; every one is a product default without a source, and is shown with the figures."""

    missing_share: float
    own_share: float
    safety_open_share: float
    safety_unanswered_share: float
    risk_levels: Mapping[str, float]
    flag_share: float
    strata: Mapping[str, Sequence[str]]


def people(
    policies: Sequence[Policy], assumptions: Assumptions, seed: int, many: int, now: datetime
) -> Iterator[Person]:
    """So many people with what these policies ask for; the same seed always gives the same ones."""
    random = Random(seed)  # noqa: S311 - a repeatable sequence is the point, nothing secret comes of it
    inputs = {item.name: item for policy in policies for item in policy.inputs}
    declared = [(item, listed) for name, item in sorted(inputs.items()) if (listed := known(name)) is not None]
    for _ in range(many):
        yield _person(random, declared, assumptions, now)


def _person(random: Random, declared: Sequence[tuple[Input, Known]], assumptions: Assumptions, now: datetime) -> Person:
    burden = random.random()
    values = {}
    for item, listed in declared:
        if random.random() < assumptions.missing_share or listed.group in _OF_COURSE:
            continue
        value = _value(random, listed, burden, assumptions)
        if value is not None:
            values[item.name] = EvidenceValue(value, now - timedelta(days=random.randrange(14)), SOURCE)
    strata = {dimension: random.choice(names) for dimension, names in assumptions.strata.items()}
    return Person(Evidence(values, _risk(random, assumptions)), now, strata)


# What belongs to care that has begun; everybody here is at the door.
_OF_COURSE = frozenset({"step", "agreement", "attendance"})


def _value(random: Random, listed: Known, burden: float, assumptions: Assumptions) -> Scalar | None:
    """A value that lies as far towards the worse end as the person's burden and chance together have it."""
    if listed.kind is Kind.BOOLEAN:
        return random.random() < assumptions.flag_share
    if listed.kind is Kind.STRING:
        return random.choice(listed.values) if listed.values else None
    if listed.minimum is None or listed.maximum is None:
        return None
    share = (1 - assumptions.own_share) * burden + assumptions.own_share * random.random()
    if listed.worse < 0:
        share = 1 - share
    scale: int = 10**listed.decimals
    tenths = listed.minimum * scale + round(share * (listed.maximum - listed.minimum) * scale)
    return tenths if scale == 1 else Decimal(tenths) / scale


def _risk(random: Random, assumptions: Assumptions) -> RiskState:
    drawn = random.random()
    if drawn < assumptions.safety_open_share:
        return RiskState(positive_item_open=True)
    if drawn < assumptions.safety_open_share + assumptions.safety_unanswered_share:
        return RiskState(unanswered_item_open=True)
    drawn = random.random()
    for level, share in assumptions.risk_levels.items():
        if drawn < share:
            return RiskState(level=level, reference=SOURCE)
        drawn -= share
    return _NO_RISK


_NO_RISK = RiskState()
