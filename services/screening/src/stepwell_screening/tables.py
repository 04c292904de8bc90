"""The one-time links that open a form without an account. No answer and no name stands in their table."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Column, SmallInteger, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlmodel import Field, SQLModel


def _text(*, key: bool = False) -> Column[str]:
    return Column(Text(collation="C"), primary_key=key, nullable=False)


def _moment() -> Column[datetime]:
    return Column(TIMESTAMP(timezone=True), nullable=False)


class FormLink(SQLModel, table=True):
    """What a link is bound to. `author` is the browser session that gave the first answers, `attempts` counts the
    wrong tries to prove who comes back. The link itself is not kept: only who has the key can make it.
    """

    __tablename__: ClassVar[str] = "form_link"

    tenant: str = Field(sa_column=_text(key=True))
    id: str = Field(sa_column=_text(key=True))
    questionnaire_id: str = Field(sa_column=_text())
    questionnaire: str = Field(sa_column=_text())
    subject: str = Field(sa_column=_text())
    task: str = Field(sa_column=_text())
    author: str = Field(sa_column=_text())
    attempts: int = Field(sa_column=Column(SmallInteger, nullable=False))
    created_at: datetime = Field(sa_column=_moment())
    expires_at: datetime = Field(sa_column=_moment())
