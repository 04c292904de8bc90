"""The columns of which tables beside those of FHIR are made: texts in byte order, moments, and the lease of a timer."""

from datetime import datetime

from sqlalchemy import Column, Text, TextClause, text
from sqlalchemy.dialects.postgresql import TIMESTAMP


def text_column(*, key: bool = False, optional: bool = False, default: str | None = None) -> Column[str]:
    """A text that is compared byte by byte, the same on every server. `default` is an expression of SQL."""
    return Column(Text(collation="C"), primary_key=key, nullable=optional, server_default=_default(default))


def moment_column(*, optional: bool = False, default: str | None = None) -> Column[datetime]:
    """A moment with its time zone. `default` is an expression of SQL."""
    return Column(TIMESTAMP(timezone=True), nullable=optional, server_default=_default(default))


def lease_column() -> Column[datetime]:
    """Until when a replica works on a row (leases.py); one that nobody has ever taken is free."""
    return moment_column(default="'-infinity'")


def _default(expression: str | None) -> TextClause | None:
    return None if expression is None else text(expression)
