"""The CapabilityStatement, generated from the registry that the routes use: what it says is what answers.

https://hl7.org/fhir/R4/capabilitystatement.html
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import CANONICAL
from stepwell_shared.fhir.registry import Interaction, Registry, ServedType

VERSION = "0.1.0"
TOPIC_EXTENSION = (
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
)


def capability_statement(
    registry: Registry, *, title: str, description: str, base_url: str, topics: Iterable[str], released: datetime
) -> dict[str, Any]:
    """What this service serves. `topics` are the canonical URLs of the topics that it publishes."""
    return {
        "resourceType": "CapabilityStatement",
        "id": f"stepwell-{registry.service}",
        "url": f"{CANONICAL}/CapabilityStatement/stepwell-{registry.service}",
        "version": VERSION,
        "name": f"Stepwell{registry.service.capitalize()}",
        "title": title,
        "status": "active",
        "date": released.date().isoformat(),
        "publisher": "Stepwell",
        "description": description,
        "kind": "instance",
        "software": {"name": f"Stepwell {registry.service}", "version": VERSION},
        "implementation": {"description": title, "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "cors": False,
                    "service": [
                        {
                            "coding": [
                                {
                                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                                    "code": "SMART-on-FHIR",
                                }
                            ]
                        }
                    ],
                    "description": "SMART Backend Services: client_credentials with private_key_jwt.",
                },
                "resource": [_resource(served_type, topics) for served_type in registry],
            }
        ],
    }


def _resource(served_type: ServedType, topics: Iterable[str]) -> dict[str, Any]:
    body: dict[str, Any] = {"type": served_type.name}
    if served_type.name == "Subscription":
        body["extension"] = [{"url": TOPIC_EXTENSION, "valueCanonical": topic} for topic in topics]
    if served_type.profiles:
        body["supportedProfile"] = list(served_type.profiles)
    if served_type.documentation:
        body["documentation"] = served_type.documentation
    body["interaction"] = [
        {"code": interaction.value} for interaction in Interaction if served_type.allows(interaction)
    ]
    body["versioning"] = "versioned"
    body["readHistory"] = served_type.allows(Interaction.VREAD)
    body["updateCreate"] = served_type.allows_update_create
    body["conditionalCreate"] = served_type.allows(Interaction.CREATE)
    body["conditionalRead"] = "not-match"
    body["searchParam"] = [
        {"name": "_id", "definition": "http://hl7.org/fhir/SearchParameter/Resource-id", "type": "token"},
        {
            "name": "_lastUpdated",
            "definition": "http://hl7.org/fhir/SearchParameter/Resource-lastUpdated",
            "type": "date",
        },
        *(
            {"name": parameter.name, "definition": parameter.definition, "type": parameter.type}
            for parameter in served_type.parameters.values()
        ),
    ]
    if served_type.operations:
        body["operation"] = [
            {
                "name": operation.name,
                "definition": f"{CANONICAL}/OperationDefinition/{served_type.name}-{operation.name}",
                "documentation": operation.documentation,
            }
            # one that answers for the type and for an instance is declared once
            for operation in {each.name: each for each in served_type.operations}.values()
        ]
    return body
