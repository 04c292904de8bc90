"""Conditions and medicines as EHRs and clinicians bring them: kept as evidence, and decided on soon after.

A timer is set in the same commit, so that a decision follows also when the process dies between the two.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from stepwell_shared.fhir.registry import Write
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing.rules.clinical import condition_state, medicine_state
from stepwell_routing.tables import CONDITION, MEDICINE, Known, evidence_effect
from stepwell_routing.timers import EVIDENCE, Due, timer_effect
from stepwell_routing.use_cases.assignment import decide_on_review
from stepwell_routing.use_cases.causes import Cause
from stepwell_routing.use_cases.people import Person, content, person_of, unprocessable
from stepwell_routing.use_cases.standing import standing_of

Resource = dict[str, Any]
State = Callable[[Mapping[str, Any]], tuple[str | None, frozenset[str]]]


async def keep_condition(runtime: Runtime, write: Write) -> None:
    """A Condition is written. Raises FhirError BUSINESS_RULE when nobody is named whom we know, or somebody else."""
    await _keep(runtime, write, CONDITION, condition_state)


async def keep_medicine(runtime: Runtime, write: Write) -> None:
    """The same for a MedicationStatement."""
    await _keep(runtime, write, MEDICINE, medicine_state)


async def decide_on_evidence(runtime: Runtime, due: Due) -> None:
    """Decides on what was brought, where a course has begun; then nothing waits any more."""
    standing = await standing_of(runtime, due.tenant, due.subject)
    episode = standing.episode_body or content(standing.prior)
    if episode is not None:
        cause = Cause(
            id=("evidence", due.task_id),
            status="completed",
            source=due.task_id,
            response_url=f"{runtime.engine.base_url}/{due.task_id.partition('/_history/')[0]}",
            subject_key=due.subject,
            subject=episode["patient"],
            known=(),
        )
        await decide_on_review(runtime, due.tenant, cause, is_overdue=False)
    settled = timer_effect(due.task_id, due.kind, due.subject, None)
    await runtime.store.commit(UnitOfWork(due.tenant, effects=[settled]))


async def _keep(runtime: Runtime, write: Write, prefix: str, state: State) -> None:
    resource = write.resource
    assert resource is not None, "what is known is never deleted, only withdrawn"
    kind = resource["resourceType"]
    person = await person_of(runtime, write.read, resource.get("subject"), f"{kind}.subject")
    before = orjson.loads(write.previous.body) if write.previous and write.previous.body else None
    if before is not None and await _person_before(runtime, write, before, kind) != person.key:
        raise unprocessable("this stays with its person; withdraw it and bring another", f"{kind}.subject")
    value, codes = state(resource)
    gone = (state(before)[1] if before is not None else frozenset()) - codes
    said = {**dict.fromkeys(sorted(gone), None), **dict.fromkeys(sorted(codes), value)}
    reference = f"{kind}/{write.stored.id}"
    for code, each in said.items():
        row = Known(f"{prefix}{code}", each, write.now, reference, write.stored.version)
        write.unit.effects.append(evidence_effect(person.key, row))
    task_id = f"{reference}/_history/{write.stored.version}"
    write.unit.effects.append(timer_effect(task_id, EVIDENCE, person.key, write.now))


async def _person_before(runtime: Runtime, write: Write, before: Resource, kind: str) -> str:
    found: Person = await person_of(runtime, write.read, before.get("subject"), f"{kind}.subject")
    return found.key
