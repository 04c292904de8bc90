"""Whether people who are equally ill are offered the same, whoever they are: shares by stratum, with intervals.

A difference here is a question to look into, no proof of unfairness; no difference is no proof of fairness.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stepwell_shared.proportions import Group, Interval, newcombe, wilson

from stepwell_routing.rules.disclosure import SMALL_BELOW, Labels, merged, partition, regrouped, rounded
from stepwell_routing.rules.expressions import Scalar
from stepwell_routing.rules.statistics import pooled_difference


class Band(NamedTuple):
    """One band of severity: from this value of the measure on."""

    code: str
    minimum: float


class Scale(NamedTuple):
    """A measure whose bands say how ill somebody is; `source` is where the bands come from."""

    measure: str
    bands: tuple[Band, ...]
    source: str


NOT_MEASURED = "not-measured"


def severity_of(scales: Sequence[Scale], values: Mapping[str, Scalar]) -> str:
    """The band of the first of these measures that is known; who was not measured is a band of their own."""
    for scale in scales:
        value = values.get(scale.measure)
        if value is not None and not isinstance(value, str | bool):
            reached = [band.code for band in scale.bands if value >= band.minimum]
            return reached[-1] if reached else NOT_MEASURED
    return NOT_MEASURED


@dataclass(slots=True)
class EquityTally:
    """Counts by dimension, its value, and (severity, rank of the step)."""

    people: int = 0
    strata: dict[str, dict[str, Counter[tuple[str, int]]]] = field(default_factory=dict)

    def add(self, strata: Mapping[str, str], severity: str, rank: int) -> None:
        self.people += 1
        for dimension, value in strata.items():
            self.strata.setdefault(dimension, {}).setdefault(value, Counter())[severity, rank] += 1


class Comparison(NamedTuple):
    """Of people of these values and these bands of severity: how many are offered step `from_rank` or more, and by how
    much that differs from everybody else of the same severity (None when there is nobody else)."""

    values: Labels
    severities: Labels
    from_rank: int
    people: int
    share: Interval
    difference: Interval | None


class Pooled(NamedTuple):
    """The same difference over all severities; `differs` when its interval leaves out zero."""

    values: Labels
    from_rank: int
    difference: Interval
    differs: bool


@dataclass(frozen=True, slots=True)
class Dimension:
    """What is published of one dimension, such as language; empty when there are too few people to compare."""

    name: str
    comparisons: tuple[Comparison, ...]
    pooled: tuple[Pooled, ...]


@dataclass(frozen=True, slots=True)
class Watch:
    """The published report on the proposals of one policy."""

    policy: str
    people: int
    dimensions: tuple[Dimension, ...]


def watch(
    tally: EquityTally, policy: str, ranks: int, *, round_to: int, small_below: int = SMALL_BELOW
) -> Watch | None:
    """Compares every stratum with everybody else at equal severity; None when there are too few people at all.

    For each cut between two steps the people are those who are offered that step or more. Small groups are merged
    before anything is computed, so that nothing can be subtracted; counts are rounded.
    """
    if tally.people < small_below:
        return None
    dimensions = [
        Dimension(name, *_compared(rows, ranks, round_to, small_below)) for name, rows in sorted(tally.strata.items())
    ]
    return Watch(policy, rounded(tally.people, round_to), tuple(dimensions))


def _compared(
    rows: Mapping[str, Counter[tuple[str, int]]], ranks: int, round_to: int, below: int
) -> tuple[tuple[Comparison, ...], tuple[Pooled, ...]]:
    layers, cells = _layers(rows, ranks, below)
    published = merged({value: _row(counts, layers, cells) for value, counts in sorted(rows.items())}, below)
    if published is None or len(published) < 2:
        return (), ()
    comparisons, pooled = [], []
    everybody = tuple(map(sum, zip(*(row.counts for row in published), strict=True)))
    for row in published:
        rest = [whole - own for whole, own in zip(everybody, row.counts, strict=True)]
        for cut in sorted({cell[0] for group in cells.values() for cell in group[1:]}):
            pairs = []
            for layer in layers:
                own, other = _cut(row.counts, layers, cells, layer, cut), _cut(rest, layers, cells, layer, cut)
                if own is None or other is None or not own.total:
                    continue
                pairs.append((own, other))
                difference = newcombe(own, other) if other.total else None
                people = rounded(own.total, round_to)
                comparisons.append(Comparison(row.labels, layer, cut, people, wilson(own), difference))
            over_all = pooled_difference(pairs)
            if over_all is not None:
                pooled.append(Pooled(row.labels, cut, over_all, over_all.low > 0 or over_all.high < 0))
    return tuple(comparisons), tuple(pooled)


Cells = Mapping[Labels, tuple[tuple[int, ...], ...]]


def _layers(rows: Mapping[str, Counter[tuple[str, int]]], ranks: int, below: int) -> tuple[tuple[Labels, ...], Cells]:
    """The severities that are published (some together), and for each the ranks that are: neighbours together."""
    everybody: Counter[tuple[str, int]] = Counter()
    for counts in rows.values():
        everybody.update(counts)
    severities: Counter[str] = Counter()
    for (severity, _), people in everybody.items():
        severities[severity] += people
    layers = partition(dict(sorted(severities.items())), below) or ()
    cells = {}
    for layer in layers:
        by_rank = {rank: sum(everybody[severity, rank] for severity in layer) for rank in range(1, ranks + 1)}
        cells[layer] = _neighbours(by_rank, below)
    return layers, cells


def _neighbours(by_rank: Mapping[int, int], below: int) -> tuple[tuple[int, ...], ...]:
    """Runs of ranks, each with enough people: a cut lies between two of them."""
    runs: list[list[int]] = [[]]
    for rank, _ in sorted(by_rank.items()):
        if runs[-1] and sum(by_rank[each] for each in runs[-1]) >= below:
            runs.append([])
        runs[-1].append(rank)
    if len(runs) > 1 and sum(by_rank[each] for each in runs[-1]) < below:
        last = runs.pop()
        runs[-1] += last
    return tuple(tuple(run) for run in runs)


def _row(counts: Counter[tuple[str, int]], layers: Sequence[Labels], cells: Cells) -> tuple[int, ...]:
    found: list[int] = []
    for layer in layers:
        by_rank: dict[str, int] = {}
        for (severity, rank), people in counts.items():
            if severity in layer:
                by_rank[str(rank)] = by_rank.get(str(rank), 0) + people
        found += regrouped(by_rank, [tuple(str(rank) for rank in run) for run in cells[layer]])
    return tuple(found)


def _cut(counts: Sequence[int], layers: Sequence[Labels], cells: Cells, layer: Labels, cut: int) -> Group | None:
    """Who of a layer is offered `cut` or more; None when the layer has no cut there."""
    start = sum(len(cells[each]) for each in layers[: layers.index(layer)])
    runs = cells[layer]
    if cut not in [run[0] for run in runs[1:]]:
        return None
    own = counts[start : start + len(runs)]
    return Group(sum(people for run, people in zip(runs, own, strict=True) if run[0] >= cut), sum(own))
