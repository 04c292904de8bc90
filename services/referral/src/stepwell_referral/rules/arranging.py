"""Which barriers a place leaves open for a person, and what support answers each. Pure.

A barrier is answered by a way of meeting, by what the place gives, or by support that somebody arranges; it never leads
to another tier (pathways rule 10). What answers which barrier is data (matching.json).
"""

from dataclasses import dataclass

from stepwell_referral.rules.matching import Need, Parameters, Profile
from stepwell_referral.rules.matching.fitting import INTERPRETER, fit
from stepwell_referral.rules.matching.scoring import Scorer

LANGUAGE = "language"


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A barrier for which somebody arranges support: any of `supports` answers it, the likeliest first. `frequency` is
    how often it gets in the way, "" where only an interpreter was asked for."""

    barrier: str
    frequency: str
    supports: tuple[str, ...]


def to_arrange(need: Need, profile: Profile, parameters: Parameters) -> tuple[Arrangement, ...]:
    """The barriers that a place of this profile leaves open in the way of meeting that fits the person best there."""
    modality = Scorer(need, parameters).points(profile)[1].modality
    return tuple(
        Arrangement(barrier, need.barriers.get(barrier, ""), _options(barrier, support, parameters))
        for barrier, support in fit(need, profile, modality, parameters).arranged
    )


def _options(barrier: str, support: str, parameters: Parameters) -> tuple[str, ...]:
    if barrier == LANGUAGE and support == INTERPRETER:
        return (support,)
    return parameters.remedies[barrier].supports
