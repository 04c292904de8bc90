"""Writes the rows of a view to a file: CSV, NDJSON or Parquet. The file has its name only once it is whole."""

import csv
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import msgspec

from stepwell_shared.views.definition import Column, View
from stepwell_shared.views.running import Row
from stepwell_shared.views.values import ViewError

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Format(StrEnum):
    """How a table is written."""

    PARQUET = "parquet"
    CSV = "csv"
    NDJSON = "ndjson"


def write(view: View, rows: Iterable[Row], path: Path, kind: Format) -> int:
    """Writes a table; how many rows it has. Raises ViewError when Parquet cannot be written here."""
    begun = path.with_name(f"{path.name}.part")
    try:
        count = _WRITERS[kind](view.columns, rows, begun)
        begun.replace(path)
    finally:
        begun.unlink(missing_ok=True)
    return count


def _csv(columns: Sequence[Column], rows: Iterable[Row], path: Path) -> int:
    """RFC 4180; an empty field is no value, lists and objects are JSON."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in columns])
        for row in rows:
            writer.writerow([_field(value) for value in row])
            count += 1
    return count


def _field(value: Any) -> Any:
    if value is None or (isinstance(value, (str, int, Decimal)) and not isinstance(value, bool)):
        return value
    return _encode(value).decode()


def _ndjson(columns: Sequence[Column], rows: Iterable[Row], path: Path) -> int:
    with path.open("wb") as file:
        return _lines(columns, rows, file)


def _lines(columns: Sequence[Column], rows: Iterable[Row], file: IO[bytes]) -> int:
    names = [column.name for column in columns]
    count = 0
    for row in rows:
        file.write(_encode(dict(zip(names, row, strict=True))) + b"\n")
        count += 1
    return count


def _parquet(columns: Sequence[Column], rows: Iterable[Row], path: Path) -> int:
    """By way of NDJSON, which DuckDB packs as it reads: memory stays flat."""
    try:
        parquet = import_module("stepwell_shared.views.parquet")
    except ModuleNotFoundError as error:
        raise ViewError(
            "Parquet is written by DuckDB: install stepwell-shared[export], or take csv or ndjson"
        ) from error
    lines = path.with_name(f"{path.name}.lines")
    try:
        count = _ndjson(columns, rows, lines)
        parquet.pack(columns, lines, path)
    finally:
        lines.unlink(missing_ok=True)
    return count


_WRITERS: dict[Format, Callable[[Sequence[Column], Iterable[Row], Path], int]] = {
    Format.PARQUET: _parquet,
    Format.CSV: _csv,
    Format.NDJSON: _ndjson,
}
