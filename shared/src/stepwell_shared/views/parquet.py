"""Packs rows that stand as NDJSON into Parquet, by DuckDB. Only whoever writes Parquet needs it installed.

Dates and times stay texts: in FHIR they may be a year or a month. https://hl7.org/fhir/R4/datatypes.html#date
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb

from stepwell_shared.views.definition import Column

_TYPES: Final = {
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "integer64": "BIGINT",
    "positiveInt": "BIGINT",
    "unsignedInt": "BIGINT",
    "decimal": "DOUBLE",
}
_LINE_BYTES_MAX = 8 * 1024 * 1024
# One thread packs as fast as the rows come, and holds one group of rows instead of several.
_SETTINGS = (
    "threads = 1",
    "memory_limit = '512MB'",
    # Nothing may be fetched from elsewhere: all that is needed is built in.
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
)


def pack(columns: Sequence[Column], lines: Path, path: Path) -> None:
    """Writes the rows of one file as another."""
    listed = ", ".join(f"'{column.name}': '{_type(column)}'" for column in columns)
    with duckdb.connect() as connection:
        for setting in _SETTINGS:
            connection.execute(f"SET {setting}")
        connection.execute(
            f"COPY (SELECT * FROM read_json(?, format = 'newline_delimited', columns = {{{listed}}},"
            f" maximum_object_size = {_LINE_BYTES_MAX})) TO {_quoted(path)} (FORMAT parquet, COMPRESSION zstd)",
            [str(lines)],
        )


def _type(column: Column) -> str:
    """Names of columns have letters, digits and underscores only, so that they can stand in the statement."""
    plain = _TYPES.get(column.type, "VARCHAR")
    return f"{plain}[]" if column.is_collection else plain


def _quoted(path: Path) -> str:
    text = str(path).replace("'", "''")
    return f"'{text}'"
