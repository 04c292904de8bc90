"""Which FHIR types measurement serves, with their search parameters and what happens when they are written."""

from functools import partial

from stepwell_shared.consent.serving import consent_copy
from stepwell_shared.fhir.registry import READ_ONLY, Interaction, Registry, served
from stepwell_shared.runtime import Runtime
from stepwell_shared.served import patient_copy, shared_types

from stepwell_measurement.subscriptions import TOPICS
from stepwell_measurement.use_cases.observations import change_observation
from stepwell_measurement.use_cases.reports import change_report


def registry(runtime: Runtime) -> Registry:
    """The registry of this service; hooks reach the running parts through the runtime."""
    found = Registry("measurement")
    found.add(
        served(
            "Observation",
            [
                *("based-on", "category", "code", "code-value-concept", "code-value-date"),
                *("code-value-quantity", "code-value-string", "combo-code", "combo-code-value-concept"),
                *("combo-code-value-quantity", "combo-data-absent-reason", "combo-value-concept"),
                *("combo-value-quantity", "component-code", "component-code-value-concept"),
                *("component-code-value-quantity", "component-data-absent-reason"),
                *("component-value-concept", "component-value-quantity", "data-absent-reason", "date"),
                *("derived-from", "device", "encounter", "focus", "has-member", "identifier", "method"),
                *("part-of", "patient", "performer", "specimen", "status", "subject", "value-concept"),
                *("value-date", "value-quantity", "value-string"),
            ],
            interactions=READ_ONLY | {Interaction.CREATE, Interaction.UPDATE},
            on_write=partial(change_observation, runtime),
            indexes=(("patient", "code", "-date"), ("code", "-date"), ("-date",)),
            documentation="Scores of questionnaires, reliable change from the second score on, and what EHRs post.",
        )
    )
    found.add(
        served(
            "MeasureReport",
            [
                *("date", "evaluated-resource", "identifier", "measure", "patient", "period", "reporter"),
                *("status", "subject"),
            ],
            interactions=READ_ONLY | {Interaction.CREATE, Interaction.UPDATE},
            on_write=partial(change_report, runtime),
            documentation="Figures about groups or persons. Who waits for them hears of each that is not pending.",
        )
    )
    found.add(patient_copy())
    found.add(consent_copy())
    for served_type in shared_types(runtime, TOPICS):
        found.add(served_type)
    return found
