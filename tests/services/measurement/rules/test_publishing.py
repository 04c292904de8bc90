"""Promises of what is published of several tables about the same people: nothing that is kept back follows from all."""

import tracemalloc
from collections.abc import Mapping
from fractions import Fraction
from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW
from stepwell_measurement.rules.nesting import People
from stepwell_measurement.rules.numbering import Key, Table
from stepwell_measurement.rules.publishing import equations, published, worked_out

from tests.services.measurement import boards
from tests.services.measurement.boards import counted
from tests.services.measurement.plainly import kept_back_plainly

BYTES_MAX = 1200
"""For each cell, with all that is known of it while it is decided; about 750 are taken."""
PRACTICES, MONTHS = ("p1", "p2", "p3", "p4"), ("m1", "m2", "m3")
DIMENSIONS = {"practice": PRACTICES, "month": MONTHS, "having": ("no", "yes"), "sex": ("f", "m", "x")}


ALL = frozenset({("population", "finished")})


def table(rows: str, columns: str, people: list[dict[str, str]]) -> Table:
    """People by two dimensions."""
    across, down = (tuple(frozenset({(name, value)}) for value in DIMENSIONS[name]) for name in (rows, columns))
    counts = tuple(
        tuple(sum(person[rows] == row and person[columns] == column for person in people)
              for column in DIMENSIONS[columns])
        for row in DIMENSIONS[rows]
    )  # fmt: skip
    return Table(ALL, across, down, counts)


def tables_of(people: list[dict[str, str]]) -> list[Table]:
    """Every two dimensions of the same people, as a page could show them."""
    return [table(rows, columns, people) for rows, columns in combinations(DIMENSIONS, 2)]


def region(seed: int, many: int) -> list[dict[str, str]]:
    """People in groups of very different size."""
    random = Random(seed)
    return [
        {name: random.choices(values, [4**place for place in range(len(values))])[0]
         for name, values in DIMENSIONS.items()}
        for _ in range(many)
    ]  # fmt: skip


def solved(tables: list[Table], shown: Mapping[Key, int | None]) -> dict[Key, Fraction]:
    """An attacker of their own: every equation of every table, solved over fractions, as far as it can be."""
    unknown = sorted((key for key, count in shown.items() if count is None), key=sorted)
    rows = []
    for *cells, total in (equation for each in tables for equation in equations(each)):
        row = [Fraction(0)] * (len(unknown) + 1)
        for key, sign in (*((cell, 1) for cell in cells), (total, -1)):
            count = shown[key]
            if count is None:
                row[unknown.index(key)] += sign
            else:
                row[-1] -= sign * count
        rows.append(row)
    rank = 0
    for column in range(len(unknown)):
        pivot = next((at for at in range(rank, len(rows)) if rows[at][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        rows[rank] = [value / rows[rank][column] for value in rows[rank]]
        for at, row in enumerate(rows):
            if at != rank and row[column]:
                rows[at] = [value - row[column] * own for value, own in zip(row, rows[rank], strict=True)]
        rank += 1
    alone = (row for row in rows[:rank] if sum(map(bool, row[:-1])) == 1)
    return {unknown[row.index(Fraction(1))]: row[-1] for row in alone}


def test_the_attack_finds_what_two_tables_give_away_together() -> None:
    """Each table alone keeps the people of p1 back; the other one has them."""
    people = [{"practice": "p1", "sex": "f", "having": "yes"}] * 3
    people += [{"practice": "p1", "sex": "m", "having": "yes"}] * 9
    people += [{"practice": "p2", "sex": sex, "having": "yes"} for sex in "fm"] * 9
    first, second = table("practice", "sex", people), table("practice", "having", people)
    one, two = frozenset({("practice", "p1")}), frozenset({("practice", "p2")})
    female = frozenset({("sex", "f")})
    alone = {ALL | one | female, ALL | one, ALL | two | female, ALL | two}
    assert worked_out(equations(first), alone) == {}
    assert set(worked_out([*equations(first), *equations(second)], alone)) == alone
    shown = {key: None if key in alone else count for each in (first, second) for key, count in each.cells()}
    assert solved([first], shown) == {}
    assert solved([first, second], shown)[ALL | one | female] == 3


def test_tables_that_are_not_about_the_same_people_are_refused() -> None:
    one, other = tables_of(region(1, 50))[:2], tables_of(region(2, 50))[:2]
    with pytest.raises(ValueError, match="differ"):
        published([*one, *other])


def test_tables_without_small_counts_are_published_whole() -> None:
    people = [
        {"practice": practice, "month": month, "having": having, "sex": sex}
        for practice in PRACTICES for month in MONTHS for having in ("no", "yes") for sex in ("f", "m", "x")
    ] * 2  # fmt: skip
    shown = published(tables_of(people))
    assert None not in shown.values()
    assert shown[ALL] == len(people)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 300))
def test_no_count_that_is_kept_back_follows_from_everything_that_is_published(seed: int, many: int) -> None:
    tables = tables_of(region(seed, many))
    shown = published(tables)
    counts = {key: count for each in tables for key, count in each.cells()}
    assert not any(count is not None and 0 < count < 5 for count in shown.values())
    assert all(count is None or count == counts[key] for key, count in shown.items())
    found = solved(tables, shown)
    assert not {key: count for key, count in found.items() if 0 < counts[key] < 5}


def kept_back(shown: Mapping[Key, int | None]) -> set[Key]:
    return {key for key, count in shown.items() if count is None}


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 300))
def test_what_is_kept_back_is_what_looking_at_everything_anew_keeps_back(seed: int, many: int) -> None:
    tables = tables_of(region(seed, many))
    assert kept_back(published(tables)) == kept_back_plainly(tables)[0]


@pytest.mark.parametrize(("people", "seed"), [(30, 2), (300, 0)])
def test_what_follows_from_all_tables_is_kept_back_as_looking_at_everything_anew_does(people: int, seed: int) -> None:
    """Appointments of few people, and who of them did not come: what each table keeps back is not enough."""
    tables = list(People(counted(people, seed)["care_contact/held_on"]).tables(SMALL_BELOW))
    expected, rounds = kept_back_plainly(tables)
    assert rounds > 0
    assert kept_back(published(tables)) == expected


def test_what_is_published_is_known_by_the_people_that_it_counts() -> None:
    tables = tables_of(region(3, 40))
    shown = published(iter(tables))
    counts = {key: count for each in tables for key, count in each.cells()}
    assert len(shown) == len(counts)
    assert dict(shown) == {key: None if key in kept_back(shown) else count for key, count in counts.items()}
    for nobody in (frozenset({("practice", "p9")}), frozenset({("sex", "f"), ("month", "m1")})):
        with pytest.raises(KeyError):
            shown[nobody]
    assert frozenset({("sex", "f")}) not in shown


def test_deciding_takes_little_memory_for_each_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2,000 practices the pages have more than half a million cells."""
    practices = {f"practice-{number}": 1 for number in range(120)}
    monkeypatch.setattr(boards, "GROUPS", {**boards.GROUPS, "practice": practices})
    people = People(counted(6000)["care_contact/held_on"])
    tracemalloc.start()
    try:
        shown = published(people.tables(SMALL_BELOW))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(shown) > 7000
    assert len(kept_back(shown)) > 4000
    assert most < BYTES_MAX * len(shown)
