"""People end what runs beside a step: advice was given, a track has run its course, or somebody does not want it."""

import asyncio
from typing import Any

from stepwell_shared.canonical import code_system, derived_id
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.messages import Request, Response, written
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing import builders
from stepwell_routing.builders import course as course_builders
from stepwell_routing.data.besides import beside_outcomes
from stepwell_routing.rules.decisions import RiskState
from stepwell_routing.tables import BESIDE, Known
from stepwell_routing.use_cases.besides import OPEN, Ended, end_beside, open_besides
from stepwell_routing.use_cases.evidence import risk_state
from stepwell_routing.use_cases.governing import governing
from stepwell_routing.use_cases.knowledge import known_of
from stepwell_routing.use_cases.people import (
    acting_person,
    content,
    one,
    optional,
    parameters,
    require_whole,
    unprocessable,
)
from stepwell_routing.use_cases.retrying import until_committed
from stepwell_routing.use_cases.reviews import Keeping
from stepwell_routing.use_cases.standing import key_of, standing_of
from stepwell_routing.use_cases.units import versioned

KINDS = frozenset({course_builders.ADVICE, course_builders.TRACK, course_builders.ACTIVITY})
SYSTEM = code_system("beside-outcome")

Resource = dict[str, Any]


async def close_beside(runtime: Runtime, request: Request) -> Response:
    """`Task/[id]/$close` with `outcome` (code) and perhaps `words`: advice, a track or a change of an activity ends.

    Its request is completed, or revoked where nothing came of it. Said again it changes nothing. Raises FhirError:
    INVALID for other parameters, FORBIDDEN without a person, BUSINESS_RULE for another kind of Task, and for a track
    while a question of safety is open.
    """
    person = acting_person(request)
    require_whole(request, "Task", Interaction.UPDATE)
    given = parameters(request, ("outcome", "words"))
    code, words = one(given, "outcome", "valueCode"), optional(given, "words", "valueString")
    outcome = beside_outcomes().get(code)
    if outcome is None:
        text = f"an outcome is one of {', '.join(beside_outcomes())}"
        raise unprocessable(text, "Parameters.parameter.where(name = 'outcome')")
    tenant, served_type = request.access.tenant, runtime.engine.served("Task", Interaction.READ)

    async def attempt() -> Response:
        stored = await runtime.store.read(tenant, "Task", request.id)
        task = content(stored)
        if stored is None or task is None:
            raise FhirError(Category.NOT_FOUND, "there is no Task with this id")
        kind = next((str(each.get("code")) for each in task["code"].get("coding", ())), "")
        if kind not in KINDS:
            raise unprocessable("this Task is closed in another way", "Task.code")
        if task["status"] not in course_builders.OPEN:
            return written(runtime.engine.base_url, request, served_type, stored, created=False, witnessed=False)
        key = key_of(runtime, task["for"])
        standing, known = await asyncio.gather(standing_of(runtime, tenant, key), known_of(runtime, tenant, key))
        if kind == course_builders.TRACK and _is_open(risk_state(known)):
            raise unprocessable("a safety question is open; a clinician records a risk level first", "Task.status")
        unit = UnitOfWork(tenant)
        keeping = Keeping(runtime, unit, standing, key, runtime.clock())
        coding = {"system": SYSTEM, "code": code, "display": outcome.display}
        reason = {"coding": [coding], "text": words or outcome.display}
        ended = Ended(outcome.task, outcome.request, person, reason)
        closed = await end_beside(keeping, _row(known, stored), ended)
        assert closed is not None, "it was read a moment ago"
        policy = (await governing(runtime, tenant, standing, key)).policy.canonical
        unit.changes.append(built(runtime.engine, _provenance(keeping, stored, person, policy, reason), keeping.now))
        answer = written(runtime.engine.base_url, request, served_type, closed, created=False)
        unit.effects += request.records("$close", answer)
        await runtime.store.commit(unit)
        return answer

    text = "this Task is being changed by too many at once; try again"
    return await until_committed(attempt, FhirError(Category.CONFLICT, text))


def _row(known: list[Known], stored: Stored) -> Known:
    """The row that says that it is open; a Task without one ends alone."""
    reference = f"Task/{stored.id}"
    rows = (row for row in open_besides(known) if row.reference == reference)
    return next(rows, Known(BESIDE + reference, OPEN, stored.last_updated, reference, stored.version))


def _is_open(risk: RiskState) -> bool:
    return risk.positive_item_open or risk.unanswered_item_open


def _provenance(keeping: Keeping, before: Stored, person: str, policy: str, reason: Resource) -> Resource:
    engine, unit = keeping.runtime.engine, keeping.unit
    targets = [versioned(each.stored) for each in unit.changes]
    found = builders.acceptance_provenance(
        resource_id=derived_id(engine.base_url, unit.tenant, "closing", before.id, str(before.version)),
        target=targets[0],
        others=targets[1:],
        proposal=versioned(before),
        practitioner=person,
        policy=policy,
        accepted_at=keeping.now,
        activity="close",
    )
    return {**found, "reason": [reason]}
