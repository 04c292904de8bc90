"""Screening's operations: parse, call one use case, reply."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.fhir.registry import Interaction, Operation
from stepwell_shared.runtime import Runtime

from stepwell_screening.use_cases.acknowledgement import acknowledge
from stepwell_screening.use_cases.adaptive import next_question
from stepwell_screening.use_cases.assembling import assemble_questionnaire
from stepwell_screening.use_cases.concerns import raise_safety_concern
from stepwell_screening.use_cases.extracting import extract_response
from stepwell_screening.use_cases.form_links import form_link
from stepwell_screening.use_cases.item_banks import import_item_bank
from stepwell_screening.use_cases.library import import_instrument
from stepwell_screening.use_cases.pacing import ask_questionnaires, pause_questionnaires, questionnaire_schedule
from stepwell_screening.use_cases.populating import populate_questionnaire
from stepwell_screening.use_cases.processing import process_response
from stepwell_screening.use_cases.safety import record_review, record_risk_level


def library_operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on Questionnaire that keep the library of instruments."""
    yield Operation(
        "import",
        partial(import_instrument, runtime),
        Interaction.CREATE,
        "Publishes a site's own form of an instrument: Parameters with instrument (valueCode), questionnaire (resource)"
        " and, where the wording is not free, attestedBy and licence (valueString). The form is held to the"
        " instrument's items, codes, options and weights, and has its scoring.",
        instance=False,
    )


def adaptive_operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on Questionnaire that ask adaptively."""
    yield Operation(
        "next-question",
        partial(next_question, runtime),
        Interaction.READ,
        "The next questions of an adaptive form: a QuestionnaireResponse that is in-progress and contains a"
        " Questionnaire derivedFrom the adaptive one, bare or as the parameter questionnaire-response. The answer has"
        " the questions added, or is completed. Nothing is stored.",
        instance=False,
        result="Parameters",
        definition="http://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-next-question",
    )
    yield Operation(
        "import-item-bank",
        partial(import_item_bank, runtime),
        Interaction.CREATE,
        "Publishes a site's own item bank for computerised adaptive testing: Parameters with questionnaire (resource,"
        " whose extensions hold the calibration and the stopping rule), attestedBy and licence (valueString).",
        instance=False,
    )


def questionnaire_operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on Questionnaire that lead to its form page."""
    yield Operation(
        "form-link",
        partial(form_link, runtime),
        Interaction.READ,
        "A one-time link that opens this form for one person without an account: Parameters with subject"
        " (valueReference to a Patient) and optionally task (valueReference) and expires (valueInstant). Gives back"
        " link (valueUrl) and expires. Takes the right to create QuestionnaireResponses and to read the person.",
        result="Parameters",
    )


def operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on Task."""
    yield Operation(
        "record-risk-level",
        partial(record_risk_level, runtime),
        Interaction.UPDATE,
        "Completes a safety Task with the risk level that a clinician found: Parameters with level = low, moderate or"
        " high (valueCode).",
    )
    yield Operation(
        "record-review",
        partial(record_review, runtime),
        Interaction.UPDATE,
        "Completes a safety Task of another kind than a safety review: Parameters with outcome = resolved or continues"
        " (valueCode) and perhaps note (valueString).",
    )
    yield Operation(
        "acknowledge",
        partial(acknowledge, runtime),
        Interaction.UPDATE,
        "A person takes a safety Task on; it is not completed by that. Nobody else is told until its deadline. No"
        " parameters for a person who acts; by (valueReference) for a system that acts for one.",
    )


def patient_operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on Patient."""
    yield Operation(
        "raise-safety-concern",
        partial(raise_safety_concern, runtime),
        Interaction.READ,
        "A person raises a concern that no form could know: Parameters with concern = self-harm, medical-red-flag,"
        " psychosis-or-mania, perinatal, under-18 or dependence (valueCode), perhaps note (valueString), and by"
        " (valueReference) when a system acts for a person. The answer is the safety Task that it opened.",
        result="Task",
    )
    yield Operation(
        "pause-questionnaires",
        partial(pause_questionnaires, runtime),
        Interaction.READ,
        "How often a person wants to be asked: Parameters with pace = paused (unless given), slower or usual"
        " (valueCode) and perhaps until (valueDate or valueDateTime). A pause withdraws the form that waits, and ends"
        " by itself. What safety asks for goes on. Takes the right to update Tasks.",
        result="Parameters",
    )
    yield Operation(
        "ask-questionnaires",
        partial(ask_questionnaires, runtime),
        Interaction.READ,
        "A form at once, where people meet: Parameters with occasion = session or contact (valueCode). Begins a"
        " schedule for whoever has none. Takes the right to update Tasks.",
        result="Parameters",
    )
    yield Operation(
        "questionnaire-schedule",
        partial(questionnaire_schedule, runtime),
        Interaction.READ,
        "What a person is asked next, when, and by which rule; their own pace, and the Task that waits.",
        affects_state=False,
        result="Parameters",
    )


_POPULATE = (
    "A response in progress with what is known: by expressions, Observations and initial values. Parameters with"
    " questionnaire (canonical, Reference or resource), subject (Reference), context (parts name and content), data"
    " (Bundle) and local (boolean: the subject as it is kept here). The answer has response and issues. Nothing is"
    " stored."
)
_ASSEMBLE = (
    "A modular Questionnaire with its parts in place, under the same url and version. Parameters with questionnaire"
    " (canonical, Reference or resource). The answer has return and outcome. Nothing is stored."
)
_PROCESS = "Hands in a response, bare or as the parameter in: it is held to its form, stored and scored as by a create."
_EXTRACT = (
    "What a finished response says, as resources in a transaction: by observation, by definition and by template."
    " Parameters with questionnaire-response (resource) and, for a form that is not kept here, questionnaire"
    " (resource). The answer has return and issues. Nothing is stored."
)


def form_operations(runtime: Runtime) -> Iterator[Operation]:
    """SDC's operations on Questionnaire that need no library: of the type and of one form."""
    guide = "http://hl7.org/fhir/uv/sdc/OperationDefinition"
    for instance in (False, True):
        yield Operation(
            "populate",
            partial(populate_questionnaire, runtime),
            Interaction.READ,
            _POPULATE,
            instance=instance,
            affects_state=False,
            result="Parameters",
            definition=f"{guide}/Questionnaire-populate",
        )
        yield Operation(
            "assemble",
            partial(assemble_questionnaire, runtime),
            Interaction.READ,
            _ASSEMBLE,
            instance=instance,
            affects_state=False,
            result="Parameters",
            definition=f"{guide}/Questionnaire-assemble",
        )
        yield Operation(
            "process-response",
            partial(process_response, runtime),
            Interaction.READ,
            _PROCESS,
            instance=instance,
            result="OperationOutcome",
            definition=f"{guide}/Questionnaire-process-response",
        )


def response_operations(runtime: Runtime) -> Iterator[Operation]:
    """SDC's operation on QuestionnaireResponse; without an id only by POST, for a response does not fit into a URL."""
    for instance in (False, True):
        yield Operation(
            "extract",
            partial(extract_response, runtime),
            Interaction.READ,
            _EXTRACT,
            instance=instance,
            affects_state=not instance,
            result="Parameters",
            definition="http://hl7.org/fhir/uv/sdc/OperationDefinition/QuestionnaireResponse-extract",
        )
