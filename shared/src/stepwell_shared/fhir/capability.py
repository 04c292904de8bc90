"""The CapabilityStatement, generated from the registry that the routes use: what it says is what answers.

https://hl7.org/fhir/R4/capabilitystatement.html
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import CANONICAL
from stepwell_shared.fhir.parameters import SearchParameter
from stepwell_shared.fhir.patch import JSON_PATCH
from stepwell_shared.fhir.registry import Interaction, Operation, Registry, ServedType
from stepwell_shared.fhir.search.canonicals import followed, is_canonical, is_target

VERSION = "0.1.0"
SYSTEM_INTERACTIONS = ("transaction", "batch", "search-system", "history-system")
_VALIDATE = {"name": "validate", "definition": "http://hl7.org/fhir/OperationDefinition/Resource-validate"}
OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
BACKPORT_SERVER = "http://hl7.org/fhir/uv/subscriptions-backport/CapabilityStatement/backport-subscription-server-r4"
BACKPORT_GUIDE = (
    "http://hl7.org/fhir/uv/subscriptions-backport/ImplementationGuide/hl7.fhir.uv.subscriptions-backport|1.1.0"
)
TOPIC_EXTENSION = (
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
)


def capability_statement(
    registry: Registry,
    *,
    title: str,
    description: str,
    base_url: str,
    topics: Iterable[str],
    released: datetime,
    token_url: str | None = None,
) -> dict[str, Any]:
    """What this service serves. `topics` are the canonical URLs of the topics that it publishes.

    Clients that are older than /.well-known/smart-configuration look for the `token_url` here.
    """
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
        **({"instantiates": [BACKPORT_SERVER]} if "Subscription" in registry.types else {}),
        **({"implementationGuide": [BACKPORT_GUIDE]} if "Subscription" in registry.types else {}),
        "software": {"name": f"Stepwell {registry.service}", "version": VERSION},
        "implementation": {"description": title, "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": [JSON_PATCH, "application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    **_oauth_uris(token_url),
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
                "resource": [_resource(registry, served_type, topics) for served_type in registry],
                "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS],
                "compartment": ["http://hl7.org/fhir/CompartmentDefinition/patient"],
                **_operations("", registry.operations),
            }
        ],
    }


def _oauth_uris(token_url: str | None) -> dict[str, Any]:
    """SMART App Launch 1.0: there is no authorize address, for no person signs in here."""
    if token_url is None:
        return {}
    return {"extension": [{"url": OAUTH_URIS, "extension": [{"url": "token", "valueUri": token_url}]}]}


def _resource(registry: Registry, served_type: ServedType, topics: Iterable[str]) -> dict[str, Any]:
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
    is_searched = served_type.allows(Interaction.SEARCH_TYPE)
    body["conditionalCreate"] = served_type.allows(Interaction.CREATE) and is_searched
    body["conditionalRead"] = "full-support"
    body["conditionalUpdate"] = served_type.allows(Interaction.UPDATE)
    body["conditionalDelete"] = "single" if served_type.allows(Interaction.DELETE) else "not-supported"
    body["referencePolicy"] = ["literal", "logical"]
    searching = _searching(registry, served_type) if is_searched else {}
    return body | searching | _operations(f"{served_type.name}-", served_type.operations, _VALIDATE)


def _searching(registry: Registry, served_type: ServedType) -> dict[str, Any]:
    """By what a type is searched, and what comes along."""
    body: dict[str, Any] = {}
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
    includes = [f"{served_type.name}:{parameter.name}" for parameter in followed(served_type, registry)]
    if includes:
        body["searchInclude"] = ["*", *includes]
    reverse = [
        f"{source.name}:{parameter.name}"
        for source in registry
        for parameter in followed(source, registry)
        if (is_target(served_type, parameter) if is_canonical(parameter) else _can_be(served_type, parameter))
    ]
    if reverse:
        body["searchRevInclude"] = ["*", *reverse]
    return body


def _can_be(served_type: ServedType, parameter: SearchParameter) -> bool:
    """Whether a reference of this parameter can point at this type."""
    return not parameter.targets or served_type.name in parameter.targets


def _operations(prefix: str, operations: Iterable[Operation], *more: dict[str, Any]) -> dict[str, Any]:
    """The declared operations, if there are any; one that answers for type and instance is declared once."""
    own = [
        {
            "name": operation.name,
            "definition": operation.definition or f"{CANONICAL}/OperationDefinition/{prefix}{operation.name}",
            "documentation": operation.documentation,
        }
        for operation in {each.name: each for each in operations}.values()
    ]
    return {"operation": [*own, *more]} if own or more else {}
