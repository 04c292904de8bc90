"""What is kept of exports: what was asked for and as of when, how far it was looked through, and the files found."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index, Integer, text
from sqlalchemy.dialects.postgresql import BYTEA
from sqlmodel import Field, SQLModel

from stepwell_shared.database.columns import lease_column, moment_column, text_column
from stepwell_shared.database.transaction_id import Xid8


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

    tenant: str = Field(sa_column=text_column(key=True))
    id: str = Field(sa_column=text_column(key=True))
    client_id: str = Field(sa_column=text_column())
    request: str = Field(sa_column=text_column())
    recipe: bytes = Field(sa_column=Column(BYTEA, nullable=False))
    transaction_time: datetime = Field(sa_column=moment_column())
    horizon: int = Field(sa_column=Column(Xid8(), nullable=False))
    status: str = Field(sa_column=text_column())
    reason: str = Field(sa_column=text_column())
    place: int = Field(sa_column=_integer())
    selection: int = Field(sa_column=_integer())
    after_id: str = Field(sa_column=text_column())
    resources: int = Field(sa_column=Column(BigInteger, nullable=False))
    expires_at: datetime = Field(sa_column=moment_column())
    due_at: datetime | None = Field(sa_column=moment_column(optional=True))
    lease_until: datetime = Field(sa_column=lease_column())


class ExportPart(SQLModel, table=True):
    """One file: the resources of one selection whose ids lie after one and up to another."""

    __tablename__: ClassVar[str] = "export_part"

    tenant: str = Field(sa_column=text_column(key=True))
    job_id: str = Field(sa_column=text_column(key=True))
    number: int = Field(sa_column=_integer(key=True))
    selection: int = Field(sa_column=_integer())
    after_id: str = Field(sa_column=text_column())
    last_id: str = Field(sa_column=text_column())
    resources: int = Field(sa_column=_integer())


TABLES: tuple[type[SQLModel], ...] = (ExportJob, ExportPart)
