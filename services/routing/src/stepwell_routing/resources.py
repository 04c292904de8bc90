"""Which FHIR types routing serves, with their search parameters and operations."""

from stepwell_shared.fhir.registry import READ_ONLY, Registry, served
from stepwell_shared.runtime import Runtime
from stepwell_shared.served import patient_copy, shared_types

from stepwell_routing.endpoints import operations
from stepwell_routing.subscriptions import TOPICS


def registry(runtime: Runtime) -> Registry:
    """The registry of this service; operations reach the running parts through the runtime."""
    found = Registry("routing")
    found.add(
        served(
            "ServiceRequest",
            [
                *("patient", "subject", "status", "intent", "code", "category", "priority", "authored", "identifier"),
                *("replaces", "requester", "instantiates-canonical", "occurrence"),
            ],
            interactions=READ_ONLY,
            indexes=(("patient", "authored"),),
            operations=tuple(operations(runtime)),
            documentation="Tier assignments: a proposal of the machine, a plan once a clinician has accepted it.",
        )
    )
    found.add(
        served(
            "EpisodeOfCare",
            ["patient", "status", "type", "date", "identifier"],
            interactions=READ_ONLY,
            indexes=(("patient", "date"),),
            documentation="One per person and pathway, with the tier in force.",
        )
    )
    found.add(
        served(
            "PlanDefinition",
            ["url", "version", "status", "title", "name", "identifier", "date", "publisher"],
            interactions=READ_ONLY,
            documentation="The published policies. A version never changes.",
        )
    )
    found.add(patient_copy())
    for served_type in shared_types(runtime, TOPICS):
        found.add(served_type)
    return found
