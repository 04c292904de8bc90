"""Start here: screening = settings + resources + endpoints. Standard questionnaires, validated, scored, acted on."""

from pathlib import Path

from stepwell_shared.runtime import Service

from stepwell_screening.instruments.publications import READ_PUBLICATIONS, PublicationRow
from stepwell_screening.pages import form_pages
from stepwell_screening.resources import registry
from stepwell_screening.subscriptions import TOPICS
from stepwell_screening.tables import FormLink
from stepwell_screening.timers import FUNCTIONS, TABLES
from stepwell_screening.use_cases.escalation import loops
from stepwell_screening.use_cases.shipping import ship_questionnaires
from stepwell_screening.use_cases.urgency import cannot_wait

service = Service(
    name="screening",
    title="Stepwell screening",
    description="Standard questionnaires, validated and scored; safety items acted on; everything announced.",
    resources=registry,
    topics=TOPICS,
    urgent={"QuestionnaireResponse": cannot_wait},
    seed=ship_questionnaires,
    loops=loops,
    tables=(PublicationRow, FormLink, *TABLES),
    functions=(READ_PUBLICATIONS, *FUNCTIONS),
    pages=form_pages,
    package=Path(__file__).parent,
)
