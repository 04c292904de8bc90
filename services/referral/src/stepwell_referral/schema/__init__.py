"""The tables of referral beside those of FHIR and of every service, and their SQL functions.

Migrations load it, and nothing that serves: what the running service asks of these tables stands in `timers.py`,
`booking_tables.py` and `directory_tables.py`.
"""

from sqlmodel import SQLModel
from stepwell_shared.federation.tables import PartnerLinkRow, PartnerRow

from stepwell_referral import pace_queries, worklist_queries
from stepwell_referral.schema import booking, directory, timers

TABLES: tuple[type[SQLModel], ...] = (
    PartnerRow,
    PartnerLinkRow,
    directory.DirectoryRevisionRow,
    *timers.TABLES,
    *booking.TABLES,
)
FUNCTIONS = (
    *directory.FUNCTIONS,
    *timers.FUNCTIONS,
    *booking.FUNCTIONS,
    *pace_queries.FUNCTIONS,
    *worklist_queries.FUNCTIONS,
)
