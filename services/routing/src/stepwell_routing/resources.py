"""Which FHIR types routing serves, with their search parameters and operations."""

from functools import partial

from stepwell_shared.consent.serving import consent_copy
from stepwell_shared.fhir.registry import READ_ONLY, Interaction, Registry, served
from stepwell_shared.runtime import Runtime
from stepwell_shared.served import SERVICE_REQUEST_PARAMETERS, patient_copy, shared_types, with_export

from stepwell_routing.care_types import care_types
from stepwell_routing.endpoints import course_operations, operations
from stepwell_routing.policy_endpoints import policy_operations
from stepwell_routing.subscriptions import TOPICS
from stepwell_routing.use_cases.publishing import change_policy


def registry(runtime: Runtime) -> Registry:
    """The registry of this service; operations reach the running parts through the runtime."""
    found = Registry("routing")
    found.add(
        served(
            "ServiceRequest",
            SERVICE_REQUEST_PARAMETERS,
            interactions=READ_ONLY,
            indexes=(("patient", "-authored"),),
            operations=tuple(operations(runtime)),
            documentation="Tier assignments: a proposal of the machine, a plan once a clinician has accepted it.",
        )
    )
    found.add(
        served(
            "EpisodeOfCare",
            [
                *("care-manager", "condition", "date", "identifier", "incoming-referral", "organization"),
                *("patient", "status", "type"),
            ],
            interactions=READ_ONLY,
            indexes=(("patient", "-date"),),
            operations=tuple(course_operations(runtime)),
            documentation="The course of a person in a pathway, with the tier in force; who comes back after its end"
            " has another one.",
        )
    )
    found.add(
        served(
            "PlanDefinition",
            [
                *("composed-of", "context", "context-quantity", "context-type", "context-type-quantity"),
                *("context-type-value", "date", "definition", "depends-on", "derived-from"),
                *("description", "effective", "identifier", "jurisdiction", "name", "predecessor"),
                *("publisher", "status", "successor", "title", "topic", "type", "url", "version"),
            ],
            interactions=READ_ONLY | {Interaction.CREATE, Interaction.UPDATE},
            on_write=partial(change_policy, runtime),
            operations=tuple(policy_operations(runtime)),
            documentation="The policies that ship, and a site's own: a draft is free, then its version runs in shadow"
            " (active and experimental), is put in force, and is retired; only status, experimental and date change.",
        )
    )
    found.add(patient_copy())
    found.add(consent_copy())
    for served_type in (*care_types(runtime), *shared_types(runtime, "routing", TOPICS)):
        found.add(served_type)
    return with_export(found, runtime)
