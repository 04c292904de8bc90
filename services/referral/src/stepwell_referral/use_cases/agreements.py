"""What organisations have agreed to take from each other, held to on both sides, and how their line stands."""

from typing import Any

from stepwell_shared.canonical import instant
from stepwell_shared.federation.links import link_states
from stepwell_shared.federation.partners import Partner
from stepwell_shared.federation.terms import Terms
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction, Reader
from stepwell_shared.partnering import partners_of
from stepwell_shared.runtime import Runtime

from stepwell_referral.builders import tokens
from stepwell_referral.use_cases.progress import content
from stepwell_referral.use_cases.requests import tier_of

Resource = dict[str, Any]


async def not_taken(terms: Terms, kind: str, request: Resource, owner: str, read: Reader) -> str:
    """Why this ServiceRequest, asked of this owner of ours, is not taken by these terms; empty when it is."""
    resource_type, _, id_ = owner.partition("/")
    place = content(await read(resource_type, id_)) if resource_type == "HealthcareService" else {}
    programmes = tokens(place.get("program", ())) if place else None
    return terms.refusal(kind, tier_of(request), programmes)


async def link(runtime: Runtime, request: Request) -> Response:
    """`Organization/[id]/$link`: when a partner was last heard, and what it is owed. No person is in it.

    Raises FhirError FORBIDDEN for a token that does not reach every Task, BUSINESS_RULE for who is no partner.
    """
    request.access.require("Task", Interaction.SEARCH_TYPE)
    if request.access.filters("Task", Interaction.SEARCH_TYPE):
        raise FhirError(Category.FORBIDDEN, "how lines stand is for those who see every referral")
    partner = await _partner(runtime, request)
    (state,) = await link_states(runtime.database, runtime.engine.base_url, [partner])
    found: list[Resource] = [{"name": "partner", "valueReference": {"reference": partner.organization}}]
    if state.heard_at is not None:
        found.append({"name": "heard", "valueInstant": instant(state.heard_at)})
    for feed, owed in state.owed:
        parts: list[Resource] = [
            {"name": "of", "valueCode": str(feed)},
            {"name": "status", "valueCode": owed.status},
            {"name": "waiting", "valueUnsignedInt": owed.waiting},
            {"name": "parked", "valueUnsignedInt": owed.parked},
            {"name": "attempts", "valueUnsignedInt": owed.attempts},
        ]
        if owed.oldest is not None:
            parts.append({"name": "oldest", "valueInstant": instant(owed.oldest)})
        if owed.attempts and owed.last_error:
            parts.append({"name": "last-error", "valueString": owed.last_error})
        found.append({"name": "owed", "part": parts})
    return Response(200, encode({"resourceType": "Parameters", "parameter": found}))


async def _partner(runtime: Runtime, request: Request) -> Partner:
    partners = await partners_of(runtime).all(request.access.tenant)
    found = next((each for each in partners if each.organization == f"Organization/{request.id}"), None)
    if found is None:
        text = "this Organization is no partner: `stepwell partner add` makes one"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "Organization.id")])
    return found
