"""A person or a device sends a reading: what lies outside of the plan asks the team for a look; the person hears it.

For each range of a plan there is one Task a week, so that nobody is flooded; a reading that is corrected leaves it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.fhir import values
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.languages import best
from stepwell_shared.fhir.registry import Write
from stepwell_shared.fhir.unit import Change, Stored
from stepwell_shared.runtime import Runtime

from stepwell_measurement.builders import reviews as review_builders
from stepwell_measurement.data import words
from stepwell_measurement.rules.readings import Planned, Reading, codes_of, is_outside, planned_ranges
from stepwell_measurement.tables import kept_score
from stepwell_measurement.use_cases.goals import active_goals, announce, body_of
from stepwell_measurement.use_cases.series import EFFECTIVE, STANDING, person_key

REMOTE = frozenset({"Patient", "RelatedPerson"})

Resource = dict[str, Any]


@dataclass(frozen=True)
class _Weekly:
    """One range of one Goal in one week, and whether the reading lies outside of it."""

    task_id: str
    goal: str
    outside: bool


def is_remote(observation: Resource) -> bool:
    """Whether it was measured away from the team: by a device, or by the person or somebody close."""
    performers = (str(each.get("reference", "")) for each in observation.get("performer", ()))
    return "device" in observation or any(each.rpartition("/")[0].rpartition("/")[2] in REMOTE for each in performers)


async def review_reading(runtime: Runtime, write: Write) -> None:
    """Adds to the write what it means for the plans of the persons that it is, or was, about."""
    previous = kept_score(write.previous.body, 0).resource if write.previous and write.previous.body else None
    current = kept_score(write.stored.body or b"{}", 0).resource
    wanted: dict[str, tuple[_Weekly, Resource]] = {}
    for observation, stands in ((previous, False), (current, True)):
        if observation is None or not is_remote(observation) or "reference" not in observation.get("subject", {}):
            continue
        goals = await active_goals(runtime, write.unit.tenant, person_key(runtime, observation["subject"]))
        for weekly in _weeks(runtime, write.unit.tenant, goals, observation, stands=stands):
            wanted[weekly.task_id] = (weekly, observation["subject"])
    for weekly, subject in wanted.values():
        await _keep(runtime, write, weekly, subject)


def _weeks(
    runtime: Runtime, tenant: str, goals: list[Resource], observation: Resource, *, stands: bool
) -> Iterator[_Weekly]:
    reading = _reading(observation)
    if reading is None:
        return
    year, week, _ = reading.effective.isocalendar()
    counts = stands and observation.get("status") in STANDING
    for goal in goals:
        for planned in planned_ranges(goal):
            outside = is_outside(reading, planned)
            if outside is not None:
                yield _Weekly(_task_id(runtime, tenant, goal, planned, year, week), goal["id"], outside and counts)


def _task_id(runtime: Runtime, tenant: str, goal: Resource, planned: Planned, year: int, week: int) -> str:
    place = f"{planned.place} {year}-W{week:02d}"
    return derived_id(runtime.engine.base_url, tenant, review_builders.READING_REVIEW, goal["id"], place)


def _reading(observation: Resource) -> Reading | None:
    quantity = observation.get("valueQuantity", {})
    value = quantity.get("value", observation.get("valueInteger"))
    effective = next((values.period(observation[name]) for name in EFFECTIVE if name in observation), None)
    if value is None or effective is None or effective[0] == values.EARLIEST:
        return None
    unit = str(quantity.get("code", quantity.get("unit", "")))
    return Reading(codes_of(observation.get("code", {})), Decimal(value), unit, effective[0])


async def _keep(runtime: Runtime, write: Write, weekly: _Weekly, subject: Resource) -> None:
    """The Task of the week with this reading in it, or without it."""
    stored = await write.read("Task", weekly.task_id)
    previous = body_of(stored) if stored is not None else None
    mine = f"Observation/{write.stored.id}"
    about = [each["valueReference"]["reference"] for each in (previous or {}).get("input", ())]
    if (mine in about) == weekly.outside:
        return
    about = [*about, mine] if weekly.outside else [each for each in about if each != mine]
    task = review_builders.review_task(
        review_builders.READING_REVIEW,
        task_id=weekly.task_id,
        focus=f"Goal/{weekly.goal}",
        subject=subject,
        about=about,
        now=write.now,
        previous=previous,
    )
    pending = [
        each for each in write.unit.changes if (each.stored.resource_type, each.stored.id) == ("Task", task["id"])
    ]
    for each in pending:
        write.unit.changes.remove(each)
    version = pending[0].stored.version if pending else (stored.version if stored else 0) + 1
    change = built(runtime.engine, task, write.now, version=version)
    write.unit.changes.append(change)
    if not weekly.outside:
        announce(runtime, write.unit, subject, change.stored, [])
        return
    beside: list[Stored] = [write.stored]
    if stored is None:
        message = await _message(runtime, write, weekly.task_id, subject)
        write.unit.changes.append(message)
        beside.append(message.stored)
    announce(runtime, write.unit, subject, change.stored, beside)


async def _message(runtime: Runtime, write: Write, task_id: str, subject: Resource) -> Change:
    """What the person is told, in their language: no number and no condition, as others may see it come in."""
    reading = _reading(write.resource or {})
    moment = reading.effective if reading is not None else write.now
    language = await _language_of(runtime, write, subject)
    text = words.phrase("reading-outside", language, date=words.date(moment, language))
    message = review_builders.feedback(
        message_id=derived_id(runtime.engine.base_url, write.unit.tenant, "feedback", task_id),
        task=f"Task/{task_id}",
        subject=subject,
        text=text,
        language=language,
    )
    return built(runtime.engine, message, write.now)


async def _language_of(runtime: Runtime, write: Write, subject: Resource) -> str:
    """The language that the person prefers, of those that there are."""
    offered = words.languages()
    person = runtime.engine.localise(subject["reference"])
    stored = await runtime.store.read(write.unit.tenant, "Patient", person.removeprefix("Patient/"))
    if stored is None or stored.body is None:
        return offered[0]
    spoken = orjson.loads(stored.body).get("communication", ())
    ordered = sorted(spoken, key=lambda each: not each.get("preferred", False))
    codes = [code.get("code", "") for each in ordered for code in each.get("language", {}).get("coding", ())]
    return next((found for code in codes if code and (found := best(code, offered))), offered[0])
