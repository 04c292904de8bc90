"""Who is among whom by definition is so of whoever there can be, and whoever subtracts finds people that are a cell."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import combinations, permutations

import pytest
from stepwell_measurement.data.measures import measures
from stepwell_measurement.rules.board import sheets_of
from stepwell_measurement.rules.care_record import Attendance, Move
from stepwell_measurement.rules.measures.figures import ELIGIBLE, FOLLOWED, HAVING, Measure, Tally
from stepwell_measurement.rules.nesting import LEFT, population_of, tables_of
from stepwell_measurement.rules.partings import Counts

from tests.services.measurement.boards import counted as region
from tests.services.measurement.courses import COLUMNS, cells_of, every_kind

PIECES_MAX = 4
"""A difference that adds up from more cells than so many is looked for no longer."""

Cells = Mapping[str, frozenset[int]]

DAY = "2026-04-01"
KINDS: Mapping[str, tuple[Sequence[str], Sequence[Sequence[object]]]] = {
    "care_course/ended_on": (COLUMNS, every_kind()),
    "care_contact/held_on": (("attendance",), [(each.value,) for each in Attendance]),
    "care_step/left_on": (("left_on", "move"), [(None, None), *((DAY, each.value) for each in Move)]),
}
"""All kinds of rows that there can be, where several measures find something in the same ones."""


def about(population: str) -> list[Measure]:
    return [each for each in measures().values() if population_of(each) == population]


def kinds_in(population: str) -> dict[str, frozenset[int]]:
    """The kinds of people in each cell of each measure; kinds that are in the same cells are one."""
    columns, rows = KINDS[population]
    found = {
        f"{measure.id} {name}": places
        for measure in about(population)
        for name, places in cells_of(measure, rows, columns).items()
    }
    alike: dict[tuple[str, ...], int] = {}
    for place in range(len(rows)):
        alike.setdefault(tuple(name for name, places in found.items() if place in places), place)
    return {name: frozenset(places & set(alike.values())) for name, places in found.items()}


def with_who_is_left(population: str) -> tuple[Cells, Cells]:
    """The cells of all measures, and who is left of each by definition, with the proof that the parts are among them
    and do not overlap."""
    cells = kinds_in(population)
    said = {each.left: (measure, each) for measure in about(population) for each in measure.among}

    def who(name: str) -> frozenset[int]:
        if name not in said:
            return cells[name]
        measure, among = said[name]
        whole, parts = cells[f"{measure.id} {among.of}"], [who(part) for part in among.parts]
        assert all(part < whole for part in parts), name
        assert not any(one & other for one, other in combinations(parts, 2)), name
        return whole.difference(*parts)

    return cells, {name: who(name) for name in said}


@pytest.mark.parametrize("population", KINDS)
def test_whoever_is_said_to_be_among_others_always_is_and_somebody_is_left(population: str) -> None:
    _, left = with_who_is_left(population)
    assert left
    assert all(left.values())


def adds_up(people: frozenset[int], cells: set[frozenset[int]], pieces: int = PIECES_MAX) -> bool:
    """Whether people are those of one cell, or of several that do not overlap."""
    if people in cells:
        return True
    one = min(people)
    inside = [cell for cell in cells if one in cell and cell < people]
    return pieces > 1 and any(adds_up(people - cell, cells, pieces - 1) for cell in inside)


def differences(cells: Cells) -> Iterator[tuple[str, frozenset[int]]]:
    """Whom one figure counts more than another one, or than two of different people together."""
    for (some, inner), (others, outer) in permutations(cells.items(), 2):
        if inner < outer:
            yield f"{others} - {some}", outer - inner
    for (one, first), (other, second) in combinations(cells.items(), 2):
        wholes = [whole for whole in cells.values() if first | second < whole]
        if not first & second and wholes:
            yield f"neither {one} nor {other}", min(wholes, key=len) - first - second


@pytest.mark.parametrize("population", KINDS)
def test_whoever_subtracts_one_figure_from_another_counts_people_of_whom_no_few_are_told(population: str) -> None:
    cells, left = with_who_is_left(population)
    criteria = {each.criteria.eligible: cells[f"{each.id} eligible"] for each in about(population)}
    apart = [
        criteria[one] - criteria[other] for one, other in permutations(criteria, 2) if other.startswith(f"{one} AND ")
    ]
    known = {people for people in (*cells.values(), *left.values(), *apart) if people}
    found = dict(differences({name: people for name, people in cells.items() if people}))
    assert len(found) > len(cells)
    assert not [name for name, people in found.items() if not adds_up(people, known)]


def counted(measure: Measure, eligible: int, followed: int, having: int) -> tuple[Measure, Counts]:
    tally: Tally = {ELIGIBLE: Decimal(eligible), FOLLOWED: Decimal(followed), HAVING: Decimal(having)}
    return measure, Counts(tally, by={"sex": {"female": tally}})


def test_all_that_the_measures_say_of_who_is_among_whom_is_decided_together() -> None:
    tables = [table for together in region(250).values() for table in tables_of(together)]
    marks = {mark for table in tables for key, _ in table.cells() for mark in key}
    assert marks >= {(LEFT, among.left) for measure in measures().values() for among in measure.among}


def test_more_people_than_those_that_they_are_among_were_not_counted_at_one_time() -> None:
    recovery, reliable = (measures()[name] for name in ("recovery", "reliable-recovery"))
    with pytest.raises(ValueError, match="more people within a group"):
        sheets_of([counted(recovery, 40, 30, 20), counted(reliable, 40, 30, 21)])


def test_few_who_recovered_but_not_reliably_are_not_told() -> None:
    recovery, reliable = (measures()[name] for name in ("recovery", "reliable-recovery"))
    told = sheets_of([counted(recovery, 40, 30, 20), counted(reliable, 40, 30, 17)])
    assert None in {told[name].all.figure.having for name in told}
    apart = sheets_of([counted(replace(recovery, among=()), 40, 30, 20), counted(reliable, 40, 30, 17)])
    assert [apart[name].all.figure.having for name in apart] == [20, 17]
    several = sheets_of([counted(recovery, 40, 30, 20), counted(reliable, 40, 30, 15)])
    assert [several[name].all.figure.having for name in several] == [20, 15]


def test_what_happens_to_be_alike_in_the_period_but_was_not_before_is_not_one_cell() -> None:
    """Two measures of the same people that know the same of everybody this year alone can both be published."""
    improvement, function = (measures()[name] for name in ("reliable-improvement", "function"))
    (_, now), before = counted(improvement, 30, 20, 10), {FOLLOWED: Decimal(20), HAVING: Decimal(9)}
    counts = [
        replace(now, before={"2025-03": {**before, ELIGIBLE: Decimal(30), FOLLOWED: Decimal(known)}})
        for known in (20, 15)
    ]
    told = sheets_of(list(zip((improvement, function), counts, strict=True)))
    assert [sheet.months[0].figure.followed for sheet in told.values()] == [20, 15]
