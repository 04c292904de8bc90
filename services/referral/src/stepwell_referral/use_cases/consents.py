"""A Consent came from screening: it is kept, and what waited for it is asked of the partners again."""

from decimal import Decimal
from typing import Any

import msgspec
from stepwell_shared.consent.serving import consents_in, keep_consent
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.runtime import Runtime

from stepwell_referral import builders
from stepwell_referral.use_cases.partners import change_referral
from stepwell_referral.use_cases.progress import subject_key
from stepwell_referral.use_cases.teams import end_unconsented

WAITING_MAX = 100

Resource = dict[str, Any]

_resource = msgspec.json.Decoder(Resource, float_hook=Decimal)


async def take_consent(runtime: Runtime, event: ReceivedEvent, tenant: str) -> None:
    """Keeps the Consent; family whom none permits any more leaves the team, and referrals that were not sent for want
    of one are announced again.

    Whether they may go now is decided when they are sent.
    """
    await keep_consent(runtime, event, tenant)
    for _, consent in consents_in(event):
        person = consent.get("patient")
        if person is not None:
            await end_unconsented(runtime, tenant, person)
        if consent.get("status") == "active" and person is not None:
            for task_id in await _withheld(runtime, tenant, person):
                await change_referral(runtime, tenant, task_id, lambda task: _asked_again(runtime, task))


def _asked_again(runtime: Runtime, task: Resource) -> Resource | None:
    if not builders.is_withheld(task):
        return None
    asked = builders.requested_task(task, at=runtime.clock())
    asked.pop("statusReason", None)
    return asked


async def _withheld(runtime: Runtime, tenant: str, person: Resource) -> list[str]:
    """The ids of this person's Tasks that wait for a Consent."""
    key = subject_key(runtime, person)
    name = "patient:identifier" if "reference" not in person else "patient"
    engine = runtime.engine
    criteria = [(name, key), ("status", "requested"), ("business-status", builders.WITHHELD)]
    query = query_of(engine, engine.registry.types["Task"], criteria, (), strict=True)
    query.count = WAITING_MAX
    rows = await engine.store.search(tenant, *query.page_statement())
    return [str(row["id"]) for row in rows]
