"""Which FHIR types referral serves, with their search parameters and what happens when they are written."""

from dataclasses import replace
from functools import partial

from stepwell_shared.consent.serving import consent_copy
from stepwell_shared.fhir.registry import READ_ONLY, Interaction, Registry, served
from stepwell_shared.runtime import Runtime
from stepwell_shared.served import SERVICE_REQUEST_PARAMETERS, TASK_PARAMETERS, patient_copy, shared_types, with_export

from stepwell_referral.booking_types import add_queue_operations, booking_types
from stepwell_referral.coordination_types import coordination_operation, team_type
from stepwell_referral.directory_types import directory_types, match_operation
from stepwell_referral.message_types import message_types
from stepwell_referral.subscriptions import TOPICS
from stepwell_referral.use_cases.intake import write_patient, write_request, write_task

# Made by this service itself, or sent by partner organisations.
TAKEN_IN = READ_ONLY | {Interaction.CREATE}


def registry(runtime: Runtime) -> Registry:
    """The registry of this service; hooks reach the running parts through the runtime."""
    found = Registry("referral")
    _referral_types(found, runtime)
    for each in directory_types(runtime):
        found.add(each)
    for each in booking_types(runtime):
        found.add(each)
    add_queue_operations(found, runtime)
    found.add(
        replace(
            patient_copy(),
            interactions=TAKEN_IN,
            on_write=partial(write_patient, runtime),
            operations=(coordination_operation(runtime),),
        )
    )
    found.add(team_type(runtime))
    found.add(consent_copy())
    for served_type in message_types(runtime):
        found.add(served_type)
    for served_type in shared_types(runtime, "referral", TOPICS):
        found.add(served_type)
    return with_export(found, runtime)


def _referral_types(found: Registry, runtime: Runtime) -> None:
    found.add(
        served(
            "ServiceRequest",
            SERVICE_REQUEST_PARAMETERS,
            interactions=TAKEN_IN,
            on_write=partial(write_request, runtime),
            indexes=(("patient", "-authored"),),
            documentation="The tier assignments as routing sent them, under the ids that it gave: routing owns them."
            " Beside them those that partner organisations send with their referrals.",
        )
    )
    found.add(
        served(
            "Task",
            TASK_PARAMETERS,
            interactions=TAKEN_IN | {Interaction.UPDATE},
            on_write=partial(write_task, runtime),
            indexes=(("patient", "-authored-on"), ("owner", "status", "priority")),
            operations=(match_operation(runtime),),
            update_create=False,
            documentation="One referral each, with its place, its wait and the support until then. Coordinators move"
            " them for the place that was asked, clinicians for who refers. Only partner organisations create them, in"
            " a transaction with ServiceRequest and Patient.",
        )
    )
