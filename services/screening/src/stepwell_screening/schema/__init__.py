"""The tables of screening beside those of FHIR and of every service, and their SQL functions.

Migrations load it, and nothing that serves: what the running service asks of these tables stands in `timers.py`,
`schedules.py`, `instruments/publications.py` and `use_cases/form_links.py`.
"""

from sqlmodel import SQLModel

from stepwell_screening.schema import schedules, timers
from stepwell_screening.schema.form_links import FormLink
from stepwell_screening.schema.publications import READ_PUBLICATIONS, PublicationRow

TABLES: tuple[type[SQLModel], ...] = (
    PublicationRow,
    FormLink,
    *timers.TABLES,
    *schedules.TABLES,
)
FUNCTIONS = (
    READ_PUBLICATIONS,
    *timers.FUNCTIONS,
    *schedules.FUNCTIONS,
)
