"""When somebody has a competence: while it has not lapsed, and where that is asked for, is supervised and looked at.

What has lapsed is not offered; whoever has it again is offered again, without anybody doing anything about it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# (from, until) in seconds since 1970, until excluded
Span = tuple[float, float]

DAY_SECONDS = 86_400
ALWAYS: Span = (float("-inf"), float("inf"))


@dataclass(frozen=True, slots=True)
class Competence:
    """A competence of somebody in a role. `supervised_within_days` and `fidelity_within_days`: it counts so long after
    the last supervision, and after somebody last looked at how faithfully the treatment is given; None: not asked."""

    code: str
    span: Span = ALWAYS
    supervised_within_days: float | None = None
    fidelity_within_days: float | None = None


def valid_spans(
    competence: Competence,
    role: Span,
    qualifications: Sequence[Span] | None,
    supervised_at: Iterable[float],
    looked_at: Iterable[float],
) -> tuple[Span, ...]:
    """The times in which it counts: in the competence's and in the role's time, while a qualification of the same code
    holds (None: there is none, and none is asked), and so long after supervision and fidelity checks as is asked."""
    found = _both([competence.span], [role])
    if qualifications is not None:
        found = _both(found, qualifications)
    for within, moments in (
        (competence.supervised_within_days, supervised_at),
        (competence.fidelity_within_days, looked_at),
    ):
        if within is not None:
            found = _both(found, [(moment, moment + within * DAY_SECONDS) for moment in moments])
    return tuple(found)


def _both(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    """The times that are in a span of each."""
    others = list(other)
    met = [(max(a[0], b[0]), min(a[1], b[1])) for a in one for b in others]
    return [span for span in met if span[0] < span[1]]
