"""Rows of resources that are alike, made once by the product's own builders and filled with what differs.

A score of 12 points looks the same for everybody but for ids and moments: building each anew would take hours for
millions. `tests/bench/test_population.py` holds what is filled in to what the builders make.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from stepwell_shared.canonical import instant
from stepwell_shared.fhir.unit import Change

Cells = tuple[object, ...]
Resource = dict[str, Any]

# A moment that nothing else has; it is written in two ways, and search takes it as an interval.
MOMENT = datetime(1987, 3, 4, 5, 6, 7, tzinfo=UTC)
NEAR = timedelta(days=2)


def mark(name: str) -> str:
    """What stands where something differs; no resource has it otherwise."""
    return f"9-place-of-{name}-9"


def said(moment: datetime) -> str:
    """A moment as forms carry it."""
    return moment.isoformat(timespec="seconds")


class Filled(NamedTuple):
    """The rows of one resource, without tenant and id."""

    body: bytes
    columns: Cells
    rows: Sequence[Cells]
    numbers: Sequence[Cells]


class _Row:
    """One row with the places that differ."""

    def __init__(self, cells: Sequence[object]) -> None:
        self._cells = tuple(str(each) if isinstance(each, str) else each for each in cells)
        self._texts = [
            place for place, each in enumerate(self._cells) if isinstance(each, str) and "9-place-of-" in each
        ]
        self._moments = [
            (place, each - MOMENT)
            for place, each in enumerate(self._cells)
            if isinstance(each, datetime) and abs(each - MOMENT) < NEAR
        ]

    def filled(self, texts: Sequence[tuple[str, str]], moment: datetime) -> Cells:
        if not self._texts and not self._moments:
            return self._cells
        cells = list(self._cells)
        for place in self._texts:
            text = str(cells[place])
            for old, new in texts:
                text = text.replace(old, new)
            cells[place] = text
        for place, after in self._moments:
            cells[place] = moment + after
        return tuple(cells)


class Pattern:
    """One kind of resource, built with marks in place of ids and with MOMENT in place of its moment."""

    def __init__(self, change: Change) -> None:
        assert change.stored.body is not None, "nothing is deleted here"
        self._body = change.stored.body
        self._columns = _Row(change.columns)
        self._rows = [_Row(each) for each in change.rows]
        self._numbers = [_Row(each) for each in change.numbers]

    def filled(self, values: Mapping[str, str], moment: datetime) -> Filled:
        """The rows with these values in place of the marks, at this moment."""
        texts = [(mark(name), value) for name, value in values.items()]
        body = self._body
        for old, new in (*texts, (said(MOMENT), said(moment)), (instant(MOMENT), instant(moment))):
            body = body.replace(old.encode(), new.encode())
        return Filled(
            body,
            self._columns.filled(texts, moment),
            [each.filled(texts, moment) for each in self._rows],
            [each.filled(texts, moment) for each in self._numbers],
        )


class Patterns:
    """Patterns by what is the same in all that they stand for, each built when it is first needed."""

    def __init__(self, build: Callable[[Resource], Change]) -> None:
        self._build = build
        self._known: dict[object, Pattern] = {}

    def of(self, key: object, make: Callable[[], Resource]) -> Pattern:
        """The pattern of this key; `make` gives the resource with its marks."""
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Pattern(self._build(make()))
        return found
