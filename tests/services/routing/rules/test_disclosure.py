"""Small groups are merged so that no arithmetic on what is published finds them again."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from stepwell_routing.rules.disclosure import SMALL_BELOW, is_safe, merged, partition, rounded

TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.tuples(*[st.integers(0, 12)] * width), min_size=1, max_size=6).map(
        lambda rows: {f"group {index}": counts for index, counts in enumerate(rows)}
    )
)


def test_fewer_than_five_in_all_are_not_published() -> None:
    assert partition({"a": 2, "b": 1}) is None


def test_a_single_small_group_is_never_merged_alone() -> None:
    rows = merged({"a": (3,), "b": (40,), "c": (20,)})
    assert rows is not None
    assert [(row.labels, row.counts) for row in rows] == [(("b",), (40,)), (("a", "c"), (23,))]


def test_two_small_groups_that_are_small_together_take_a_third() -> None:
    rows = merged({"a": (1,), "b": (1,), "c": (20,), "d": (9,)})
    assert rows is not None
    assert rows[-1].labels == ("a", "b", "d")


def test_a_group_without_anybody_in_one_place_is_no_small_group() -> None:
    assert merged({"a": (0, 9), "b": (7, 5)}) is not None
    assert is_safe((0, 5))


def test_counts_are_rounded_to_the_nearest_multiple() -> None:
    assert [rounded(count, 5) for count in (5, 7, 8, 12, 13)] == [5, 5, 10, 10, 15]
    assert rounded(7, 1) == 7


@given(TABLES)
def test_everybody_is_published_once(table: dict[str, tuple[int, ...]]) -> None:
    rows = merged(table)
    if rows is None:
        return
    assert sorted(label for row in rows for label in row.labels) == sorted(table)
    assert sum(row.total for row in rows) == sum(sum(counts) for counts in table.values())


@given(TABLES)
def test_no_sum_or_difference_of_published_rows_is_a_small_group(table: dict[str, tuple[int, ...]]) -> None:
    """Whatever is added up, what is left of the total is people of whole published rows, none of them small."""
    rows = merged(table)
    if rows is None:
        return
    for column in range(len(rows[0].counts)):
        counts = [row.counts[column] for row in rows]
        for size in range(len(counts) + 1):
            for chosen in combinations(counts, size):
                left = sum(counts) - sum(chosen)
                assert left == 0 or left >= SMALL_BELOW


@given(TABLES, st.data())
def test_a_merged_group_cannot_be_told_from_another_that_it_was_merged_with(
    table: dict[str, tuple[int, ...]], data: st.DataObject
) -> None:
    """The same report comes from people who are swapped between merged groups: so it says nothing of a single one."""
    rows = merged(table)
    together = [row.labels for row in rows or () if len(row.labels) > 1]
    if not together:
        return
    one, other = data.draw(st.permutations(together[0]))[:2]
    swapped = merged({**table, one: table[other], other: table[one]})
    assert swapped == rows
