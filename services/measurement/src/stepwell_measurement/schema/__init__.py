"""The tables of measurement beside those of FHIR and of every service, and their SQL functions.

Migrations load it, and nothing that serves: what the running service asks of these tables stands in `tables.py`
(series and episodes), `care_tables.py`, `board_tables.py` and `improvement_tables.py`.
"""

from sqlmodel import SQLModel
from stepwell_shared.federation.tables import PartnerLinkRow, PartnerRow

from stepwell_measurement.schema import board, care, improvement, series

TABLES: tuple[type[SQLModel], ...] = (
    *series.TABLES,
    *care.TABLES,
    *board.TABLES,
    *improvement.TABLES,
    PartnerRow,
    PartnerLinkRow,
)
FUNCTIONS = (
    *series.FUNCTIONS,
    *care.FUNCTIONS,
    *improvement.FUNCTIONS,
)
