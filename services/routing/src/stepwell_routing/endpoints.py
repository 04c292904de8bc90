"""Routing's operations: parse, call one use case, reply."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.fhir.registry import Interaction, Operation
from stepwell_shared.runtime import Runtime

from stepwell_routing.use_cases.acceptance import accept_proposal
from stepwell_routing.use_cases.choosing import choose
from stepwell_routing.use_cases.override import override_proposal
from stepwell_routing.use_cases.starting import start_pathway
from stepwell_routing.use_cases.steering import agree_on_course, finish_course, hold_course, resume_course


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
        " tier-1 to tier-4 (valueCode), reason (valueCode, or valueCodeableConcept with a code and perhaps words; the"
        " codes are those of CodeSystem/override-reason) and perhaps text (valueString). Where the person chose less,"
        " the review is early.",
    )
    yield Operation(
        "choose",
        partial(choose, runtime),
        Interaction.READ,
        "The person's choice: one of the options that are offered, or a step with less than was proposed, which is"
        " recorded beside the proposal and looked at early, and is never below what safety asks for. Parameters with"
        " option or step (valueCode) or both, and perhaps words (valueString). The person, or somebody of the team with"
        " the right to create Communications, says it.",
        result="Communication",
    )


def course_operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on EpisodeOfCare, each by a named clinician."""
    yield Operation(
        "hold",
        partial(hold_course, runtime),
        Interaction.UPDATE,
        "The step rests, contact goes on. Parameters with reason = not-ready, contraindication or flare (valueCode),"
        " and resume-check, the day on which somebody asks whether it goes on (valueDate).",
    )
    yield Operation("resume", partial(resume_course, runtime), Interaction.UPDATE, "The step goes on. No parameters.")
    yield Operation(
        "finish",
        partial(finish_course, runtime),
        Interaction.UPDATE,
        "Care ends with the person's agreement, and boosters get their dates. No parameters.",
    )
    yield Operation(
        "agree",
        partial(agree_on_course, runtime),
        Interaction.UPDATE,
        "The person agrees to what was proposed, and it is decided anew. Parameters with to = step-down, exit or"
        " advance (valueCode).",
    )
    yield Operation(
        "start-pathway",
        partial(start_pathway, runtime),
        Interaction.UPDATE,
        "The person begins on a pathway, or changes to another one: the episode that went on ends, and another begins."
        " Parameters with subject (valueReference), pathway (valueCode) and perhaps reason (valueString). It is decided"
        " at once by the pathway's policy in force at the person's site.",
        instance=False,
    )
