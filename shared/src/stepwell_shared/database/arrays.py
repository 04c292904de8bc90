"""What is an array of parameters: a list or a tuple, and of what.

asyncpg asks of each array, and of each value in it, whether it can be iterated over and has a length. Asked of abstract
base classes, as it does, this is a twentieth of what a create takes; asked of these types it is next to nothing. On
each connection it also asks the server what an array of whole numbers is, by three statements that take 10 ms together,
although PostgreSQL's own types have the same numbers everywhere.
"""

import asyncpg
from asyncpg.protocol import protocol

ARRAYS = (list, tuple)


def know_arrays() -> None:
    """From now on, in this process, asyncpg takes lists and tuples for arrays and refuses anything else as one."""
    protocol.IterableABC = protocol.SizedABC = ARRAYS


def _array(number: int, name: str, of: int, of_name: str) -> dict[str, object]:
    """An array type as asyncpg would find it in pg_type."""
    nothing = dict.fromkeys(("basetype", "range_subtype", "attrtypoids", "attrnames"))
    return {
        "oid": number,
        "ns": "pg_catalog",
        "name": f"_{name}",
        "kind": b"b",
        "elemtype": of,
        "elemtype_name": of_name,
        "elemdelim": b",",
        **nothing,
    }


# The arrays that statements take and give, by their numbers: PostgreSQL's src/include/catalog/pg_type.dat.
KNOWN_ARRAYS = (
    _array(199, "json", 114, "json"),
    _array(1000, "bool", 16, "boolean"),
    _array(1001, "bytea", 17, "bytea"),
    _array(1003, "name", 19, "name"),
    _array(1005, "int2", 21, "smallint"),
    _array(1007, "int4", 23, "integer"),
    _array(1016, "int8", 20, "bigint"),
    _array(1022, "float8", 701, "double precision"),
    _array(1182, "date", 1082, "date"),
    _array(1185, "timestamptz", 1184, "timestamp with time zone"),
)


def know_types_of_arrays(connection: asyncpg.Connection) -> None:
    """From now on this connection does not ask the server what these arrays are."""
    connection._protocol.get_settings().register_data_types(KNOWN_ARRAYS)  # there is no public way
