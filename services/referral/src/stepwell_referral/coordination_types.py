"""What coordinates the care of a person: the team, and the view of barriers and supports."""

from functools import partial

from stepwell_shared.fhir.registry import READ_ONLY, Interaction, Operation, ServedType, served
from stepwell_shared.runtime import Runtime

from stepwell_referral.use_cases.coordination import care_coordination
from stepwell_referral.use_cases.teams import write_team


def team_type(runtime: Runtime) -> ServedType:
    """CareTeam, one for a person."""
    return served(
        "CareTeam",
        ["category", "date", "encounter", "identifier", "participant", "patient", "status", "subject"],
        interactions=READ_ONLY | {Interaction.UPDATE},
        on_write=partial(write_team, runtime),
        indexes=(("patient", "status"),),
        update_create=False,
        documentation="Who takes part in the care of a person, as what and since when (code system care-team-role)."
        " Who refers, says yes, begins care, sees the person or gives a part of care is added as they do; coordinators"
        " and clinicians add others, family and peers where a Consent of the person names them. It rests when no"
        " referral of the person is open.",
    )


def coordination_operation(runtime: Runtime) -> Operation:
    """The operation on Patient."""
    return Operation(
        "care-coordination",
        partial(care_coordination, runtime),
        Interaction.READ,
        "What makes it hard for this person to take part (barrier, with how often, since which form, and where that"
        " stands: answered-by-place, looked-for, arranged, not-arranged, nobody-looks), every Task of support with who"
        " arranged what and whether it is open, and who is in their team. What the token does not reach is left out.",
        affects_state=False,
        result="Parameters",
    )
