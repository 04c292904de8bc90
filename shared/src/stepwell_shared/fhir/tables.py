"""Tables of the engine that hold no resource: answers under an Idempotency-Key, and what search is indexed for."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Column, Index, SmallInteger, Text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP
from sqlmodel import Field, SQLModel

from stepwell_shared.fhir.table_names import IDEMPOTENCY_TABLE, SHAPE_TABLE


def _text() -> Column[str]:
    return Column(Text(collation="C"), nullable=False)


def _key() -> Column[str]:
    return Column(Text(collation="C"), primary_key=True)


class IdempotencyKey(SQLModel, table=True):
    """One key of one client, the digest of what was asked under it, and the answer, committed with its effect.

    Effects fill the columns in this order without the tenant. `headers` is a JSON object.
    """

    __tablename__: ClassVar[str] = IDEMPOTENCY_TABLE
    __table_args__ = (Index("idempotency_key_age", "tenant", "created_at"),)

    tenant: str = Field(sa_column=_key())
    client_id: str = Field(sa_column=_key())
    key: str = Field(sa_column=_key())
    digest: bytes = Field(sa_column=Column(BYTEA, nullable=False))
    status: int = Field(sa_column=Column(SmallInteger, nullable=False))
    headers: str = Field(sa_column=_text())
    resource_id: str = Field(sa_column=_text())
    body: bytes = Field(sa_column=Column(BYTEA, nullable=False))
    created_at: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))


class SearchShape(SQLModel, table=True):
    """What the stored resources of a type were last re-indexed for: the digest of its search parameters."""

    __tablename__: ClassVar[str] = SHAPE_TABLE

    resource_type: str = Field(sa_column=_key())
    shape: str = Field(sa_column=_text())
