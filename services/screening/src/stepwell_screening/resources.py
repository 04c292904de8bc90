"""Which FHIR types screening serves, with their search parameters and what happens when they are written."""

from functools import partial

from stepwell_shared.consent.serving import CONSENT_PARAMETERS, RELATED_PERSON_PARAMETERS
from stepwell_shared.fhir.interactions.terminology import terminology_types
from stepwell_shared.fhir.registry import READ_ONLY, Interaction, Registry, served
from stepwell_shared.runtime import Runtime
from stepwell_shared.served import PATIENT_PARAMETERS, TASK_PARAMETERS, shared_types, with_export

from stepwell_screening.endpoints import (
    adaptive_operations,
    form_operations,
    library_operations,
    operations,
    patient_operations,
    questionnaire_operations,
    response_operations,
)
from stepwell_screening.subscriptions import TOPICS
from stepwell_screening.use_cases.consents import change_consent, change_related_person
from stepwell_screening.use_cases.patients import change_patient
from stepwell_screening.use_cases.publishing import change_questionnaire
from stepwell_screening.use_cases.responses import submit_response
from stepwell_screening.use_cases.tasks import change_message, change_task

KEPT = READ_ONLY | {Interaction.CREATE, Interaction.UPDATE}
CHANGED = READ_ONLY | {Interaction.UPDATE}


def registry(runtime: Runtime) -> Registry:
    """The registry of this service; hooks reach the running parts through the runtime."""
    found = Registry("screening")
    found.add(
        served(
            "Patient",
            PATIENT_PARAMETERS,
            interactions=KEPT,
            on_write=partial(change_patient, runtime),
            operations=tuple(patient_operations(runtime)),
            documentation="The people of this deployment. The other services keep a read-only copy.",
        )
    )
    found.add(
        served(
            "Questionnaire",
            [
                *("code", "context", "context-quantity", "context-type", "context-type-quantity"),
                *("context-type-value", "date", "definition", "description", "effective", "identifier"),
                *("jurisdiction", "name", "publisher", "status", "subject-type", "title", "url"),
                "version",
            ],
            interactions=KEPT,
            on_write=partial(change_questionnaire, runtime),
            operations=(
                *library_operations(runtime),
                *adaptive_operations(runtime),
                *form_operations(runtime),
                *questionnaire_operations(runtime),
            ),
            translated=True,
            documentation="The instruments that ship with screening, and forms of a site's own. With status active a"
            " form is published, once its expressions and conditions can be run; then only status and date change."
            " Accept-Language picks the language of their strings.",
        )
    )
    found.add(
        served(
            "QuestionnaireResponse",
            [
                *("author", "authored", "based-on", "encounter", "identifier", "item-subject", "part-of"),
                *("patient", "questionnaire", "source", "status", "subject"),
            ],
            interactions=KEPT,
            on_write=partial(submit_response, runtime),
            indexes=(("patient", "-authored"),),
            unique_identifier=True,
            operations=tuple(response_operations(runtime)),
            documentation="Answers, held to their Questionnaire and scored when finished. Sent twice with one"
            " identifier, they are stored once.",
        )
    )
    _safety_types(found, runtime)
    _consent_types(found, runtime)
    for served_type in (*terminology_types(lambda: runtime.engine), *shared_types(runtime, "screening", TOPICS)):
        found.add(served_type)
    return with_export(found, runtime)


def _safety_types(found: Registry, runtime: Runtime) -> None:
    found.add(
        served(
            "Task",
            [*TASK_PARAMETERS, "due"],
            interactions=CHANGED,
            on_write=partial(change_task, runtime),
            indexes=(("patient", "-authored-on"), ("status", "due")),
            operations=tuple(operations(runtime)),
            documentation="What a person must see to: code=safety finds all of it, the most urgent first. A clinician"
            " closes a safety review by recording a risk level. code=complete-questionnaire finds the forms that people"
            " are asked for, with business-status=overdue those that were not answered in time.",
            order="due",
        )
    )
    found.add(
        served(
            "RiskAssessment",
            [
                *("condition", "date", "encounter", "identifier", "method", "patient", "performer"),
                *("probability", "risk", "subject"),
            ],
            interactions=READ_ONLY,
            indexes=(("patient", "-date"),),
        )
    )
    found.add(
        served(
            "Flag",
            [
                *("author", "date", "encounter", "identifier", "patient", "subject"),
            ],
            interactions=READ_ONLY,
            indexes=(("patient",),),
        )
    )
    found.add(
        served(
            "Communication",
            [
                *("based-on", "category", "encounter", "identifier", "instantiates-canonical", "instantiates-uri"),
                *("medium", "part-of", "patient", "received", "recipient", "sender", "sent", "status", "subject"),
            ],
            interactions=CHANGED,
            on_write=partial(change_message, runtime),
            indexes=(("patient", "-sent"),),
            documentation="Whom a safety Task was brought to, and when (category alert), and what a person is sent when"
            " a form waits for them (category reminder). Made here; whoever delivers it follows the topics safety-alert"
            " and questionnaire-changed, or searches for status=preparation, and says that a reminder is sent by its"
            " status.",
        )
    )


def _consent_types(found: Registry, runtime: Runtime) -> None:
    found.add(
        served(
            "Consent",
            CONSENT_PARAMETERS,
            interactions=KEPT,
            on_write=partial(change_consent, runtime),
            indexes=(("patient", "status"),),
            documentation="What may be shared with whom and for which purpose (scope patient-privacy), and to which"
            " treatment somebody agreed (scope treatment). Withdrawn with status inactive or rejected, which holds at"
            " once; the versions are kept.",
        )
    )
    found.add(
        served(
            "RelatedPerson",
            RELATED_PERSON_PARAMETERS,
            interactions=KEPT,
            on_write=partial(change_related_person, runtime),
            documentation="Family and others close to a patient. They see what a Consent of the patient permits them.",
        )
    )
