"""Routing's operations: parse, call one use case, reply."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.fhir.registry import Interaction, Operation
from stepwell_shared.runtime import Runtime

from stepwell_routing.use_cases.acceptance import accept_proposal


def operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on ServiceRequest."""
    yield Operation(
        "accept",
        partial(accept_proposal, runtime),
        Interaction.UPDATE,
        "A clinician accepts a proposed tier: it becomes a plan, and the referral is requested. No parameters.",
    )
