"""What referral says of a request: contacts of its step, how long somebody waits, and how the referral has ended.

Routing owns the request and closes it: a Task drives, the request authorises. A step goes on until it is reviewed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing.tables import ATTENDED, HOLD, Known, evidence_effect
from stepwell_routing.timers import REVIEW, timer_effect
from stepwell_routing.use_cases.besides import Ended, beside_of, end_beside
from stepwell_routing.use_cases.boosters import cancel_dated
from stepwell_routing.use_cases.causes import Cause, cause_of_referral
from stepwell_routing.use_cases.course import RELEASED
from stepwell_routing.use_cases.endings import COMPLETE, REVOKED, TAKEN_BACK, ending_of
from stepwell_routing.use_cases.governing import governing
from stepwell_routing.use_cases.knowledge import known_of
from stepwell_routing.use_cases.outcomes import with_status
from stepwell_routing.use_cases.retrying import until_committed
from stepwell_routing.use_cases.reviews import Keeping, resume
from stepwell_routing.use_cases.standing import Assignment, Standing, standing_of
from stepwell_routing.use_cases.units import announced, contended, evidence_effects, is_known, next_episode

COMPLETED, CANCELLED = "completed", "cancelled"
ENDINGS = {COMPLETE: Ended(COMPLETED, COMPLETED), TAKEN_BACK: Ended(CANCELLED, REVOKED)}


async def hear_of_referral(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic referral-changed: contacts count for the course; with the first in a new step the old one is completed.

    A referral that was taken back revokes its request; one that is complete completes it, and the step is reviewed.
    """
    cause = cause_of_referral(runtime, received)
    ending = ending_of(received, cause)
    request_id = cause.response_url.rpartition("/")[2]

    async def attempt() -> None:
        standing, known = await asyncio.gather(
            standing_of(runtime, tenant, cause.subject_key), known_of(runtime, tenant, cause.subject_key)
        )
        now = runtime.clock()
        heard = _Heard(runtime, cause, standing, known, now, UnitOfWork(tenant))
        beside = beside_of(known, request_id)
        if beside is not None:
            if ending:
                await end_beside(heard.keeping, beside, ENDINGS[ending])
        else:
            await _hear(heard, request_id, ending)
        if heard.unit.changes or heard.unit.effects:
            await runtime.store.commit(heard.unit)

    await until_committed(attempt, contended())


@dataclass(frozen=True)
class _Heard:
    """What was heard, of whom, and the unit of work that keeps it."""

    runtime: Runtime
    cause: Cause
    standing: Standing
    known: Sequence[Known]
    now: datetime
    unit: UnitOfWork = field(repr=False)

    @property
    def keeping(self) -> Keeping:
        return Keeping(self.runtime, self.unit, self.standing, self.cause.subject_key, self.now)

    def change(self, request: Assignment, status: str, *, is_given: bool = False) -> None:
        """The request's next version, with another status, and its event."""
        change = with_status(self.runtime, request, status, self.now, is_given=is_given)
        self.unit.changes.append(change)
        self.unit.effects.append(announced(self.runtime, self.cause.subject_key, change.stored, self.now))

    async def move_episode(self, requests: Sequence[str], status: str | None = None) -> None:
        """The episode's next version."""
        governed = await governing(self.runtime, self.unit.tenant, self.standing, self.cause.subject_key)
        change = next_episode(self.runtime, self.cause, self.standing, governed, requests, self.now, status)
        self.unit.changes.append(change)


async def _hear(heard: _Heard, request_id: str, ending: str) -> None:
    """What is said of the request of a step."""
    cause, standing = heard.cause, heard.standing
    plan = standing.plan if standing.plan is not None and standing.plan.stored.id == request_id else None
    is_new = bool(cause.known) and not is_known(cause, heard.known)
    if is_new:
        heard.unit.effects += evidence_effects(cause)
    if plan is None:
        for earlier in standing.earlier:
            if ending and earlier.stored.id == request_id and earlier.is_open:
                heard.change(earlier, ENDINGS[ending].request)
        return
    if ending == TAKEN_BACK and plan.is_open:
        heard.change(plan, REVOKED)
        await cancel_dated(heard.keeping, heard.known)
        await heard.move_episode([each for each in standing.references if each != plan.reference])
        return
    is_contact = is_new and cause.known[0].name == ATTENDED
    given = ending == COMPLETE and plan.is_open
    released = given and plan.body["status"] == "on-hold"
    if is_contact:
        for earlier in standing.earlier:
            if earlier.is_open:
                heard.change(earlier, COMPLETED)
    if (is_contact and standing.earlier) or released:
        left = standing.requests if is_contact else standing.references
        await heard.move_episode(left, "active" if released else None)
    if given:
        _complete(heard, plan, released=released)


def _complete(heard: _Heard, plan: Assignment, *, released: bool) -> None:
    """What was asked for has been given: the request is completed, and the step looked at again at once."""
    standing, unit, subject_key = heard.standing, heard.unit, heard.cause.subject_key
    heard.change(plan, COMPLETED, is_given=True)
    if released:
        resume(heard.keeping)
        reference = f"EpisodeOfCare/{standing.episode_id}/_history/{standing.version}"
        unit.effects.append(evidence_effect(subject_key, Known(HOLD, RELEASED, heard.now, reference, standing.version)))
    review = standing.reviews.get(plan.reference)
    if review is not None:
        unit.effects.append(timer_effect(review.id, REVIEW, subject_key, heard.now))
