"""The tables of routing beside those of FHIR and of every service, and their SQL functions.

Migrations load it, and nothing that serves: what the running service asks of these tables stands in the modules
of the same names, in `tables.py` and in `cds/tables.py`.
"""

from sqlmodel import SQLModel

from stepwell_routing.schema import cds, proposal_answers, shadow_decisions, timers
from stepwell_routing.schema.evidence import READ_EVIDENCE, READ_KNOWLEDGE, EvidenceRow
from stepwell_routing.schema.publications import READ_PUBLICATIONS, PolicyStepRow

TABLES: tuple[type[SQLModel], ...] = (
    EvidenceRow,
    PolicyStepRow,
    *cds.TABLES,
    *timers.TABLES,
    *proposal_answers.TABLES,
    *shadow_decisions.TABLES,
)
FUNCTIONS = (
    READ_EVIDENCE,
    READ_KNOWLEDGE,
    READ_PUBLICATIONS,
    *cds.FUNCTIONS,
    *timers.FUNCTIONS,
    *proposal_answers.FUNCTIONS,
    *shadow_decisions.FUNCTIONS,
)
