"""An attacker: takes every figure that is published of the same people, and solves what totals say of the rest."""

from collections.abc import Iterable, Mapping
from fractions import Fraction

from stepwell_measurement.rules.numbering import Key
from stepwell_measurement.rules.publishing import Equation

Row = tuple[dict[Key, Fraction], Fraction]


def solved(told: Iterable[Equation], known: Mapping[Key, int]) -> dict[Key, Fraction]:
    """The value of each cell that is not known and yet follows. Gauss and Jordan over fractions."""
    reduced: dict[Key, Row] = {}
    for *cells, total in told:
        row, value = _row(cells, total, known)
        for pivot in [key for key in row if key in reduced]:
            value = _subtract(row, value, reduced[pivot], row[pivot])
        if not row:
            assert not value, "what is published does not add up"
            continue
        pivot = next(iter(row))
        divisor = row[pivot]
        row, value = {key: each / divisor for key, each in row.items()}, value / divisor
        for key, (other, other_value) in reduced.items():
            if pivot in other:
                reduced[key] = other, _subtract(other, other_value, (row, value), other[pivot])
        reduced[pivot] = row, value
    return {pivot: value for pivot, (row, value) in reduced.items() if len(row) == 1}


def _row(cells: Iterable[Key], total: Key, known: Mapping[Key, int]) -> tuple[dict[Key, Fraction], Fraction]:
    """An equation with what is unknown on the left and what is known on the right."""
    row: dict[Key, Fraction] = {}
    value = Fraction(0)
    for key, sign in (*((cell, 1) for cell in cells), (total, -1)):
        if key in known:
            value -= sign * known[key]
        else:
            row[key] = row.get(key, Fraction(0)) + sign
    return {key: each for key, each in row.items() if each}, value


def _subtract(row: dict[Key, Fraction], value: Fraction, other: Row, times: Fraction) -> Fraction:
    for key, each in other[0].items():
        left = row.get(key, Fraction(0)) - times * each
        if left:
            row[key] = left
        else:
            row.pop(key, None)
    return value - times * other[1]
