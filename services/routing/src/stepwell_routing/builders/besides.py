"""Builds the requests of what runs beside a step: advice or co-treatment by another discipline, and tracks.

https://hl7.org/fhir/R4/servicerequest.html
"""

from collections.abc import Mapping
from typing import Any

from stepwell_shared.canonical import code_system, instant

from stepwell_routing.builders import SOFTWARE
from stepwell_routing.rules.decisions import Decision

Resource = dict[str, Any]


def beside_request(
    decision: Decision,
    *,
    resource_id: str,
    rule: str,
    based_on: str,
    subject: Mapping[str, Any],
    source: str,
    categories: list[Resource],
    code: Resource,
) -> Resource:
    """The second request beside a step, as the machine's proposal; `based_on` is the reference of the step's own.

    `rule` is the code of the rule that asks for it, `source` the URL of what led to the decision.
    """
    title = decision.rule_titles[rule][decision.language]
    return {
        "resourceType": "ServiceRequest",
        "id": resource_id,
        "language": decision.language,
        "instantiatesCanonical": [decision.policy],
        "basedOn": [{"reference": based_on}],
        "status": "active",
        "intent": "proposal",
        "category": categories,
        "priority": decision.priority,
        "code": code,
        "subject": dict(subject),
        "authoredOn": instant(decision.decided_at),
        "requester": SOFTWARE,
        "reasonCode": [
            {"coding": [{"system": code_system("rule"), "code": rule, "display": title}], "text": title},
        ],
        "supportingInfo": [{"reference": source}],
    }


def coded(system: str, code: str, words: str | None = None) -> Resource:
    """A CodeableConcept of one of our code systems."""
    coding = {"system": code_system(system), "code": code, **({"display": words} if words else {})}
    return {"coding": [coding], **({"text": words} if words else {})}


def is_tier_assignment(request: Mapping[str, Any]) -> bool:
    """Whether a place is looked for; advice by another discipline needs none."""
    return any(each["system"] == code_system("tier") for each in request["category"][0].get("coding", ()))
