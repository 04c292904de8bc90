"""The addresses of the whole service: what it serves, Bundles, searches and histories over all types, operations."""

from typing import Any

from stepwell_shared.fhir.registry import Interaction, Registry
from stepwell_shared.fhir.search.criteria import compartment_parameters
from stepwell_shared.fhir.wire import FHIR_JSON
from stepwell_shared.openapi import parameters
from stepwell_shared.openapi.examples import bundle_examples
from stepwell_shared.openapi.operation import operation
from stepwell_shared.openapi.resource_paths import operation_item

Json = dict[str, Any]
TAG = "The whole service"
_TYPES = {"_type": "names of resource types, with commas between them; without it all that may be searched"}


def system_paths(prefix: str, registry: Registry) -> Json:
    """The addresses that belong to no resource type."""
    metadata = operation("metadata", "What this service serves", "CapabilityStatement", secured=False, tag=TAG)
    history = operation("history", "Versions of all resources, newest first", "Bundle", tag=TAG)
    search = operation("search", "Search several types at once, by what all of them have", "Bundle", tag=TAG)
    search["parameters"] = parameters.everywhere(_TYPES)
    paths: Json = {
        f"{prefix}/metadata": {"get": metadata},
        prefix: {"get": search, "post": _bundle(registry)},
        f"{prefix}/_history": {"get": {**history, "parameters": parameters.HISTORY}},
    }
    if any(compartment_parameters(each, "Patient") for each in registry if each.allows(Interaction.SEARCH_TYPE)):
        record = operation("search-patient", "The record of one patient in this service", "Bundle", tag=TAG)
        record["parameters"] = parameters.everywhere(_TYPES)
        paths[f"{prefix}/Patient/{{id}}/*"] = {"parameters": [parameters.ID], "get": record}
    for each in registry.operations:
        paths[f"{prefix}/${each.name}"] = operation_item(each, each.name, TAG, each.result or "Parameters")
    return paths


def _bundle(registry: Registry) -> Json:
    post = operation(
        "process-Bundle",
        "Several requests at once: a batch answers each for itself, a transaction does all or nothing",
        "Bundle",
        body="Bundle",
        tag=TAG,
    )
    del post["responses"]["201"]
    post["requestBody"]["content"][FHIR_JSON]["examples"] = bundle_examples(registry)
    post["parameters"] = [parameters.PREFER, parameters.KEY]
    return post
