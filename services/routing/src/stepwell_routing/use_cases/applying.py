"""`$apply`: what a policy proposes for one person, as a CarePlan whose one activity is a RequestGroup with the menu.

https://hl7.org/fhir/R4/plandefinition-operation-apply.html; nothing is stored.
"""

from typing import Any

from stepwell_shared.canonical import code_system, instant
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.runtime import Runtime

from stepwell_routing.rules.tiers import Option
from stepwell_routing.use_cases.explaining import Considered, consider

Resource = dict[str, Any]
GROUP = "options"


async def apply_policy(runtime: Runtime, request: Request) -> Response:
    """`PlanDefinition/$apply` and `/[id]/$apply`: the CarePlan. Raises FhirError as `consider` does."""
    found = await consider(runtime, request)
    return Response(200, encode(care_plan(found)), {"Cache-Control": "no-store"}, request.id)


def care_plan(found: Considered) -> Resource:
    """A draft that proposes; the options are requests of intent option, of which the person chooses."""
    decision = found.decision
    tier = decision.tier
    coding = {"system": code_system(tier.system), "code": tier.code, "display": found.words(tier.display)}
    options = [_request(found, option) for option in decision.menu]
    return {
        "resourceType": "CarePlan",
        "language": found.language,
        "contained": [_group(found, options), *options],
        "instantiatesCanonical": [decision.policy],
        "status": "draft",
        "intent": "proposal",
        "category": [{"coding": [coding]}],
        "title": found.words(tier.display),
        "description": found.words(decision.patient_reason),
        "subject": found.subject,
        "period": {"start": instant(decision.decided_at), "end": instant(decision.review_at)},
        "created": instant(decision.decided_at),
        "activity": [{"reference": {"reference": f"#{GROUP}"}}],
        "note": [{"text": found.words(decision.clinician_reason)}],
    }


def _group(found: Considered, options: list[Resource]) -> Resource:
    decision = found.decision
    actions = [
        {
            "title": option["code"]["text"],
            "textEquivalent": option["patientInstruction"],
            "code": [option["code"]],
            "resource": {"reference": f"#{option['id']}"},
        }
        for option in options
    ]
    menu: Resource = {
        "title": found.words(decision.tier.display),
        "textEquivalent": found.words(decision.tier.offer),
        "groupingBehavior": "logical-group",
        "selectionBehavior": "any",
        "action": actions,
    }
    return {
        "resourceType": "RequestGroup",
        "id": GROUP,
        "instantiatesCanonical": [decision.policy],
        "status": "draft",
        "intent": "proposal",
        "priority": decision.priority,
        "subject": found.subject,
        "authoredOn": instant(decision.decided_at),
        **({"action": [menu]} if actions else {}),
    }


def _request(found: Considered, option: Option) -> Resource:
    coding = {"system": code_system("care-option"), "code": option.code, "display": found.words(option.display)}
    return {
        "resourceType": "ServiceRequest",
        "id": f"option-{option.code}",
        **({"instantiatesCanonical": [option.definition]} if option.definition else {}),
        "status": "draft",
        "intent": "option",
        "code": {"coding": [coding], "text": found.words(option.display)},
        "subject": found.subject,
        "patientInstruction": found.words(option.plain),
    }
