"""Which unknowns a large sparse system of equations determines, and from which of its equations each follows.

Gauss and Jordan, modulo a large prime. Short equations come first: they are about few unknowns, each of which stands in
few of them, so that they stay short; the few long ones are eliminated among themselves.
"""

from collections.abc import Iterable, Mapping, Sequence

# A prime so large that no equation of counts is true of it by chance.
PRIME = (1 << 61) - 1
# A number whose powers have nothing to do with each other: the bits of the golden ratio.
_SPREAD = 0x1E3779B97F4A7C15
_SHORT_MAX = 12

Row = dict[int, int]
"""Coefficients by the unknown, which are numbered from 0, and by ~number of the equations that a row is made of."""


class System:
    """Equations between unknowns that are numbered; what is known in them is left out."""

    def __init__(self, equations: Sequence[Mapping[int, int]]) -> None:
        self._equations = equations
        self._near: dict[int, _Eliminated] = {}
        self._all: _Eliminated | None = None
        # The short equations in which an unknown stands.
        self._standing: dict[int, list[int]] = {}
        for number, equation in enumerate(equations):
            if len(equation) <= _SHORT_MAX:
                for key in equation:
                    self._standing.setdefault(key, []).append(number)

    def determined(self) -> set[int]:
        """The unknowns of which there is one value alone.

        All others differ in a solution that has nothing in particular about it; that one is 0 there all the same has a
        chance of 1 in 10^18, and costs a look at `follows_from`.
        """
        return _Eliminated(self._equations, range(len(self._equations))).noughts()

    def follows_from(self, unknown: int) -> Row | None:
        """The equations, by number, that give an unknown when each is taken so many times; None when none do.

        Of several such sets one of short equations that hang together, if there is any: what an unknown follows from
        is near it then, not spread over everything else that is known.
        """
        if unknown not in self._near:
            numbers = self._hanging_together(unknown)
            near = _Eliminated(self._equations, numbers, is_told=True)
            self._near |= dict.fromkeys([unknown, *(key for each in numbers for key in self._equations[each])], near)
        found = self._near[unknown].follows_from(unknown)
        if found is None:
            self._all = self._all or _Eliminated(self._equations, range(len(self._equations)), is_told=True)
            found = self._all.follows_from(unknown)
        return found

    def _hanging_together(self, unknown: int) -> list[int]:
        """The short equations about an unknown, and about the others in them, and so on."""
        seen, found, waiting = {unknown}, set[int](), [unknown]
        while waiting:
            for number in self._standing.get(waiting.pop(), ()):
                if number not in found:
                    found.add(number)
                    others = self._equations[number].keys() - seen
                    seen |= others
                    waiting += others
        return sorted(found)


class _Eliminated:
    """Equations after elimination: each unknown that is the pivot of a short one stands in one short row alone."""

    def __init__(
        self, equations: Sequence[Mapping[int, int]], numbers: Iterable[int], *, is_told: bool = False
    ) -> None:
        """With `is_told` each row says of which equations it is made."""
        self._rows: dict[int, Row] = {}
        self._long: list[tuple[int, Row]] = []
        # In which short rows, by their pivots, an unknown stands.
        self._standing: dict[int, dict[int, None]] = {}
        for number in sorted(numbers, key=lambda each: len(equations[each])):
            row = {key: value % PRIME for key, value in equations[number].items()}
            is_short = len(row) <= _SHORT_MAX
            if is_told:
                row[~number] = 1
            self._reduce(row)
            if unknowns := [key for key in row if key >= 0]:
                self._add(row, unknowns, is_short=is_short)

    def noughts(self) -> set[int]:
        """The unknowns that are 0 in a solution, which has other values wherever it can, were all that is known 0."""
        values: dict[int, int] = {}
        power = 1
        pivots = self._rows.keys() | {pivot for pivot, _ in self._long}
        for key in self._standing.keys() | {key for _, row in self._long for key in row}:
            if key not in pivots:
                values[key] = power = power * _SPREAD % PRIME
        for pivot, row in (*reversed(self._long), *self._rows.items()):
            values[pivot] = -sum(value * values[key] for key, value in row.items() if key != pivot) % PRIME
        return {key for key, value in values.items() if not value}

    def follows_from(self, unknown: int) -> Row | None:
        """The equations, by number, that give an unknown when each is taken so many times; None when none do."""
        row = {unknown: PRIME - 1}
        self._reduce(row)
        if any(key >= 0 for key in row):
            return None
        return {~tag: value for tag, value in row.items()}

    def _reduce(self, row: Row) -> None:
        """Leaves what the rows so far do not say."""
        for pivot in [key for key in row if key in self._rows]:
            _subtract(row, self._rows[pivot], row[pivot])
        for pivot, long in self._long:
            if pivot in row:
                _subtract(row, long, row[pivot])

    def _add(self, row: Row, unknowns: Sequence[int], *, is_short: bool) -> None:
        pivot = min(unknowns, key=lambda key: len(self._standing.get(key, ())))
        inverse = pow(row[pivot], -1, PRIME)
        row = {key: value * inverse % PRIME for key, value in row.items()}
        if not is_short:
            self._long.append((pivot, row))
            return
        for other in list(self._standing.get(pivot, ())):
            changed = self._rows[other]
            _subtract(changed, row, changed[pivot])
            for key in unknowns:
                if key in changed:
                    self._standing.setdefault(key, {})[other] = None
                else:
                    self._standing.setdefault(key, {}).pop(other, None)
        self._rows[pivot] = row
        for key in unknowns:
            self._standing.setdefault(key, {})[pivot] = None


def _subtract(row: Row, other: Mapping[int, int], times: int) -> None:
    for key, value in other.items():
        left = (row.get(key, 0) - times * value) % PRIME
        if left:
            row[key] = left
        else:
            del row[key]
