"""Breaking the glass: in an emergency, one person's data are read although no Consent permits it, and all can see that.

A token for it is asked for in so many words, with a coded reason, for one patient; it reads and lives five minutes. Its
number begins with what it is, so that every entry of the audit that it leaves says so, within the chain of seals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stepwell_shared.auth.client_authentication import OAuthError, required
from stepwell_shared.auth.clients import ID, Client
from stepwell_shared.auth.roles import BREAK_GLASS_ROLE
from stepwell_shared.auth.scopes import Scopes

PURPOSE: Final = "BTG"
# https://terminology.hl7.org/CodeSystem-v3-ActReason.html: why, beside that it was done at all
REASONS: Final[Mapping[str, str]] = {
    "ETREAT": "Emergency Treatment",
    "ERTREAT": "emergency room treatment",
    "THREAT": "threat",
}
NUMBER_PREFIX: Final = "btg."

# What an emergency needs to know of one person. Nothing is written, nobody else is seen.
EMERGENCY_SCOPES: Final = Scopes.parse(
    " ".join(
        f"patient/{name}.rs"
        for name in (
            *("Patient", "RelatedPerson", "Consent", "QuestionnaireResponse", "Observation", "Condition"),
            *("MedicationStatement", "RiskAssessment", "Flag", "CarePlan", "ServiceRequest", "Task", "EpisodeOfCare"),
            *("Appointment", "CareTeam", "DocumentReference", "Goal"),
        )
    )
)


@dataclass(frozen=True)
class BrokenGlass:
    """Who is to be seen, and why."""

    patient: str
    reason: str

    def claims(self, number: str) -> dict[str, str]:
        """What the token says of it; `number` makes it one of a kind."""
        return {
            "jti": f"{NUMBER_PREFIX}{self.reason}.{number}",
            "patient": self.patient,
            "purpose_of_use": PURPOSE,
            "purpose_of_use_reason": self.reason,
            "roles": BREAK_GLASS_ROLE,
        }


def broken_glass(form: Mapping[str, str], client: Client) -> BrokenGlass | None:
    """What a token request asks for, if it asks for this. Raises OAuthError, also for a client that may not."""
    purpose = form.get("purpose_of_use")
    if purpose is None:
        return None
    if purpose != PURPOSE:
        raise OAuthError("invalid_request", f"purpose_of_use is {PURPOSE} or absent")
    if BREAK_GLASS_ROLE not in client.roles or client.fhir_user is None:
        text = f"this client may not break the glass: it needs the role {BREAK_GLASS_ROLE}, and to say who acts"
        raise OAuthError("unauthorized_client", text)
    reason, patient = required(form, "purpose_of_use_reason"), required(form, "patient")
    if reason not in REASONS:
        raise OAuthError("invalid_request", f"purpose_of_use_reason is one of {', '.join(REASONS)} (v3-ActReason)")
    if not ID.fullmatch(patient):
        raise OAuthError("invalid_request", "patient is the id of one Patient")
    return BrokenGlass(patient, reason)
