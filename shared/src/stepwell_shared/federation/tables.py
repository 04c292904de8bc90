"""The partners of each tenant, in the database of the service that exchanges with them. No key and no patient data."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Boolean, Column, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlmodel import Field, SQLModel


def _text(*, key: bool = False) -> Column[str]:
    return Column(Text(collation="C"), primary_key=key, nullable=False)


def _flag() -> Column[bool]:
    return Column(Boolean, nullable=False)


class PartnerRow(SQLModel, table=True):
    """One partner organisation: where it is, who we are there, and what was agreed.

    `shared` and `keys` are blank-separated, `taken_here` and `taken_there` JSON.
    """

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
    keys: str = Field(sa_column=Column(Text(collation="C"), nullable=False, server_default=text("''")))
    taken_here: str = Field(sa_column=Column(Text(collation="C"), nullable=False, server_default=text("''")))
    taken_there: str = Field(sa_column=Column(Text(collation="C"), nullable=False, server_default=text("''")))
    created_at: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))


class PartnerLinkRow(SQLModel, table=True):
    """When a partner was last heard: it called us, or answered us. A row of its own, since it changes all the time."""

    __tablename__: ClassVar[str] = "partner_link"

    tenant: str = Field(sa_column=_text(key=True))
    name: str = Field(sa_column=_text(key=True))
    heard_at: datetime = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=False))
