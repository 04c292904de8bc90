"""Promises of the compact series: it loses nothing, and what arrives in any order, twice or corrected ends the same."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from stepwell_measurement import data
from stepwell_measurement.rules.compact import Point, compact, points_of, with_changes
from stepwell_measurement.rules.reliable_change import Score
from stepwell_measurement.rules.trajectory import Care, Trajectory, trajectories, trajectories_from, trajectory

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
PHQ9 = data.trajectory_parameters()["44261-6"]


class Arrival(NamedTuple):
    """One version of one Observation; without a value it was entered in error or has none."""

    name: int
    version: int
    days: int
    value: int | None
    prorated: bool


arrivals = st.lists(
    st.builds(
        Arrival,
        name=st.integers(1, 6),
        version=st.integers(1, 3),
        days=st.integers(0, 90),
        value=st.none() | st.integers(0, 27),
        prorated=st.booleans(),
    ),
    max_size=14,
    unique_by=lambda each: (each.name, each.version),
)


class Store:
    """What measurement keeps of one series, and which results stand, as its use case keeps them."""

    def __init__(self, care: Care) -> None:
        self.care = care
        self.versions: dict[int, int] = {}
        self.text = "[]"
        self.results: dict[str, Trajectory] = {}

    def arrive(self, arrival: Arrival) -> None:
        if arrival.version <= self.versions.get(arrival.name, 0):
            return  # this version or a newer one is kept
        self.versions[arrival.name] = arrival.version
        before = points_of(self.text)
        points = with_changes(before, {f"o{arrival.name}": point(arrival)})
        old, new = trajectories_from(PHQ9, (scores(before), self.care), (scores(points), self.care))
        for reference in old.keys() - new.keys():
            del self.results[reference]
        self.results.update(new)
        self.text = compact(points.values())


def point(arrival: Arrival) -> Point | None:
    if arrival.value is None:
        return None
    effective = AT + timedelta(days=arrival.days)
    score = Score(Decimal(arrival.value), effective, arrival.prorated, f"Observation/o{arrival.name}")
    return Point(score, arrival.version)


def scores(points: dict[str, Point]) -> list[Score]:
    return [each.score for each in points.values()]


def newest(received: Sequence[Arrival]) -> list[Point]:
    last = {each.name: each for each in sorted(received, key=lambda each: each.version)}
    return [found for each in last.values() if (found := point(each)) is not None]


def test_a_series_is_read_back_as_it_was_written_to_the_last_digit() -> None:
    zone = timezone(timedelta(hours=2))
    exact = Point(Score(Decimal("7.50"), datetime(2026, 3, 1, 8, 0, 0, 120, zone), True, "Observation/a"), 3)
    text = compact([exact])
    (found,) = points_of(text).values()
    assert found == exact
    assert str(found.score.value) == "7.50"
    assert text == '[["a",3,"2026-03-01T06:00:00.000120","7.50",1]]'


@given(arrivals, st.randoms(), st.lists(st.integers(0, 90), max_size=2))
def test_order_copies_and_corrections_never_change_what_is_kept(
    received: list[Arrival], chance: Random, ends: list[int]
) -> None:
    care = Care(tuple(AT + timedelta(days=days, hours=12) for days in sorted(ends)))
    texts = set()
    for _ in range(3):
        shuffled = received + received[:4]
        chance.shuffle(shuffled)
        store = Store(care)
        for arrival in shuffled:
            store.arrive(arrival)
        texts.add(store.text)
        # Incremental is the same as reckoned from all that stands.
        whole = newest(received)
        assert store.text == compact(whole)
        assert store.results == trajectories(PHQ9, [each.score for each in whole], care)
    assert len(texts) == 1


@given(arrivals, st.lists(st.integers(0, 90), max_size=2), st.integers(0, 90))
def test_an_end_of_care_told_late_gives_what_it_gives_early(
    received: list[Arrival], ends: list[int], discharge: int
) -> None:
    care = Care(
        tuple(AT + timedelta(days=days, hours=12) for days in sorted(ends)), AT + timedelta(days=discharge, hours=6)
    )
    late, early = Store(Care()), Store(care)
    for arrival in received:
        late.arrive(arrival)
        early.arrive(arrival)
    found = scores(points_of(late.text))
    _, told = trajectories_from(PHQ9, (found, late.care), (found, care))
    assert told == early.results
    assert trajectory(PHQ9, found, care=care) == next(reversed(told.values()), None) or any(
        score.prorated for score in found
    )
