"""What a person is sent when a form waits: in their language, naming no condition, with a one-time link.

The link stands in the message and nowhere else; bringing it to the person is for an EHR or a gateway.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from stepwell_shared.canonical import derived_id
from stepwell_shared.database.functions import Effect
from stepwell_shared.fhir.languages import best
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.runtime import Runtime

from stepwell_screening import data
from stepwell_screening import solicitation_builders as builders
from stepwell_screening.instruments import find_instrument, instruments
from stepwell_screening.use_cases.form_links import make_link

KINDS = ("ask", "remind")
DEFAULT_LANGUAGE = "en"

Resource = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """A Communication, and the row of its link."""

    communication: Resource
    effects: list[Effect]


def message_ids(runtime: Runtime, tenant: str, task_id: str) -> list[str]:
    """The ids that the messages of a Task have, sent or not."""
    return [derived_id(runtime.engine.base_url, tenant, "questionnaire message", task_id, kind) for kind in KINDS]


async def message_of(
    runtime: Runtime,
    tenant: str,
    person: Resource,
    *,
    subject: str,
    task_id: str,
    questionnaire: str,
    kind: str,
    due: datetime,
    now: datetime,
) -> Message:
    """What the person is sent when a form is asked for (`ask`) or reminded of (`remind`)."""
    language = language_of(person)
    words = texts()[language]
    link, effects = "", list[Effect]()
    if subject.startswith("Patient/"):
        link, effects = await _link(runtime, tenant, subject, task_id, questionnaire, now)
    text = words[kind if link else f"{kind}_without_link"].format(link=link, date=due.date().isoformat())
    communication = builders.message(
        communication_id=message_ids(runtime, tenant, task_id)[KINDS.index(kind)],
        task=f"Task/{task_id}",
        subject=subject,
        text=f"{text}\n{words['slower']}",
        language=language,
    )
    return Message(communication, effects)


def language_of(person: Resource) -> str:
    """The language that the person prefers, if we speak it, else another of theirs, else English."""
    spoken = sorted(person.get("communication", ()), key=lambda each: not each.get("preferred", False))
    codes = [coding.get("code", "") for each in spoken for coding in each["language"].get("coding", ())]
    known = [found for code in codes if (found := best(code, sorted(texts()))) is not None]
    return known[0] if known else DEFAULT_LANGUAGE


@cache
def texts() -> dict[str, dict[str, str]]:
    """The words by language."""
    return {name: words for name, words in data.reminders().items() if isinstance(words, dict)}


async def _link(
    runtime: Runtime, tenant: str, subject: str, task_id: str, questionnaire: str, now: datetime
) -> tuple[str, list[Effect]]:
    """A link to the form; none where the form cannot be filled in here, such as without any crisis contacts."""
    instrument = await find_instrument(runtime, tenant, questionnaire)
    if instrument is None:
        return "", []
    form = instrument.questionnaire
    form_id = f"{form['id']}-{form['version']}" if questionnaire in instruments() else form["id"]
    try:
        made = await make_link(runtime, tenant, form_id, subject, now=now, task=f"Task/{task_id}")
    except FhirError as error:
        if error.category is not Category.BUSINESS_RULE:
            raise
        return "", []
    return made.url, [made.effect]
