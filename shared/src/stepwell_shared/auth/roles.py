"""The named roles as scope sets: what a clinician, a coordinator and the others need for their work, and no more.

People act under `user/` scopes and a patient under `patient/` scopes, so their clients name who they are (fhirUser).
"""

from collections.abc import Collection, Mapping
from typing import Final

from stepwell_shared.auth.scopes import Scopes

# Another organisation's service. It is no set of scopes: what a partner may do is agreed with each.
PARTNER_ROLE: Final = "partner"
# The same organisation's measurement service, which reports figures.
FIGURES_ROLE: Final = "partner-figures"

# Who may break the glass (break_glass.py). By itself it lets do nothing.
BREAK_GLASS_ROLE: Final = "emergency"

# Who acts under Consents alone, with the type of resource that says who that is.
ROLES_UNDER_CONSENT: Final[Mapping[str, str]] = {
    "related-person": "RelatedPerson",
    "outside-organisation": "Organization",
}
# The actor of somebody in such a role who does not say who they are: no Consent can name it.
UNNAMED: Final = "nobody"

_DIRECTORY = "HealthcareService Organization Location Practitioner PractitionerRole"
_KNOWLEDGE = "Questionnaire PlanDefinition ActivityDefinition Library ValueSet CodeSystem"

# Per role: who the scopes are for, then the letters on the types. Permissions that are not written are not given.
_TABLE: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "clinician": {
        "user": {
            "crus": "Patient RelatedPerson QuestionnaireResponse Condition MedicationStatement Goal CarePlan"
            " RequestGroup ServiceRequest Task Communication CommunicationRequest Appointment Encounter EpisodeOfCare"
            " Consent CareTeam DocumentReference List",
            "rus": "Flag RiskAssessment",
            "cr": "Binary",
            "rs": f"Observation Schedule Slot Group Measure MeasureReport Provenance {_DIRECTORY} {_KNOWLEDGE}",
        }
    },
    "coordinator": {
        "user": {
            "crus": "Patient RelatedPerson QuestionnaireResponse Task Communication CommunicationRequest Appointment"
            " Schedule Slot CareTeam DocumentReference HealthcareService List",
            "cr": "Binary",
            "rs": "ServiceRequest Observation Flag RiskAssessment EpisodeOfCare CarePlan Consent Provenance Group"
            " Measure MeasureReport Questionnaire Organization Location Practitioner PractitionerRole Endpoint"
            " PlanDefinition",
        }
    },
    "community-health-worker": {
        "user": {
            "crus": "Patient RelatedPerson QuestionnaireResponse Communication Consent",
            "rus": "Task Appointment",
            # What they may ask for is in referral's hands: light care outright, the rest as a proposal.
            "crs": "ServiceRequest",
            "rs": f"Flag CarePlan CareTeam Slot Questionnaire {_DIRECTORY}",
        }
    },
    # Figures about groups, never a person: no type that says who somebody is or what somebody answered.
    "analyst": {
        "system": {
            "rs": f"Measure MeasureReport {_DIRECTORY} {_KNOWLEDGE}",
        }
    },
    # Who answers for how care goes: figures about groups, what people suggest, and the minutes of decisions.
    "leader": {
        "user": {
            "crus": "MeasureReport",
            "rs": f"Measure {_DIRECTORY} {_KNOWLEDGE}",
        }
    },
    BREAK_GLASS_ROLE: {},
    # Who had access to what. Whoever looks is on record too.
    "auditor": {
        "user": {
            "rs": "AuditEvent",
        }
    },
    "patient": {
        "patient": {
            "rs": "Patient Observation Task Appointment CarePlan Goal Consent",
            "crs": "QuestionnaireResponse ServiceRequest Communication",
        },
        "user": {
            "rs": f"Questionnaire {_DIRECTORY}",
        },
    },
    # Family and others close to a patient: what the patient's Consents let them see, and nothing else.
    "related-person": {
        "user": {
            "rs": "Patient RelatedPerson Observation QuestionnaireResponse ServiceRequest Task Appointment CarePlan"
            f" Goal Communication CareTeam Consent EpisodeOfCare Questionnaire {_DIRECTORY}",
        },
    },
    # Another organisation's system: what the Consents of each person let it see and be told.
    "outside-organisation": {
        "system": {
            "rs": "Patient RelatedPerson QuestionnaireResponse Observation Condition MedicationStatement Goal CarePlan"
            " ServiceRequest Task RiskAssessment Flag Communication Appointment Encounter EpisodeOfCare Consent"
            f" CareTeam DocumentReference {_DIRECTORY} {_KNOWLEDGE}",
            "cruds": "Subscription",
        },
    },
    # One of our own services at its peers: it reads, keeps its subscriptions and delivers notification Bundles.
    "service": {
        "system": {
            "rs": "*",
            "c": "Bundle",
            "cruds": "Subscription",
        }
    },
}


def _scopes(table: Mapping[str, Mapping[str, str]]) -> Scopes:
    return Scopes.parse(
        " ".join(
            f"{context}/{resource_type}.{letters}"
            for context, permissions in table.items()
            for letters, types in permissions.items()
            for resource_type in types.split()
        )
    )


ROLES: Final[Mapping[str, Scopes]] = {name: _scopes(table) for name, table in _TABLE.items()}


def actor_under_consent(roles: Collection[str], fhir_user: str | None) -> str | None:
    """The reference by which Consents name the caller, if Consents decide what it sees; None for everybody else.

    These are people close to a patient and other organisations, by their role or by who they say they are.
    """
    kind = (fhir_user or "").rpartition("/")[0].rpartition("/")[2]
    if kind in ROLES_UNDER_CONSENT.values():
        return fhir_user
    return UNNAMED if any(role in ROLES_UNDER_CONSENT for role in roles) else None
