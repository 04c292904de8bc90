"""How the published figures of the dashboards are kept, one row for each measure."""

from datetime import date, datetime
from typing import ClassVar

from sqlalchemy import Date
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import moment_column, text_column


class DashboardSheetRow(SQLModel, table=True):
    """What is published of one measure, in the words of `rules/board.py`: no count in it is a small one.

    The row without a measure says who makes the others: until `made_at` plus a while nobody else begins.
    """

    __tablename__: ClassVar[str] = "dashboard_sheet"

    tenant: str = Field(sa_column=text_column(key=True))
    measure: str = Field(sa_column=text_column(key=True))
    made_at: datetime = Field(sa_column=moment_column())
    start_on: date = Field(sa_type=Date)
    end_on: date = Field(sa_type=Date)
    body: str = Field(sa_column=text_column())


TABLES: tuple[type[SQLModel], ...] = (DashboardSheetRow,)
