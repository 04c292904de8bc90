"""Routing's operations: parse, call one use case, reply."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.fhir.registry import Interaction, Operation
from stepwell_shared.runtime import Runtime

from stepwell_routing.use_cases.acceptance import accept_proposal
from stepwell_routing.use_cases.override import override_proposal


def operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on ServiceRequest."""
    yield Operation(
        "accept",
        partial(accept_proposal, runtime),
        Interaction.UPDATE,
        "A clinician accepts a proposed tier: it becomes a plan, and the referral is requested. No parameters.",
    )
    yield Operation(
        "override",
        partial(override_proposal, runtime),
        Interaction.UPDATE,
        "A clinician decides for another tier than the proposed one: a plan in its place. Parameters with tier ="
        " tier-1 to tier-4 (valueCode) and reason (valueString, or valueCodeableConcept with a text or a code).",
    )
