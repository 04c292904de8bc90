"""Parameters that are arrays."""

import asyncpg
import pytest
from asyncpg.protocol import protocol
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database.arrays import ARRAYS, know_arrays
from stepwell_shared.database.pool import Database


def test_asyncpg_asks_by_the_names_that_are_set() -> None:
    assert {"IterableABC", "SizedABC"} <= vars(protocol).keys()
    know_arrays()
    assert (protocol.IterableABC, protocol.SizedABC) == (ARRAYS, ARRAYS)


async def test_what_is_neither_list_nor_tuple_is_refused(empty_database: DatabaseUrls) -> None:
    async with Database.open(empty_database.runtime) as database:
        with pytest.raises(asyncpg.DataError, match="a sized iterable container expected"):
            await database.fetch("SELECT $1::text[]", dict.fromkeys("ab").keys())


@pytest.mark.parametrize(
    ("type_", "given"),
    [
        ("text[]", []),
        ("text[]", ["", "a", None, "ü, {\"\\'}"]),
        ("int[]", (1, None, 3)),
        ("bytea[]", [b"", b"ab"]),
        ("boolean[]", [True, False]),
        ("text[]", [["a", "b"], ["c", None]]),
    ],
)
async def test_lists_and_tuples_arrive_as_they_are(
    type_: str, given: list[object] | tuple[object, ...], empty_database: DatabaseUrls
) -> None:
    async with Database.open(empty_database.runtime) as database:
        (row,) = await database.fetch(f"SELECT $1::{type_} AS found", given)
    assert row["found"] == list(given)
