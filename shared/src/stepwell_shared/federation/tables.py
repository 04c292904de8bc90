"""The partners of each tenant, in the database of the service that exchanges with them. No key and no patient data."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Boolean, Column, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlmodel import Field, SQLModel


def _text(*, key: bool = False) -> Column[str]:
    return Column(Text(collation="C"), primary_key=key, nullable=False)


def _flag() -> Column[bool]:
    return Column(Boolean, nullable=False)


class PartnerRow(SQLModel, table=True):
    """One partner organisation: where it is, who we are there, and what was agreed. `shared` is blank-separated."""

    __tablename__: ClassVar[str] = "partner"

    tenant: str = Field(sa_column=_text(key=True))
    name: str = Field(sa_column=_text(key=True))
    title: str = Field(sa_column=_text())
    base_url: str = Field(sa_column=_text())
    notifications_url: str = Field(sa_column=_text())
    issuer_url: str = Field(sa_column=_text())
    client_id: str = Field(sa_column=_text())
    organization_there: str = Field(sa_column=_text())
    subscription_there: str = Field(sa_column=_text())
    place_there: str = Field(sa_column=_text())
    refers_here: bool = Field(sa_column=_flag())
    referred_to: bool = Field(sa_column=_flag())
    shared: str = Field(sa_column=_text())
    created_at: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
