"""Screening's operations: parse, call one use case, reply."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.fhir.registry import Interaction, Operation
from stepwell_shared.runtime import Runtime

from stepwell_screening.use_cases.safety import record_risk_level


def operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on Task."""
    yield Operation(
        "record-risk-level",
        partial(record_risk_level, runtime),
        Interaction.UPDATE,
        "Completes a safety Task with the risk level that a clinician found: Parameters with level = low, moderate or"
        " high (valueCode).",
    )
