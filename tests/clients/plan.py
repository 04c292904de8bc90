"""What each client is to do at each service: the resources that it sends, and what must come of them."""

from typing import Any

from stepwell_shared.canonical import topic
from stepwell_shared.events.notification import BACKPORT

Resource = dict[str, Any]

TAGS = "https://clients.example/run"
IDENTIFIERS = "https://clients.example/identifier"
TOPICS = {
    "screening": "score-finalized",
    "routing": "tier-assigned",
    "referral": "referral-changed",
    "measurement": "trajectory-changed",
}
MAY_DO = "system/*.cruds user/*.cruds"


def plan_for(service: str, client: str, endpoint: str, seeds: dict[str, str]) -> Resource:
    """The plan of one client at one service, still without addresses and assertion.

    `endpoint` is where a Subscription may post; `seeds` are the ids of what is there: a `patient` who has answered a
    questionnaire, and the `organization` of a place of care.
    """
    journey = _JOURNEYS[service](client, endpoint, seeds)
    return {
        "service": service,
        "search": {"_tag": f"{TAGS}|{client}"},
        "transactionStatuses": ["201", "200"],
        "scope": MAY_DO,
        **journey,
        "transaction": {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "fullUrl": "urn:uuid:7f5c6a1e-3f0b-4d0e-9a53-1d2c1f6c0a11",
                    "resource": journey["resources"][1],
                    "request": {"method": "POST", "url": journey["type"]},
                },
                {"request": {"method": "GET", "url": f"{journey['type']}?_tag={TAGS}|{client}"}},
            ],
        },
    }


def subscription(service: str, client: str, endpoint: str, number: int) -> Resource:
    """A Subscription that is off: it changes only when its client changes it."""
    content = {"url": f"{BACKPORT}/backport-payload-content", "valueCode": "id-only"}
    return {
        "resourceType": "Subscription",
        "meta": _tagged(client),
        "status": "off",
        "reason": "A client of the suite tries everything out",
        "criteria": topic(TOPICS[service]),
        "channel": {
            "type": "rest-hook",
            "endpoint": f"{endpoint}/{client}/{number}",
            "payload": "application/fhir+json",
            "_payload": {"extension": [content]},
        },
    }


def _tagged(client: str) -> Resource:
    return {"tag": [{"system": TAGS, "code": client}]}


def _identified(resource_type: str, client: str, number: int, **members: Any) -> Resource:
    return {
        "resourceType": resource_type,
        "meta": _tagged(client),
        "identifier": [{"system": IDENTIFIERS, "value": f"{client}-{number}"}],
        **members,
    }


def _by_identifier(resource: Resource) -> Resource:
    identifier = resource["identifier"][0]
    return {"resource": resource, "criteria": f"identifier={identifier['system']}|{identifier['value']}"}


def _screening(client: str, endpoint: str, seeds: dict[str, str]) -> Resource:
    def person(number: int) -> Resource:
        return _identified("Patient", client, number, name=[{"family": "Client", "given": [f"N{number}"]}])

    return {
        "type": "Patient",
        "resources": [person(number) for number in range(5)],
        "change": {"gender": "female"},
        "conditional": _by_identifier(person(5)),
        "patch": {
            "operations": [{"op": "replace", "path": "/gender", "value": "other"}],
            "result": {"gender": "other"},
        },
        "include": {
            "type": "QuestionnaireResponse",
            "search": {"patient": seeds["patient"], "_include": "QuestionnaireResponse:subject"},
            "included": "Patient",
        },
        "refused": {"resource": person(9) | {"gender": "f"}, "expression": "Patient.gender"},
    }


def _routing(client: str, endpoint: str, seeds: dict[str, str]) -> Resource:
    def told(number: int) -> Resource:
        return subscription("routing", client, endpoint, number)

    return {
        "type": "Subscription",
        "resources": [told(number) for number in range(5)],
        "change": {"reason": "It has been changed"},
        "conditional": {"resource": told(5), "criteria": f"url={endpoint}/{client}/5"},
        "patch": {
            "operations": [{"op": "replace", "path": "/reason", "value": "It has been patched"}],
            "result": {"reason": "It has been patched"},
        },
        "include": {
            "type": "ServiceRequest",
            "search": {"patient": seeds["patient"], "_include": "ServiceRequest:subject"},
            "included": "Patient",
        },
        "refused": {"resource": told(9) | {"status": "on"}, "expression": "Subscription.status"},
    }


def _referral(client: str, endpoint: str, seeds: dict[str, str]) -> Resource:
    def practice(number: int) -> Resource:
        return _identified("Organization", client, number, name=f"Practice {number} of {client}")

    return {
        "type": "Organization",
        "resources": [practice(number) for number in range(5)],
        "change": {"active": True},
        "conditional": _by_identifier(practice(5)),
        "patch": {
            "operations": [{"op": "replace", "path": "/active", "value": False}],
            "result": {"active": False},
        },
        "include": {
            "type": "HealthcareService",
            "search": {
                "organization": f"Organization/{seeds['organization']}",
                "_include": "HealthcareService:organization",
            },
            "included": "Organization",
        },
        "refused": {"resource": {"resourceType": "Organization", "active": True}, "expression": "Organization"},
    }


def _measurement(client: str, endpoint: str, seeds: dict[str, str]) -> Resource:
    def weight(number: int) -> Resource:
        return _identified(
            "Observation",
            client,
            number,
            status="preliminary",
            code={"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Body weight"}]},
            subject={"reference": f"Patient/{seeds['patient']}"},
            effectiveDateTime="2026-11-21T09:00:00+01:00",
            valueQuantity={"value": 70.5, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
        )

    return {
        "type": "Observation",
        "resources": [weight(number) for number in range(5)],
        "change": {"status": "final"},
        "conditional": _by_identifier(weight(5)),
        "patch": {
            "operations": [{"op": "replace", "path": "/status", "value": "amended"}],
            "result": {"status": "amended"},
        },
        "include": {
            "type": "Observation",
            "search": {"patient": seeds["patient"], "_include": "Observation:subject"},
            "included": "Patient",
        },
        "refused": {"resource": weight(9) | {"status": "done"}, "expression": "Observation.status"},
    }


_JOURNEYS = {"screening": _screening, "routing": _routing, "referral": _referral, "measurement": _measurement}
