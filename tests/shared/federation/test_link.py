"""Promises of how much goes over a link: little at first, less when it fails, and always at least one event."""

from dataclasses import dataclass

import pytest
from stepwell_shared.federation.link import BYTES_FIRST, BYTES_MAX, BYTES_MIN, Link, timeout_seconds

KBIT_64 = 8_000


@dataclass(frozen=True)
class Item:
    size_bytes: int
    alone: bool = False


def sizes(link: Link, *items: Item) -> list[list[int]]:
    return [[item.size_bytes for item in part] for part in link.parts(items)]


def test_nothing_is_sent_for_nothing() -> None:
    assert sizes(Link()) == []


def test_one_that_is_larger_than_the_link_bears_goes_by_itself() -> None:
    assert sizes(Link(bytes_max=10), Item(50), Item(4), Item(5), Item(6)) == [[50], [4, 5], [6]]


def test_what_must_not_share_a_bundle_does_not() -> None:
    assert sizes(Link(), Item(1), Item(2, alone=True), Item(3), Item(4)) == [[1], [2], [3, 4]]


def test_failures_shrink_what_is_sent_down_to_single_events_and_no_further() -> None:
    link = Link()
    for _ in range(20):
        link.failed()
    assert link.bytes_max == BYTES_MIN
    assert sizes(link, Item(BYTES_MIN), Item(BYTES_MIN)) == [[BYTES_MIN], [BYTES_MIN]]


def test_a_quick_link_gets_more_and_a_slow_one_less() -> None:
    link = Link()
    for _ in range(20):
        link.succeeded(link.bytes_max, 0.1)
    assert link.bytes_max == BYTES_MAX
    link.succeeded(BYTES_MAX, 5.0)
    assert link.bytes_max == BYTES_MAX // 2


def test_small_answers_prove_nothing_about_large_ones() -> None:
    link = Link()
    link.succeeded(100, 0.01)
    assert link.bytes_max == BYTES_FIRST


@pytest.mark.parametrize("size_bytes", [BYTES_MIN, BYTES_FIRST])
def test_what_is_first_sent_arrives_over_64_kbit_within_a_receivers_ten_seconds(size_bytes: int) -> None:
    assert size_bytes / KBIT_64 < 10 / 2


def test_at_64_kbit_the_size_settles_where_a_body_takes_a_few_seconds() -> None:
    link = Link()
    for _ in range(50):
        link.succeeded(link.bytes_max, 0.3 + link.bytes_max / KBIT_64)
    assert link.bytes_max / KBIT_64 < 5


def test_the_deadline_leaves_a_slow_link_its_time() -> None:
    assert timeout_seconds(BYTES_MAX) > BYTES_MAX / KBIT_64 + 10


def test_what_is_settled_is_forgotten() -> None:
    link = Link(arrived={(1, (5, 1)), (2, (5, 2))})
    link.forget_below(2)
    assert link.arrived == {(2, (5, 2))}
