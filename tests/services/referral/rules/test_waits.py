"""Promises about waits: monotone in queue and capacity, urgency first, honest when nothing can be promised."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_referral import data
from stepwell_referral.rules.waits import (
    WaitPromise,
    poisson_at_most,
    promise,
    queue_by_urgency,
    urgency_of,
    wait_days,
    wait_words,
)

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LIMITS = data.urgency_classes()
NEVER = 10**9

people = st.integers(0, 400)
rates = st.floats(0, 60, allow_nan=False)


def promised(weekly_starts: float, priority: str = "routine", **queue_ahead: int) -> WaitPromise:
    return promise(queue_ahead, weekly_starts, priority, NOW, LIMITS)


def days(wait: WaitPromise) -> tuple[int, int]:
    return (
        NEVER if wait.median_days is None else wait.median_days,
        NEVER if wait.upper_days is None else wait.upper_days,
    )


def test_without_capacity_no_date_is_promised() -> None:
    wait = promised(0, routine=3)
    assert (wait.outcome, wait.rule, wait.keepable) == ("no-capacity", "WAIT-NO-CAPACITY", False)
    assert wait.promised_by is None
    assert "No date" in wait.reason


def test_a_wait_beyond_the_horizon_is_no_date_either() -> None:
    assert promised(0.001, routine=50).rule == "WAIT-NO-CAPACITY"


def test_a_wait_longer_than_the_limit_is_flagged_with_its_honest_date() -> None:
    wait = promised(2, routine=20)
    assert (wait.outcome, wait.keepable, wait.rule) == ("over-limit", False, "WAIT-OVER-LIMIT")
    assert wait.promised_by == NOW + timedelta(days=wait.upper_days or 0)
    assert wait.promised_by > wait.due_by == NOW + timedelta(days=28)


def test_an_emergency_is_handed_over_and_not_queued() -> None:
    wait = promised(100, "stat")
    assert (wait.outcome, wait.rule, wait.keepable) == ("hand-over", "WAIT-HAND-OVER", False)
    assert wait.promised_by is None
    assert wait.due_by == NOW + timedelta(hours=4)


@pytest.mark.parametrize("weekly_starts", [-1.0, float("nan"), float("inf")])
def test_a_capacity_that_is_no_number_is_refused(weekly_starts: float) -> None:
    with pytest.raises(ValueError, match="weekly starts"):
        promised(weekly_starts)


def test_a_queue_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="urgency class"):
        promised(5, routine=-1)
    with pytest.raises(ValueError, match="urgency class"):
        promised(5, somebody=1)
    with pytest.raises(ValueError, match="request priority"):
        promised(5, "whenever")


@pytest.mark.parametrize(
    ("priority", "code", "limit"),
    [
        ("stat", "emergency", timedelta(hours=4)),
        ("asap", "urgent", timedelta(days=7)),
        ("urgent", "urgent", timedelta(days=7)),
        ("routine", "routine", timedelta(days=28)),
    ],
)
def test_every_fhir_priority_has_its_class_and_limit(priority: str, code: str, limit: timedelta) -> None:
    urgency = urgency_of(priority, LIMITS)
    assert (urgency.code, urgency.maximum_wait) == (code, limit)


def test_the_limit_itself_is_still_kept() -> None:
    # Seven a week and nobody ahead: one a day, 90 % of exponential waits end within ln(10) = 2.3 days.
    assert (promised(7).median_days, promised(7).upper_days) == (1, 3)
    rate_for_28_days = next(rate for rate in (n / 1000 for n in range(1, 7000)) if wait_days(0, rate, 0.9) == 28)
    assert promised(rate_for_28_days).keepable
    rate_for_29_days = next(rate for rate in (n / 1000 for n in range(1, 7000)) if wait_days(0, rate, 0.9) == 29)
    assert not promised(rate_for_29_days).keepable


@given(people, people, rates)
def test_a_longer_queue_never_gives_an_earlier_promise(ahead: int, more: int, weekly_starts: float) -> None:
    short, long = promised(weekly_starts, routine=ahead), promised(weekly_starts, routine=ahead + more)
    assert days(short)[0] <= days(long)[0]
    assert days(short)[1] <= days(long)[1]


@given(people, rates, rates)
def test_more_capacity_never_gives_a_later_promise(ahead: int, weekly_starts: float, more: float) -> None:
    few, many = promised(weekly_starts, routine=ahead), promised(weekly_starts + more, routine=ahead)
    assert days(few)[0] >= days(many)[0]
    assert days(few)[1] >= days(many)[1]


@given(people, people, people, rates)
def test_urgent_never_waits_behind_routine(urgent: int, routine: int, more: int, weekly_starts: float) -> None:
    before = promised(weekly_starts, "urgent", urgent=urgent, routine=routine)
    after = promised(weekly_starts, "urgent", urgent=urgent, routine=routine + more)
    assert days(before) == days(after)
    assert days(before) <= days(promised(weekly_starts, "routine", urgent=urgent, routine=routine))


@given(people, rates)
def test_the_upper_bound_is_never_below_the_median(ahead: int, weekly_starts: float) -> None:
    median, upper = days(promised(weekly_starts, routine=ahead))
    assert 1 <= median <= upper


@given(people, rates)
def test_a_promise_is_keepable_exactly_when_its_date_is_within_the_limit(ahead: int, weekly_starts: float) -> None:
    wait = promised(weekly_starts, routine=ahead)
    assert wait.keepable == (wait.promised_by is not None and wait.promised_by <= wait.due_by)
    assert wait.reason
    assert wait.computed_at == NOW


@pytest.mark.parametrize(
    ("count", "mean", "probability"),
    [(0, 1.0, 0.367879441), (3, 2.0, 0.857123460), (10, 10.0, 0.583039750), (20, 10.0, 0.998411739), (4, 0.0, 1.0)],
)
def test_poisson_probabilities_equal_the_tables(count: int, mean: float, probability: float) -> None:
    assert poisson_at_most(count, mean) == pytest.approx(probability, abs=1e-9)


@pytest.mark.parametrize(
    ("people_ahead", "median", "upper"),
    # Half the chi-square points with 2 x (people ahead + 1) degrees of freedom: 0.69 2.30, 4.67 7.99, 9.67 14.21.
    [(0, 1, 3), (4, 5, 8), (9, 10, 15)],
)
def test_waits_equal_the_chi_square_tables_at_one_start_a_day(people_ahead: int, median: int, upper: int) -> None:
    assert wait_days(people_ahead, 7, 0.5) == median
    assert wait_days(people_ahead, 7, 0.9) == upper


def test_the_queue_is_counted_by_class_whatever_the_priority_is_called() -> None:
    assert queue_by_urgency({"asap": 2, "urgent": 3, "routine": 4}, LIMITS) == {
        "emergency": 0,
        "urgent": 5,
        "routine": 4,
    }


@pytest.mark.parametrize(("count", "mean", "probability"), [(9000, 100.0, 1.0), (100, 9000.0, 0.0)])
def test_long_queues_neither_underflow_nor_overflow(count: int, mean: float, probability: float) -> None:
    assert poisson_at_most(count, mean) == pytest.approx(probability, abs=1e-12)


@pytest.mark.parametrize("wait", [promised(7), promised(1, routine=9), promised(0), promised(7, "stat")])
def test_people_are_told_about_every_outcome_in_every_language(wait: WaitPromise) -> None:
    words = wait_words(wait, "Psychotherapy North", data.wait_templates())
    assert set(words) == {"en", "de", "es", "fr"}
    assert all(text and "{" not in text for text in words.values())
    named = all("Psychotherapy North" in text for text in words.values())
    assert named == (wait.outcome != "hand-over")


@pytest.mark.parametrize(
    ("wait", "said"), [(promised(0), "not found a place"), (promised(0, "stat"), "takes over directly")]
)
def test_without_a_place_no_empty_name_is_told_and_a_hand_over_still_is(wait: WaitPromise, said: str) -> None:
    words = wait_words(wait, None, data.wait_templates())
    assert said in words["en"]
    assert all("None" not in text for text in words.values())


def test_one_day_is_not_written_as_days() -> None:
    words = wait_words(promised(7), "Psychotherapy North", data.wait_templates())
    assert "within 1 day," in words["en"]
    assert "within 3 days" in words["en"]
    assert "von 1 Tag," in words["de"]
