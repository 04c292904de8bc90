"""The columns of which tables beside FHIR are made: texts in byte order, moments, and the lease of a timer."""

from datetime import datetime

from sqlalchemy import Column, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP


def text_column(*, key: bool = False, optional: bool = False, default: str | None = None) -> Column[str]:
    """A text that is compared byte by byte, the same on every server. `default` is an expression of SQL."""
    server_default = None if default is None else text(default)
    return Column(Text(collation="C"), primary_key=key, nullable=optional, server_default=server_default)


def moment_column(*, optional: bool = False) -> Column[datetime]:
    """A moment with its time zone."""
    return Column(TIMESTAMP(timezone=True), nullable=optional)


def lease_column() -> Column[datetime]:
    """Until when a replica works on a row (leases.py); one that nobody has ever taken is free."""
    return Column(TIMESTAMP(timezone=True), nullable=False, server_default=text("'-infinity'"))
