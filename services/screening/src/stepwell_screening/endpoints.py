"""Screening's operations: parse, call one use case, reply."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.fhir.registry import Interaction, Operation
from stepwell_shared.runtime import Runtime

from stepwell_screening.use_cases.form_links import form_link
from stepwell_screening.use_cases.library import import_instrument
from stepwell_screening.use_cases.safety import record_risk_level


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
