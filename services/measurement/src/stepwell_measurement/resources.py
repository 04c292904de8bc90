"""Which FHIR types measurement serves, with their search parameters and what happens when they are written."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.consent.serving import consent_copy
from stepwell_shared.fhir.registry import READ_ONLY, Interaction, Registry, ServedType, served
from stepwell_shared.runtime import Runtime
from stepwell_shared.served import TASK_PARAMETERS, patient_copy, shared_types, with_export

from stepwell_measurement.endpoints import measure_operations, observation_operations
from stepwell_measurement.subscriptions import TOPICS
from stepwell_measurement.use_cases.observations import change_observation
from stepwell_measurement.use_cases.reports import change_report
from stepwell_measurement.use_cases.steps import change_standing

SCREENING_ASSESSMENT = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-screening-assessment"
CHANGED = READ_ONLY | {Interaction.UPDATE}


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
            operations=tuple(observation_operations(runtime)),
            profiles=(SCREENING_ASSESSMENT,),
            documentation="Scores of questionnaires, reliable change from the second score on, and what EHRs, devices"
            " and people post. A score that is posted joins the person's trajectory at once. A reading of a device or"
            " of the person (device, performer) is held to the targets of their active Goals: outside of them a review"
            " Task is made, and the person is told. How far a goal has come is an Observation of code goal-attainment,"
            " 0 to 10, whose focus is the Goal.",
        )
    )
    for each in (*_measure_types(runtime), *_plan_types()):
        found.add(each)
    found.add(patient_copy())
    found.add(consent_copy())
    for served_type in shared_types(runtime, "measurement", TOPICS):
        found.add(served_type)
    return with_export(found, runtime)


def _measure_types(runtime: Runtime) -> Iterator[ServedType]:
    """What is counted, what came of it, and the people whom a count found."""
    yield served(
        "MeasureReport",
        [
            *("date", "evaluated-resource", "identifier", "measure", "patient", "period", "reporter"),
            *("status", "subject"),
        ],
        interactions=READ_ONLY | {Interaction.CREATE, Interaction.UPDATE},
        on_write=partial(change_report, runtime),
        documentation="Figures about groups or persons. Who waits for them hears of each that is not pending. Those"
        " with an identifier of NamingSystem/figures are made here out of what is published, for the partner that they"
        " go to. Partners that figures are taken from write their own (PUT): summaries of a whole month or quarter in"
        " which no count is small.",
    )
    yield served(
        "Measure",
        [
            *("composed-of", "context", "context-quantity", "context-type", "context-type-quantity"),
            *("context-type-value", "date", "depends-on", "derived-from", "description", "effective"),
            *("identifier", "jurisdiction", "name", "predecessor", "publisher", "status", "successor"),
            *("title", "topic", "url", "version"),
        ],
        interactions=READ_ONLY,
        operations=tuple(measure_operations(runtime)),
        documentation="What is counted, of whom, why, and where the definition comes from. The criteria are"
        " expressions over the columns of the counted rows, which docs/measures.md describes.",
    )
    yield served(
        "Group",
        [
            *("actual", "characteristic", "characteristic-value", "code", "exclude", "identifier"),
            *("managing-entity", "member", "type", "value"),
        ],
        interactions=READ_ONLY,
        documentation="People to go to, as Measure/reach/$outreach found them: who was left out at that time.",
    )


def _plan_types() -> Iterator[ServedType]:
    """Goals, and what they lead to: Tasks for the team, messages for the person."""
    yield served(
        "Goal",
        [
            *("achievement-status", "category", "identifier", "lifecycle-status", "patient", "start-date", "subject"),
            "target-date",
        ],
        interactions=READ_ONLY | {Interaction.CREATE, Interaction.UPDATE},
        indexes=(("patient", "lifecycle-status"),),
        documentation="What a person works towards, in their own words (description.text). A target with a range, or"
        " with a quantity that is a limit, is the plan that readings of its measure are held to.",
    )
    yield served(
        "Task",
        TASK_PARAMETERS,
        interactions=CHANGED,
        on_write=change_standing,
        indexes=(("patient", "-authored-on"),),
        documentation="What the team is asked to look at: code=reading-review (readings outside of a plan, one Task a"
        " week for each range) and goal-review (at every move, and when care ends). Clients say how it stands.",
    )
    yield served(
        "Communication",
        [
            *("based-on", "category", "encounter", "identifier", "instantiates-canonical", "instantiates-uri"),
            *("medium", "part-of", "patient", "received", "recipient", "sender", "sent", "status", "subject"),
        ],
        interactions=CHANGED,
        on_write=change_standing,
        documentation="What people are told about their readings: status=preparation until whoever brings messages to"
        " people has it, and says so.",
    )
