"""What is kept of exports: what was asked for and as of when, how far it was looked through, and the files found."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP
from sqlmodel import Field, SQLModel

from stepwell_shared.database.transaction_id import Xid8


def _text(*, key: bool = False) -> Column[str]:
    return Column(Text(collation="C"), primary_key=key, nullable=False)


def _moment(*, nullable: bool = False, default: str | None = None) -> Column[datetime]:
    server_default = None if default is None else text(default)
    return Column(TIMESTAMP(timezone=True), nullable=nullable, server_default=server_default)


def _integer(*, key: bool = False) -> Column[int]:
    return Column(Integer, primary_key=key, nullable=False, autoincrement=False)


class ExportJob(SQLModel, table=True):
    """One export. Its content is all that transactions before `horizon` have left; `place` counts the steps taken.

    `selection` and `after_id` are where it goes on. The row outlives its files: `_since` with its transaction time
    begins exactly where this export ended. Without `due_at` there is nothing left to do.
    """

    __tablename__: ClassVar[str] = "export_job"
    __table_args__ = (
        Index("export_job_due", "tenant", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("export_job_time", "tenant", "transaction_time"),
    )

    tenant: str = Field(sa_column=_text(key=True))
    id: str = Field(sa_column=_text(key=True))
    client_id: str = Field(sa_column=_text())
    request: str = Field(sa_column=_text())
    recipe: bytes = Field(sa_column=Column(BYTEA, nullable=False))
    transaction_time: datetime = Field(sa_column=_moment())
    horizon: int = Field(sa_column=Column(Xid8(), nullable=False))
    status: str = Field(sa_column=_text())
    reason: str = Field(sa_column=_text())
    place: int = Field(sa_column=_integer())
    selection: int = Field(sa_column=_integer())
    after_id: str = Field(sa_column=_text())
    resources: int = Field(sa_column=Column(BigInteger, nullable=False))
    expires_at: datetime = Field(sa_column=_moment())
    due_at: datetime | None = Field(sa_column=_moment(nullable=True))
    lease_until: datetime = Field(sa_column=_moment(default="'-infinity'"))


class ExportPart(SQLModel, table=True):
    """One file: the resources of one selection whose ids lie after one and up to another."""

    __tablename__: ClassVar[str] = "export_part"

    tenant: str = Field(sa_column=_text(key=True))
    job_id: str = Field(sa_column=_text(key=True))
    number: int = Field(sa_column=_integer(key=True))
    selection: int = Field(sa_column=_integer())
    after_id: str = Field(sa_column=_text())
    last_id: str = Field(sa_column=_text())
    resources: int = Field(sa_column=_integer())


TABLES: tuple[type[SQLModel], ...] = (ExportJob, ExportPart)
