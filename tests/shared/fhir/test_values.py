"""What search keeps of each datatype."""

import calendar
import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_shared.fhir.values import (
    EARLIEST,
    KEY_BYTES_MAX,
    LATEST,
    date_range,
    index_key,
    later,
    period,
    reference,
    strings,
    text_key,
    tokens,
)


class TestDates:
    @pytest.mark.parametrize(
        "text",
        [
            "", "26", "2026-", "2026-1", "2026-00", "2026-13", "2026-02-29", "2026-02-30", "2026-01-01T", "0000",
            "2026-01-01T10", "2026-01-01T24:00:00Z", "2026-01-01T10:60Z", "2026-01-01T10:00:61Z", "2026-01-01 10:00",
            "2026-01-01T10:00:00+1:00", "2026-01-01T10:00:00+25:00", "\uff12\uff10\uff12\uff16",
            "2026-01-01T10:00:00.Z", "-2026", "now",
            "2026-01-00", "2026-01-01Z",
        ],
    )  # fmt: skip
    def test_s9_what_is_no_date_has_no_interval(self, text: str) -> None:
        assert date_range(text) is None

    @pytest.mark.parametrize(
        ("text", "low", "span"),
        [
            ("2024", datetime(2024, 1, 1, tzinfo=UTC), timedelta(days=366)),
            ("2026", datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=365)),
            ("2024-02", datetime(2024, 2, 1, tzinfo=UTC), timedelta(days=29)),
            ("2026-12-31", datetime(2026, 12, 31, tzinfo=UTC), timedelta(days=1)),
            ("2026-12-31T10:30", datetime(2026, 12, 31, 10, 30, tzinfo=UTC), timedelta(minutes=1)),
            ("2026-12-31T10:30+02:00", datetime(2026, 12, 31, 8, 30, tzinfo=UTC), timedelta(minutes=1)),
            ("2026-12-31T10:30:05Z", datetime(2026, 12, 31, 10, 30, 5, tzinfo=UTC), timedelta(seconds=1)),
            ("2026-12-31T10:30:05.1Z", datetime(2026, 12, 31, 10, 30, 5, 100000, tzinfo=UTC), timedelta(seconds=0.1)),
            ("2026-12-31T10:30:05.123456789Z", datetime(2026, 12, 31, 10, 30, 5, 123456, tzinfo=UTC),
             timedelta(microseconds=1)),
            ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC), timedelta(seconds=1)),
        ],
    )  # fmt: skip
    def test_s9_an_interval_is_as_long_as_the_text_is_vague(self, text: str, low: datetime, span: timedelta) -> None:
        assert date_range(text) == (low, low + span)

    @pytest.mark.parametrize(
        "text", ["9999", "9999-12", "9999-12-31", "9999-12-31T23:59:60Z", "9999-12-31T23:59:59.999-14:00"]
    )
    def test_the_last_year_ends_at_the_end_of_time(self, text: str) -> None:
        found = date_range(text)
        assert found is not None
        assert found[0] <= found[1] == LATEST

    @pytest.mark.parametrize("text", ["0001", "0001-01-01", "0001-01-01T00:00:00+14:00"])
    def test_the_first_year_begins_at_the_beginning_of_time(self, text: str) -> None:
        found = date_range(text)
        assert found is not None
        assert EARLIEST == found[0] <= found[1]

    @given(st.dates(date(2, 1, 1), date(9998, 12, 31)))
    def test_a_day_lies_in_its_month_and_its_month_in_its_year(self, day: date) -> None:
        text = day.isoformat()
        intervals = [found for length in (10, 7, 4) if (found := date_range(text[:length]))]
        assert len(intervals) == 3
        for inner, outer in itertools.pairwise(intervals):
            assert outer[0] <= inner[0] < inner[1] <= outer[1]
        month_days = (intervals[1][1] - intervals[1][0]).days
        assert month_days == calendar.monthrange(day.year, day.month)[1]

    @given(st.datetimes(timezones=st.just(UTC)), st.timedeltas())
    def test_no_span_leaves_time(self, moment: datetime, span: timedelta) -> None:
        assert EARLIEST <= later(moment, span) <= LATEST

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ({}, None),
            ({"start": "2026"}, (datetime(2026, 1, 1, tzinfo=UTC), LATEST)),
            ({"end": "2026-01-01"}, (EARLIEST, datetime(2026, 1, 2, tzinfo=UTC))),
            ({"event": ["2026-01-05", "2026-01-01"]},
             (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC))),
            ({"event": [None, "2026-01-01"]}, (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))),
            ({"event": [None]}, None),
            ({"event": []}, None),
            ({"repeat": {"frequency": 1}}, None),
            ({"repeat": {"boundsPeriod": {"start": "2026-01-01", "end": "2026-01-01"}}},
             (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))),
            (7, None),
        ],
    )  # fmt: skip
    def test_s9_periods_and_timings_search_by_their_outer_bounds(self, value: Any, expected: Any) -> None:
        assert period(value) == expected


class TestTokens:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (True, [("", "true")]),
            ("active", [("", "active")]),
            ({"system": "urn:a", "code": "1"}, [("urn:a", "1")]),
            ({"coding": [{"code": "1"}, {"system": "s", "code": "2"}], "text": "t"}, [("", "1"), ("s", "2")]),
            ({"system": "urn:a", "value": "1"}, [("urn:a", "1")]),
            ({"text": "only words"}, []),
            ({"system": "urn:a"}, []),
            (1, []),
        ],
    )
    def test_pairs_of_system_and_code(self, value: Any, expected: list[tuple[str, str]]) -> None:
        assert list(tokens(value)) == expected


class TestStrings:
    def test_s6_every_part_of_a_name_counts_but_its_metadata(self) -> None:
        name = {
            "use": "official",
            "family": "Müller",
            "given": ["Ann"],
            "period": {"start": "2026"},
            "_family": {"id": "x"},
        }
        assert sorted(strings(name)) == [("ann", "Ann"), ("muller", "Müller")]

    @given(st.text())
    def test_a_key_is_short(self, text: str) -> None:
        key = text_key(text)
        assert len(key.encode()) <= KEY_BYTES_MAX

    def test_a_key_never_ends_inside_a_character(self) -> None:
        assert text_key("a" + "日" * 1000) == "a" + "日" * ((KEY_BYTES_MAX - 1) // 3)


class TestIndexKeys:
    @given(st.text(max_size=KEY_BYTES_MAX // 4))
    def test_what_fits_stays_as_it_is(self, text: str) -> None:
        assert index_key(text) == text

    @given(st.text(alphabet="aé日", min_size=KEY_BYTES_MAX + 1, max_size=KEY_BYTES_MAX + 200))
    def test_what_is_long_is_kept_short_and_apart_from_others(self, text: str) -> None:
        assert len(index_key(text).encode()) <= KEY_BYTES_MAX
        assert index_key(text) != index_key(text + "x")


class TestReferences:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ({"reference": "Patient/1"}, "Patient/1"),
            ({"reference": "#contained"}, None),
            ({"identifier": {"value": "1"}}, None),
            ({"display": "somebody"}, None),
            ("urn:canonical|1", "urn:canonical|1"),
        ],
    )
    def test_only_addresses_count(self, value: Any, expected: str | None) -> None:
        assert reference(value, lambda address: address) == expected
