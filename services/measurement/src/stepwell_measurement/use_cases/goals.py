"""Goals in a person's own words: how far each has come, from 0 to 10, and a look at all of them at every move."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from stepwell_shared.canonical import code_system, derived_id, extension_url
from stepwell_shared.events.outbox import Content, event
from stepwell_shared.fhir import values
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.search.terms import escape
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_measurement.builders import reviews as review_builders
from stepwell_measurement.rules.readings import codes_of
from stepwell_measurement.subscriptions import REVIEW_ASKED
from stepwell_measurement.tables import kept_score
from stepwell_measurement.use_cases.series import EFFECTIVE, STANDING

ATTAINMENT = (code_system("instrument-item"), "goal-attainment")
ATTAINMENT_MAX = 10
GOALS_MAX = 100

Resource = dict[str, Any]


def check_attainment(observation: Resource) -> None:
    """Raises FhirError BUSINESS_RULE for how far a goal has come that is not from 0 to 10, or of no Goal."""
    if ATTAINMENT not in codes_of(observation.get("code", {})):
        return
    value = observation.get("valueQuantity", {}).get("value", observation.get("valueInteger"))
    if value is not None and not 0 <= value <= ATTAINMENT_MAX:
        text = f"how far a goal has come is said from 0 to {ATTAINMENT_MAX}"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "Observation.value")])
    about = [str(each.get("reference", "")) for each in observation.get("focus", ())]
    if "focus" in observation and not any(each.rpartition("/")[0].endswith("Goal") for each in about):
        text = "what it is about is a Goal"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "Observation.focus")])


def attainment_of(observation: Resource) -> tuple[datetime, Decimal] | None:
    """When and how far; None for what does not stand."""
    value = observation.get("valueQuantity", {}).get("value", observation.get("valueInteger"))
    effective = next((values.period(observation[name]) for name in EFFECTIVE if name in observation), None)
    if observation.get("status") not in STANDING or value is None or effective is None:
        return None
    return effective[0], Decimal(value)


async def active_goals(runtime: Runtime, tenant: str, person: str) -> list[Resource]:
    """The Goals that somebody works towards now; `person` is a reference. Decimals stay as they are written."""
    if f"/{person}".rpartition("/")[0].rpartition("/")[2] != "Patient":
        return []
    given = [("patient", escape(person)), ("lifecycle-status", "active,accepted")]
    served_type = runtime.engine.registry.types["Goal"]
    query = query_of(runtime.engine, served_type, given, (), strict=True)
    query.count = GOALS_MAX
    rows = await runtime.store.search(tenant, *query.page_statement())
    return [kept_score(row["body"], row["version"]).resource for row in rows[:GOALS_MAX]]


async def ask_to_review(runtime: Runtime, unit: UnitOfWork, episode: Resource, focus: str) -> None:
    """A Task to look at the goals once for each step that is entered, and once when care ends. Who has none is not
    asked about them."""
    since = _entered(episode)
    if not since:
        return
    subject = episode["patient"]
    task_id = derived_id(runtime.engine.base_url, unit.tenant, review_builders.GOAL_REVIEW, focus, since)
    if await runtime.store.read(unit.tenant, "Task", task_id) is not None:
        return
    goals = await active_goals(runtime, unit.tenant, runtime.engine.localise(subject.get("reference", "")))
    if not goals:
        return
    now = runtime.clock()
    task = review_builders.review_task(
        review_builders.GOAL_REVIEW,
        task_id=task_id,
        focus=focus,
        subject=subject,
        about=[f"Goal/{goal['id']}" for goal in goals],
        now=now,
    )
    change = built(runtime.engine, task, now)
    unit.changes.append(change)
    announce(runtime, unit, subject, change.stored, [])


def announce(runtime: Runtime, unit: UnitOfWork, subject: Resource, task: Stored, beside: Sequence[Stored]) -> None:
    """Tells subscribers of a Task that asks for a look, with what comes beside it."""
    base_url = runtime.engine.base_url
    entries: list[tuple[str, Content]] = [
        (f"{base_url}/{each.resource_type}/{each.id}", each) for each in (task, *beside)
    ]
    key = runtime.engine.localise(subject.get("reference", ""))
    unit.effects.append(event(REVIEW_ASKED.canonical, key, f"Task/{task.id}", entries, task.last_updated))


def _entered(episode: Resource) -> str:
    """When the present step was entered, or that care has ended; empty for an episode in which neither has happened."""
    if episode["status"] == "finished":
        return "finished"
    steps = [each for each in episode.get("extension", ()) if each.get("url") == extension_url("current-step")]
    parts = [part for step in steps for part in step.get("extension", ()) if part.get("url") == "since"]
    return str(parts[0].get("valueDateTime", "")) if parts else ""


def body_of(stored: Stored) -> Resource:
    """A stored resource as a dict."""
    found: Resource = orjson.loads(stored.body or b"{}")
    return found
