"""Keeps small groups out of what is published: they are merged before anything is counted, never blanked out.

Every figure of a report is computed from the merged table alone, so no subtraction between figures can go behind it:
two sets of people that come to the same merged table have the same report. A blank beside a total could be undone.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

SMALL_BELOW = 5
"""A count of 1 to 4 is not published: the default of the national reports, as clinical.md has it."""

Labels = tuple[str, ...]
Counts = Sequence[int]


class Row(NamedTuple):
    """What is published of one group: the labels that it stands for, and its counts."""

    labels: Labels
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.counts)


def is_safe(counts: Iterable[int], below: int = SMALL_BELOW) -> bool:
    """Whether no count is so small that it says something about single people."""
    return all(count == 0 or count >= below for count in counts)


def merged(rows: Mapping[str, Counts], below: int = SMALL_BELOW) -> tuple[Row, ...] | None:
    """The rows with the small ones in one row together, and with them the smallest others until it is safe.

    The merged row stands last and holds at least two; of equally small others all go in, because which one is chosen
    would say something. None when even all together are too few.
    """
    small = {label for label, counts in rows.items() if not is_safe(counts, below)}
    while small and len(small) < len(rows) and (len(small) < 2 or not is_safe(_sums(rows, small), below)):
        least = min(sum(rows[label]) for label in rows if label not in small)
        small |= {label for label in rows if sum(rows[label]) == least}
    together = _sums(rows, small) if small else ()
    if not is_safe(together, below):
        return None
    kept = [Row((label,), tuple(rows[label])) for label in rows if label not in small]
    return (*kept, Row(tuple(label for label in rows if label in small), together)) if small else tuple(kept)


def partition(counts: Mapping[str, int], below: int = SMALL_BELOW) -> tuple[Labels, ...] | None:
    """Which of these values are published by themselves and which together; None when all together are too few."""
    rows = merged({label: (count,) for label, count in counts.items()}, below)
    return None if rows is None else tuple(row.labels for row in rows)


def regrouped(counts: Mapping[str, int], groups: Sequence[Labels]) -> tuple[int, ...]:
    """The counts of these groups of values."""
    return tuple(sum(counts.get(label, 0) for label in labels) for labels in groups)


def rounded(count: int, to: int) -> int:
    """A count as it is published: to the nearest multiple, so that two reports on almost the same people hide the
    difference. 1 leaves it."""
    return (count + to // 2) // to * to


def _sums(rows: Mapping[str, Counts], labels: Iterable[str]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*(rows[label] for label in labels), strict=True)))
