"""How one-time links to forms are kept. No answer and no name stands in their table."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Column, SmallInteger
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import moment_column, text_column


class FormLink(SQLModel, table=True):
    """What a link is bound to. `author` is the browser session that gave the first answers, `attempts` counts the
    wrong tries to prove who comes back. The link itself is not kept: only who has the key can make it.
    """

    __tablename__: ClassVar[str] = "form_link"

    tenant: str = Field(sa_column=text_column(key=True))
    id: str = Field(sa_column=text_column(key=True))
    questionnaire_id: str = Field(sa_column=text_column())
    questionnaire: str = Field(sa_column=text_column())
    subject: str = Field(sa_column=text_column())
    task: str = Field(sa_column=text_column())
    author: str = Field(sa_column=text_column())
    attempts: int = Field(sa_column=Column(SmallInteger, nullable=False))
    created_at: datetime = Field(sa_column=moment_column())
    expires_at: datetime = Field(sa_column=moment_column())
