"""What supports a person from the day of the referral until the place begins: light, at once, and safe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InterimOffer:
    """One kind of support while waiting. `title` and `text` are by language; `unguided` means that nobody is with the
    person while they use it; `check_in_days` is how often somebody asks how they are."""

    code: str
    tiers: frozenset[str]
    unguided: bool
    check_in_days: int
    title: Mapping[str, str]
    text: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class InterimDecision:
    """Outcome is `offered` or `none`."""

    outcome: str
    reason: str
    rule: str
    offer: InterimOffer | None = None


def choose_interim(tier: str, offers: Sequence[InterimOffer], *, safety_open: bool = False) -> InterimDecision:
    """The first offer for this tier that is safe for this person.

    While a safety item is open nothing unguided is offered (safety rules SAF-1, SAF-2, SAF-4): the first guided offer
    takes its place.
    """
    fitting = [offer for offer in offers if tier in offer.tiers]
    safe = [offer for offer in fitting if not (safety_open and offer.unguided)]
    if not safe:
        return InterimDecision("none", f"No interim support is set up for {tier}.", "INTERIM-NONE")
    if safe[0] != fitting[0]:
        reason = "A safety item is open: support with a person instead of unguided self-help."
        return InterimDecision("offered", reason, "INTERIM-GUIDED", safe[0])
    return InterimDecision("offered", f"The first offer for people who wait for {tier} care.", "INTERIM-FIRST", safe[0])
