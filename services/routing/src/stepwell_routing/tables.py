"""What routing knows of each person: evidence as it came in, beside the decisions that are FHIR resources."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import Database

RISK = "risk"
# What people and safety Tasks say, and what happened on the way; none of these is a score.
RED_FLAG, MANUAL_TRIAGE, RELIABLE = "red-flag", "manual-triage", "reliable-change/"
STEP, ATTENDED, MISSED = "course/step", "course/attended", "course/missed"
HOLD, EXIT, BOOSTER, AGREED = "course/hold", "course/exit", "course/booster", "course/agreed/"
BOOSTER_DATED = "course/booster-dated"
"""A booster in the step: the value is when it is due, and none once it has taken place or was cancelled."""
# What runs beside the step, by kind and what it is; the value is the id of its request, or `open`.
BESIDE = "course/beside/"
# What was answered, under the name that policies use; the outcome of a decision; and what the services around know.
SAID, OUTCOME = "said/", "course/outcome"
BORN, SEX, WAIT_UNTIL = "person/birth-date", "person/sex", "referral/wait-until"
SITE, PLACE = "place/site", "place/weekly-starts"
CONDITION, MEDICINE = "condition/", "medicine/"
PLACES = "HealthcareService"
"""Not a person: the subject under which the rows of all places of a tenant are kept."""


class Known(NamedTuple):
    """One row of evidence, in the order of the table's insertable columns without the subject."""

    name: str
    value: str | None
    observed_at: datetime
    reference: str
    source_version: int


def evidence_effect(subject: str, known: Known) -> Effect:
    """The row that keeps one thing in the unit of work of the decision that it leads to."""
    return Effect("evidence", (subject, *known))


def evidence_reader(database: Database) -> Coalescer[list[Known]]:
    """Reads what is known of a person; group is (tenant,), key is the subject. Those who ask at once share a call."""

    async def fetch(group: tuple[str, ...], subjects: Sequence[str]) -> Mapping[str, list[Known]]:
        found: dict[str, list[Known]] = {subject: [] for subject in subjects}
        for row in await database.fetch("SELECT * FROM read_evidence($1, $2)", group[0], subjects):
            subject, *rest = row
            found[subject].append(Known(*rest))
        return found

    return Coalescer(fetch)


def knowledge_reader(database: Database, told: Callable[[str, int], None]) -> Coalescer[list[Known]]:
    """The same; `told` hears before each answer how many steps the tenant's policies have taken, by tenant."""

    async def fetch(group: tuple[str, ...], subjects: Sequence[str]) -> Mapping[str, list[Known]]:
        found: dict[str, list[Known]] = {subject: [] for subject in subjects}
        for row in await database.fetch("SELECT * FROM read_knowledge($1, $2)", group[0], subjects):
            subject, *rest = row
            if subject:
                found[subject].append(Known(*rest))
            else:
                told(group[0], int(row["value"]))
        return found

    return Coalescer(fetch)
