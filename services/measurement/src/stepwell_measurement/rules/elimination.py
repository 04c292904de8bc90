"""Which unknowns a large sparse system of equations determines, and from which of its equations each follows.

Gauss and Jordan, modulo a large prime. Short equations come first: they are about few unknowns, each of which stands in
few of them, so that they stay short. Those that hang together are eliminated by themselves, and kept as they are then;
the few long ones, which are about unknowns from everywhere, are eliminated among themselves afterwards.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain

from stepwell_measurement.rules.numbering import Places

# A prime so large that no equation of counts is true of it by chance.
PRIME = (1 << 61) - 1
_HALF = PRIME // 2
# A number whose powers have nothing to do with each other: the bits of the golden ratio.
_SPREAD = 0x1E3779B97F4A7C15
_SHORT_MAX = 12

Row = dict[int, int]
"""Coefficients by the unknown, which are numbered from 0, and by ~number of the equations that a row is made of. Small
ones, negative or not, stay small: they take little memory, and are multiplied fast."""

Terms = tuple[int, ...]
"""A row as its keys and coefficients in turns, by key: a few hundred thousand rows take a third of the memory so."""


def terms(row: Mapping[int, int]) -> Terms:
    """What is not 0 of a row."""
    return tuple(chain.from_iterable(sorted(term for term in row.items() if term[1])))


def _row(told: Terms) -> Row:
    return dict(zip(told[::2], told[1::2], strict=True))


class System:
    """Equations between unknowns that are numbered; what is known in them is left out."""

    def __init__(self, equations: Sequence[Terms]) -> None:
        self._equations = equations
        self._near: dict[int, _Eliminated] = {}

    def determined(self) -> set[int]:
        """The unknowns of which there is one value alone.

        All others differ in a solution that has nothing in particular about it; that one is 0 there all the same has a
        chance of 1 in 10^18, and costs a look at `follows_from`.
        """
        return _Eliminated(self._equations, self._parts()).noughts()

    def follows_from(self, unknown: int) -> Row | None:
        """The equations, by number, that give an unknown when each is taken so many times; None when none do.

        Of several such sets one of short equations that hang together, if there is any: what an unknown follows from
        is near it then, not spread over everything else that is known.
        """
        if unknown not in self._near:
            numbers = self._hanging_together(unknown)
            near = _Eliminated(self._equations, [numbers], is_told=True)
            others = (key for each in numbers for key in self._equations[each][::2])
            self._near |= dict.fromkeys([unknown, *others], near)
        found = self._near[unknown].follows_from(unknown)
        return self._all.follows_from(unknown) if found is None else found

    @cached_property
    def _all(self) -> "_Eliminated":
        return _Eliminated(self._equations, self._parts(), is_told=True)

    @cached_property
    def _standing(self) -> Places:
        """The short equations in which an unknown stands."""
        unknowns = [each[::2] if _is_short(each) else () for each in self._equations]
        return Places(unknowns, 1 + max((each[-2] for each in self._equations if each), default=-1))

    def _parts(self) -> Iterator[Sequence[int]]:
        """The short equations that hang together, part by part, and then the long ones."""
        seen = bytearray(len(self._equations))
        for number, equation in enumerate(self._equations):
            if equation and _is_short(equation) and not seen[number]:
                found = self._hanging_together(equation[0])
                for each in found:
                    seen[each] = True
                yield found
        yield [number for number, equation in enumerate(self._equations) if not _is_short(equation)]

    def _hanging_together(self, unknown: int) -> list[int]:
        """The short equations about an unknown, and about the others in them, and so on."""
        seen, found, waiting = {unknown}, set[int](), [unknown]
        while waiting:
            for number in self._standing.of(waiting.pop()):
                if number not in found:
                    found.add(number)
                    others = set(self._equations[number][::2]) - seen
                    seen |= others
                    waiting += others
        return sorted(found)


def _is_short(equation: Terms) -> bool:
    return len(equation) <= 2 * _SHORT_MAX


class _Eliminated:
    """Equations after elimination: each unknown that is the pivot of a short one stands in one short row alone."""

    def __init__(self, equations: Sequence[Terms], parts: Iterable[Sequence[int]], *, is_told: bool = False) -> None:
        """Parts of short equations have no unknown in common, and long ones come last. With `is_told` each row says of
        which equations it is made."""
        self._short: dict[int, Terms] = {}
        self._long: list[tuple[int, Row]] = []
        for numbers in parts:
            part = _Part()
            for number in sorted(numbers, key=lambda each: len(equations[each])):
                row = _row(equations[number])
                if is_told:
                    row[~number] = 1
                if _is_short(equations[number]):
                    part.add(row)
                else:
                    self._add_long(row)
            self._short |= part.rows()

    def noughts(self) -> set[int]:
        """The unknowns that are 0 in a solution, which has other values wherever it can, were all that is known 0."""
        values: dict[int, int] = {}
        power = 1
        pivots = self._short.keys() | {pivot for pivot, _ in self._long}
        for key in chain.from_iterable(row for _, row in self._rows()):
            if key not in pivots and key not in values:
                values[key] = power = power * _SPREAD % PRIME
        for pivot, row in self._rows():
            values[pivot] = -sum(value * values[key] for key, value in row.items() if key != pivot) % PRIME
        return {key for key, value in values.items() if not value}

    def _rows(self) -> Iterator[tuple[int, Row]]:
        """All rows with their pivots, each of which stands in rows before it alone."""
        yield from reversed(self._long)
        for pivot, told in self._short.items():
            yield pivot, _row(told)

    def follows_from(self, unknown: int) -> Row | None:
        """The equations, by number, that give an unknown when each is taken so many times; None when none do."""
        row = {unknown: -1}
        self._reduce(row)
        if any(key >= 0 for key in row):
            return None
        return {~tag: value for tag, value in row.items()}

    def _reduce(self, row: Row) -> None:
        """Leaves what the rows so far do not say."""
        for pivot in [key for key in row if key in self._short]:
            _subtract(row, _row(self._short[pivot]), row[pivot])
        for pivot, long in self._long:
            if pivot in row:
                _subtract(row, long, row[pivot])

    def _add_long(self, row: Row) -> None:
        self._reduce(row)
        if (pivot := next((key for key in row if key >= 0), None)) is not None:
            self._long.append((pivot, _divided(row, row[pivot])))


class _Part:
    """Equations that hang together, while they are eliminated."""

    def __init__(self) -> None:
        self._rows: dict[int, Row] = {}
        # In which rows, by their pivots, an unknown stands.
        self._standing: dict[int, set[int]] = {}

    def rows(self) -> dict[int, Terms]:
        """What the equations say of their pivots, each of which stands in its row alone."""
        return {pivot: terms(row) for pivot, row in self._rows.items()}

    def add(self, row: Row) -> None:
        """One more equation; what others say already is left out."""
        for pivot in [key for key in row if key in self._rows]:
            _subtract(row, self._rows[pivot], row[pivot])
        unknowns = [key for key in row if key >= 0]
        if not unknowns:
            return
        pivot = min(unknowns, key=lambda key: len(self._standing.get(key, ())))
        row = _divided(row, row[pivot])
        for other in list(self._standing.get(pivot, ())):
            changed = self._rows[other]
            _subtract(changed, row, changed[pivot])
            for key in unknowns:
                if key in changed:
                    self._standing.setdefault(key, set()).add(other)
                else:
                    self._standing.setdefault(key, set()).discard(other)
        self._rows[pivot] = row
        for key in unknowns:
            self._standing.setdefault(key, set()).add(pivot)


def _divided(row: Row, divisor: int) -> Row:
    inverse = _balanced(pow(divisor, -1, PRIME))
    return {key: _balanced(value * inverse) for key, value in row.items()}


def _subtract(row: Row, other: Mapping[int, int], times: int) -> None:
    for key, value in other.items():
        if left := _balanced(row.get(key, 0) - times * value):
            row[key] = left
        else:
            del row[key]


def _balanced(value: int) -> int:
    """The same modulo the prime, as near to 0 as can be."""
    return value if -_HALF <= value <= _HALF else (value + _HALF) % PRIME - _HALF
