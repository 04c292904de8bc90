"""The partners of each tenant, in the database of the service that exchanges with them. No key and no patient data."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Boolean, Column
from sqlmodel import Field, SQLModel

from stepwell_shared.database.columns import moment_column, text_column


def _flag() -> Column[bool]:
    return Column(Boolean, nullable=False)


class PartnerRow(SQLModel, table=True):
    """One partner organisation: where it is, who we are there, and what was agreed.

    `shared` and `keys` are blank-separated, `taken_here` and `taken_there` JSON.
    """

    __tablename__: ClassVar[str] = "partner"

    tenant: str = Field(sa_column=text_column(key=True))
    name: str = Field(sa_column=text_column(key=True))
    title: str = Field(sa_column=text_column())
    base_url: str = Field(sa_column=text_column())
    notifications_url: str = Field(sa_column=text_column())
    issuer_url: str = Field(sa_column=text_column())
    client_id: str = Field(sa_column=text_column())
    organization_there: str = Field(sa_column=text_column())
    subscription_there: str = Field(sa_column=text_column())
    place_there: str = Field(sa_column=text_column())
    refers_here: bool = Field(sa_column=_flag())
    referred_to: bool = Field(sa_column=_flag())
    shared: str = Field(sa_column=text_column())
    keys: str = Field(sa_column=text_column(default="''"))
    taken_here: str = Field(sa_column=text_column(default="''"))
    taken_there: str = Field(sa_column=text_column(default="''"))
    created_at: datetime = Field(sa_column=moment_column())


class PartnerLinkRow(SQLModel, table=True):
    """When a partner was last heard: it called us, or answered us. A row of its own, since it changes all the time."""

    __tablename__: ClassVar[str] = "partner_link"

    tenant: str = Field(sa_column=text_column(key=True))
    name: str = Field(sa_column=text_column(key=True))
    heard_at: datetime = Field(sa_column=moment_column())
