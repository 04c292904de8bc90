"""Tables of the engine that hold no resource: answers under an Idempotency-Key, and what search is indexed for."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Column, Index, SmallInteger
from sqlalchemy.dialects.postgresql import BYTEA
from sqlmodel import Field, SQLModel

from stepwell_shared.database.columns import moment_column, text_column
from stepwell_shared.fhir.table_names import IDEMPOTENCY_TABLE, SHAPE_TABLE


class IdempotencyKey(SQLModel, table=True):
    """One key of one client, the digest of what was asked under it, and the answer, committed with its effect.

    Effects fill the columns in this order without the tenant. `headers` is a JSON object.
    """

    __tablename__: ClassVar[str] = IDEMPOTENCY_TABLE
    __table_args__ = (Index("idempotency_key_age", "tenant", "created_at"),)

    tenant: str = Field(sa_column=text_column(key=True))
    client_id: str = Field(sa_column=text_column(key=True))
    key: str = Field(sa_column=text_column(key=True))
    digest: bytes = Field(sa_column=Column(BYTEA, nullable=False))
    status: int = Field(sa_column=Column(SmallInteger, nullable=False))
    headers: str = Field(sa_column=text_column())
    resource_id: str = Field(sa_column=text_column())
    body: bytes = Field(sa_column=Column(BYTEA, nullable=False))
    created_at: datetime = Field(sa_column=moment_column())


class SearchShape(SQLModel, table=True):
    """What the stored resources of a type were last re-indexed for: the digest of its search parameters."""

    __tablename__: ClassVar[str] = SHAPE_TABLE

    resource_type: str = Field(sa_column=text_column(key=True))
    shape: str = Field(sa_column=text_column())
