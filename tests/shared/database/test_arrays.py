"""Parameters that are arrays."""

import asyncpg
import pytest
from asyncpg.protocol import protocol
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database.arrays import ARRAYS, KNOWN_ARRAYS, know_arrays
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


async def test_what_is_known_of_arrays_is_what_the_server_says(empty_database: DatabaseUrls) -> None:
    """asyncpg's own query finds them so."""
    connection = await asyncpg.connect(empty_database.runtime)
    try:
        found, _ = await connection._introspect_types([each["oid"] for each in KNOWN_ARRAYS], 10)
    finally:
        await connection.close()
    arrays = {row["oid"]: dict(row) for row in found if row["elemtype"]}
    for known in KNOWN_ARRAYS:
        assert {name: arrays[known["oid"]][name] for name in known} == known


async def test_no_server_is_asked_what_its_own_arrays_are(
    empty_database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked(*_: object) -> None:
        pytest.fail("the server was asked for its types")

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", asked)
    types = ("json", "boolean", "bytea", "name", "smallint", "int", "bigint", "float8", "date", "timestamptz")
    async with Database.open(empty_database.runtime) as database:
        for type_ in types:
            (row,) = await database.fetch(f"SELECT $1::{type_}[] AS found", [None])
            assert row["found"] == [None]
    assert len(types) == len(KNOWN_ARRAYS)
