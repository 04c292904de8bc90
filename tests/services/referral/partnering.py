"""A hub's referral service as its partners reach it, and what a practice sends."""

from dataclasses import replace
from typing import Any

from stepwell_referral import builders
from stepwell_referral.use_cases.elsewhere import REFERRAL_IDENTIFIERS
from stepwell_shared.auth.caller import Caller
from stepwell_shared.federation.partners import Partner, partner_scopes, save_partner
from stepwell_shared.fhir.copies import ship
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import accepted, assignment
from tests.shared.federation.pairs import hub
from tests.support.runtime import NORTH, START, URLS

PRACTICE_URL = "https://practice.example.org"
SHARED = frozenset({"contact", "reasons", "notes"})
Resource = dict[str, Any]


async def add_practice(runtime: Runtime, name: str) -> Partner:
    """A practice that refers to us."""
    practice = hub(name=name, base_url=f"https://{name}.example.org/referral/fhir", refers_here=True, referred_to=False)
    await save_partner(runtime.database, replace(practice, subscription_there=""), START)
    organization = {"resourceType": "Organization", "id": f"partner-{name}", "active": True, "name": name}
    await ship(runtime.engine, NORTH, organization)
    return practice


def caller_of(partner: Partner) -> Caller:
    """The partner's token."""
    scopes = partner_scopes(partner, URLS["referral"])
    return Caller(partner.tenant, partner.client_here, scopes, "token-1", roles=("partner",))


def own_task(request_id: str = "s1", **changed: Any) -> Resource:
    """The practice's own Task as it stands when it is sent."""
    request = request_of(request_id)
    return {
        "resourceType": "Task",
        "id": f"t-{request_id}",
        "identifier": [{"system": REFERRAL_IDENTIFIERS, "value": f"t-{request_id}"}],
        "status": "requested",
        "intent": "order",
        "priority": "routine",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "focus": {"reference": f"{PRACTICE_URL}/routing/fhir/ServiceRequest/{request_id}"},
        "for": request["subject"],
        "authoredOn": "2026-11-21T09:00:00Z",
        "lastModified": "2026-11-21T09:00:00Z",
        "note": [{"text": "for our own people"}],
        **changed,
    }


def request_of(request_id: str = "s1") -> Resource:
    """The accepted plan behind it."""
    return {**accepted(assignment(request_id)), "note": [{"text": "a note"}]}


def person(id_: str = "p1") -> Resource:
    """The practice's patient, under the identifier by which it is sent."""
    return {
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"{PRACTICE_URL}/screening/fhir/Patient/{id_}"}],
        "name": [{"family": "Example"}],
        "telecom": [{"system": "phone", "value": "1"}],
        "photo": [{"title": "a face"}],
    }


def referral(name: str, request_id: str = "s1", *, owner: str = "HealthcareService/default-tier-3") -> Resource:
    """The transaction Bundle of one referral by this practice."""
    placer = builders.Placer(PRACTICE_URL, f"Organization/partner-{name}", SHARED)
    entries = builders.outgoing_referral(own_task(request_id), request_of(request_id), person(), placer, owner=owner)
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def cancellation(name: str, request_id: str = "s1") -> Resource:
    """The transaction Bundle that takes it back."""
    placer = builders.Placer(PRACTICE_URL, f"Organization/partner-{name}", SHARED)
    task = own_task(request_id, status="cancelled", statusReason={"text": "not wanted any more"})
    entries = builders.outgoing_cancellation(task, placer, owner="Organization/default-organization")
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}
