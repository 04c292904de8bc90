"""How often clinicians decide otherwise than proposed, by rule, reason and site: where a rule may not fit. Pure.

Published are merged groups alone, as in the equity watch: small ones are put together before anything is counted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from stepwell_shared.proportions import Group, Interval, wilson

from stepwell_routing.rules.disclosure import SMALL_BELOW, Labels, is_safe, merged, partition, regrouped, rounded

NOT_RECORDED = "not-recorded"
EVERYTHING = "all"


class Answered(NamedTuple):
    """One answer to a proposal: its kind, by which rules the proposal came, why it was overridden, and where."""

    kind: str
    rules: Sequence[str]
    reason: str
    site: str


class Rate(NamedTuple):
    """Of the proposals with one of these labels: how many were answered, and which share of them otherwise."""

    labels: Labels
    proposals: int
    overridden: Interval


class Overrides(NamedTuple):
    """How many overrides have one of these labels."""

    labels: Labels
    overrides: int


class Rates(NamedTuple):
    """What is published. By rule a proposal counts once for each rule that led to it."""

    whole: Rate
    by_rule: tuple[Rate, ...]
    by_site: tuple[Rate, ...]
    by_reason: tuple[Overrides, ...]
    by_direction: tuple[Overrides, ...]


def override_rates(
    answers: Iterable[Answered], accepted: str, *, round_to: int, small_below: int = SMALL_BELOW
) -> Rates | None:
    """The rates; None when there are too few answers for any that does not point at single ones.

    `accepted` is the kind that is no override. A table in which even everything together is too little is empty.
    Counts are rounded to `round_to`; shares are those of the merged groups.
    """
    found = list(answers)
    overrides = [each for each in found if each.kind != accepted]
    whole = len(found) - len(overrides), len(overrides)
    if not found or not is_safe(whole, small_below):
        return None
    by_rule: dict[str, Counter[bool]] = {}
    by_site: dict[str, Counter[bool]] = {}
    for each in found:
        for table, labels in ((by_rule, each.rules), (by_site, (each.site or NOT_RECORDED,))):
            for label in labels:
                table.setdefault(label, Counter())[each.kind == accepted] += 1
    return Rates(
        _rate((EVERYTHING,), whole, round_to),
        _rates(by_rule, round_to, small_below),
        _rates(by_site, round_to, small_below),
        _counted((each.reason or NOT_RECORDED for each in overrides), round_to, small_below),
        _counted((each.kind for each in overrides), round_to, small_below),
    )


def _rates(table: Mapping[str, Counter[bool]], round_to: int, small_below: int) -> tuple[Rate, ...]:
    rows = {label: (counts[True], counts[False]) for label, counts in sorted(table.items())}
    return tuple(_rate(row.labels, row.counts, round_to) for row in merged(rows, small_below) or () if row.total)


def _rate(labels: Labels, counts: Sequence[int], round_to: int) -> Rate:
    accepted, overridden = counts
    total = accepted + overridden
    return Rate(labels, rounded(total, round_to), wilson(Group(overridden, total)))


def _counted(labels: Iterable[str], round_to: int, small_below: int) -> tuple[Overrides, ...]:
    counts = dict(sorted(Counter(labels).items()))
    groups = partition(counts, small_below) or ()
    sums = regrouped(counts, groups)
    return tuple(
        Overrides(labels, rounded(count, round_to)) for labels, count in zip(groups, sums, strict=True) if count
    )
