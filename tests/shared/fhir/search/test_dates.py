"""Dates against the range table of R4 (https://hl7.org/fhir/R4/search.html#prefix), by brute force over segments."""

import calendar
import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.engine import Bench

START, END = datetime(1900, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
Interval = tuple[datetime, datetime]

POINTS = [
    "2025", "2026", "2026-01", "2026-02", "2024-02", "2026-01-01", "2026-01-31", "2026-02-01", "2025-12-31",
    "2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z", "2026-01-15T12:00:00Z", "2026-01-15T12:00:00.5Z",
    "2026-01-15T13:00:00+01:00", "2026-01-31T23:30:00-01:00",
]  # fmt: skip
PERIODS: list[tuple[str | None, str | None]] = [
    ("2026-01-01", "2026-01-31"), ("2026-01", "2026-02"), ("2025", None), (None, "2026-01-15"), ("2026-02-01", None),
    ("2026-01-15T12:00:00Z", "2026-01-15T12:00:00Z"), (None, "2025"), ("2025-12-31", "2026-01-01"),
]  # fmt: skip

days = st.dates(date(2025, 12, 30), date(2026, 2, 3))
texts = st.one_of(
    st.sampled_from(["2024", "2025", "2026", "2025-12", "2026-01", "2026-02", *POINTS]),
    days.map(lambda day: day.isoformat()),
    st.builds(
        lambda day, time: f"{day}T{time}",
        days,
        st.sampled_from(["00:00", "12:00", "12:00:00Z", "12:00:00.500Z", "23:59:59Z", "00:00:00+01:00", "12:00Z"]),
    ),
)
PREFIXES = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]


def interval(text: str) -> Interval:
    """What a text covers, found without the code under test."""
    if len(text) == 4:
        return datetime(int(text), 1, 1, tzinfo=UTC), datetime(int(text) + 1, 1, 1, tzinfo=UTC)
    if len(text) == 7:
        year, month = map(int, text.split("-"))
        low = datetime(year, month, 1, tzinfo=UTC)
        return low, low + timedelta(days=calendar.monthrange(year, month)[1])
    moment = datetime.fromisoformat(text)
    moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    time = text[10:].removesuffix("Z").partition("+")[0].partition("-")[0]
    spans = {0: timedelta(days=1), 6: timedelta(minutes=1), 9: timedelta(seconds=1), 11: timedelta(seconds=0.1)}
    return moment, moment + spans.get(len(time), timedelta(milliseconds=1))


def matches(prefix: str, search: Interval, target: Interval) -> bool:
    """The words of the table over sets: every boundary cuts time into segments, and intervals are sets of them."""
    cuts = sorted({START, END, *search, *target})
    segments = list(itertools.pairwise(cuts))
    inside = {each for each in segments if search[0] <= each[0] and each[1] <= search[1]}
    above = {each for each in segments if each[0] >= search[1]}
    below = {each for each in segments if each[1] <= search[0]}
    found = {each for each in segments if target[0] <= each[0] and each[1] <= target[1]}
    return {
        "eq": found <= inside,
        "ne": not found <= inside,
        "gt": bool(found & above),
        "lt": bool(found & below),
        "ge": bool(found & above) or found <= inside,
        "le": bool(found & below) or found <= inside,
        "sa": found <= above,
        "eb": found <= below,
    }[prefix or "eq"]


@pytest.fixture
async def bench(bench: Bench) -> Bench:
    """A Task for every point in time and every period."""
    task: dict[str, Any] = {"resourceType": "Task", "status": "requested", "intent": "order"}
    for number, text in enumerate(POINTS):
        await bench.update({**task, "id": f"point-{number}", "authoredOn": text})
    for number, (start, end) in enumerate(PERIODS):
        period = {name: text for name, text in (("start", start), ("end", end)) if text}
        await bench.update({**task, "id": f"period-{number}", "executionPeriod": period})
    return bench


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prefix=st.sampled_from(PREFIXES), text=texts)
async def test_s9_every_prefix_finds_what_the_table_says(bench: Bench, prefix: str, text: str) -> None:
    search = interval(text)
    points = {f"point-{n}" for n, each in enumerate(POINTS) if matches(prefix, search, interval(each))}
    periods = {
        f"period-{n}"
        for n, (start, end) in enumerate(PERIODS)
        if matches(prefix, search, (interval(start)[0] if start else START, interval(end)[1] if end else END))
    }
    assert set(await bench.found("Task", f"authored-on={prefix}{text}&_count=100")) == points
    assert set(await bench.found("Task", f"period={prefix}{text}&_count=100")) == periods


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ap2026-11-21", True),  # today: the margin is a tenth of no distance
        ("ap2026-11-24", False),
        ("ap2026-11-10", False),
        ("ap2026-01-01", True),  # 324 days ago: within 32 days
        ("ap2026-12", False),
        ("ap2028", False),
    ],
)
async def test_s9_approximately_is_a_tenth_of_the_distance_to_now(bench: Bench, text: str, *, found: bool) -> None:
    task: dict[str, Any] = {"resourceType": "Task", "status": "requested", "intent": "order"}
    near = {"ap2026-01-01": "2026-02-01"}.get(text, "2026-11-21")
    await bench.update({**task, "id": "near", "authoredOn": near})
    assert ("near" in await bench.found("Task", f"authored-on={text}&_count=100")) is found


async def test_s4_s9_several_dates_are_alternatives_and_repeats_narrow(bench: Bench) -> None:
    either = await bench.found("Task", "authored-on=2024-02,2026-02-01&_count=100")
    assert set(either) == {"point-4", "point-7", "point-10", "point-14"}
    assert await bench.found("Task", "authored-on=ge2026-01-15&authored-on=lt2026-01-16&authored-on=2026-02") == []
