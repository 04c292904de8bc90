"""Puts a decision into plain words, for the clinician and for the person, in every language of the policy."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stepwell_routing.rules.expressions import Scalar
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.rule_reading import Rule
from stepwell_routing.rules.tiers import Tier

TOLD = frozenset({"modify", "pause", "input", "track", "informed-choice", "add-option", "first-option", "exit"})
"""What a person hears of besides the step itself."""
KEEPS = frozenset({"keep"})
"""That a step goes on is told where that decides: beside another reason the step may be another one, up or down."""


class Told(NamedTuple):
    """What fills the placeholders: of the rules what is known, `step` the one in which care has begun; of the closing
    words the step that is proposed."""

    words: Mapping[str, Scalar]
    closing: Mapping[str, Scalar]


def clinician_reason(
    policy: Policy,
    deciding: Rule,
    fired: Sequence[Rule],
    floors: Sequence[int],
    values: Told,
    not_known: tuple[str, ...],
) -> dict[str, str]:
    """What waits, what decided, the highest floor of each other domain, then the review and what is not known."""
    closing_values = {**values.closing, "not_known": ", ".join(not_known) or "-"}
    told = _told(deciding, fired, floors)
    return {
        language: " ".join(
            [*[rule.clinician[language].fill(values.words) for rule in told], closing.fill(closing_values)]
        )
        for language, closing in policy.closing_clinician.items()
    }


def patient_reason(
    policy: Policy,
    deciding: Rule,
    fired: Sequence[Rule],
    tier: Tier,
    values: Told,
    *,
    waiting: Sequence[Rule],
    on_hold: bool,
) -> dict[str, str]:
    """Why, what the tier offers, when it is looked at again and how to say no; while safety is open, only that.

    `waiting` are the rules that let the whole step rest.
    """
    if on_hold:
        told = [rule for rule in fired if rule.holds or rule in waiting] or [deciding]
    else:
        told = [rule for rule in fired if rule.stage == "safety" and rule is not deciding]
        told.append(deciding)
        told += [rule for rule in fired if rule.moves and not rule.kinds.isdisjoint(TOLD) and rule not in told]
    return {
        language: " ".join(
            [
                *[rule.patient[language].fill(values.words) for rule in told],
                *([] if on_hold else [tier.offer[language]]),
                closing.fill(values.closing),
            ]
        )
        for language, closing in policy.closing_patient.items()
    }


def _told(deciding: Rule, fired: Sequence[Rule], floors: Sequence[int]) -> list[Rule]:
    """The rules worth telling a clinician, in the policy's order but with the deciding one right after safety."""
    highest: dict[str, int] = {}
    for index, rule in enumerate(fired):
        if rule.domain is not None and (rule.domain not in highest or floors[index] > floors[highest[rule.domain]]):
            highest[rule.domain] = index
    kept = {fired[index].code for index in highest.values()}
    safety = [rule for rule in fired if rule.stage == "safety" and rule is not deciding]
    others = [
        rule
        for rule in fired
        if rule is not deciding
        and rule.stage != "safety"
        and (rule.code in kept or (rule.stage != "proposal" and not rule.domain and rule.kinds != KEEPS))
    ]
    holding = [rule for rule in fired if rule.stage == "proposal" and rule.holds and rule is not deciding]
    return [*safety, deciding, *holding, *others]
