"""Tier assignments as routing announces them, for the handlers of referral."""

from typing import Any

from stepwell_referral.app import listens
from stepwell_referral.subscriptions import TIER_ASSIGNED
from stepwell_routing import builders
from stepwell_shared.canonical import topic
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.runtime import Runtime

from tests.services.routing.rules.shipped import NOW, decided
from tests.support.runtime import NORTH, URLS, Announced, announced, received, stored

Resource = dict[str, Any]

PATIENT: Resource = {"reference": f"{URLS['screening']}/Patient/p1"}
CLINICIAN = "https://ehr.example/fhir/Practitioner/dr-1"


def assignment(request: str = "s1", *, phq9: int = 16, **changed: Any) -> Resource:
    """A proposal of the shipped policy."""
    proposal = builders.tier_assignment(
        decided(phq9=phq9),
        resource_id=request,
        identifier=request,
        subject=PATIENT,
        questionnaire_response=f"{URLS['screening']}/QuestionnaireResponse/r1",
    )
    return {**proposal, **changed}


def accepted(proposal: Resource) -> Resource:
    """The plan that a clinician makes of it."""
    return builders.accepted_assignment(proposal, practitioner=CLINICIAN, accepted_at=NOW)


def assigned(request: Resource, version: int = 1) -> ReceivedEvent:
    """The event of this version of a ServiceRequest."""
    resource = {**request, "meta": {"versionId": str(version)}}
    return received(topic("tier-assigned"), [(f"{URLS['routing']}/ServiceRequest/{request['id']}", resource)])


async def hear(runtime: Runtime, *events: ReceivedEvent, tenant: str = NORTH) -> None:
    """Handles the events one after another, as a notification brings them."""
    handler = listens(runtime)[TIER_ASSIGNED]
    for each in events:
        await handler(each, tenant)


async def referrals(runtime: Runtime, tenant: str = NORTH, resource_type: str = "Task") -> list[Resource]:
    """The referrals, oldest change first, without support while waiting and Tasks of people beside them."""
    beside = ("interim-support", "next-step", "answer-message", "arrange-support")
    found = await stored(runtime, tenant, resource_type)
    concepts = [[each.get("code", {}), *each.get("category", ())] for each in found]
    codes = [{coding.get("code") for concept in each for coding in concept.get("coding", ())} for each in concepts]
    return [each for each, named in zip(found, codes, strict=True) if not named & set(beside)]


async def referral_events(runtime: Runtime, tenant: str = NORTH) -> list[Announced]:
    """What was said of referrals, without messages and support while waiting."""
    others = {"communication-changed", "interim-changed"}
    return [each for each in await announced(runtime, tenant) if each.topic not in others]
