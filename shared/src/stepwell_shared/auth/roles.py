"""The named roles as scope sets: what a clinician, a coordinator and the others need for their work, and no more.

People act under `user/` scopes and a patient under `patient/` scopes, so their clients name who they are (fhirUser).
"""

from collections.abc import Mapping
from typing import Final

from stepwell_shared.auth.scopes import Scopes

# Another organisation's service. It is no set of scopes: what a partner may do is agreed with each.
PARTNER_ROLE: Final = "partner"

_DIRECTORY = "HealthcareService Organization Location Practitioner PractitionerRole"
_KNOWLEDGE = "Questionnaire PlanDefinition ActivityDefinition Library ValueSet CodeSystem"

# Per role: who the scopes are for, then the letters on the types. Permissions that are not written are not given.
_TABLE: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "clinician": {
        "user": {
            "crus": "Patient RelatedPerson QuestionnaireResponse Condition MedicationStatement Goal CarePlan"
            " RequestGroup ServiceRequest Task Communication CommunicationRequest Appointment Encounter EpisodeOfCare"
            " Consent CareTeam DocumentReference",
            "rus": "Flag RiskAssessment",
            "rs": f"Observation Schedule Slot Group Measure MeasureReport Provenance {_DIRECTORY} {_KNOWLEDGE}",
        }
    },
    "coordinator": {
        "user": {
            "crus": "Patient RelatedPerson QuestionnaireResponse Task Communication CommunicationRequest Appointment"
            " Schedule Slot CareTeam DocumentReference HealthcareService",
            "rs": "ServiceRequest Observation Flag RiskAssessment EpisodeOfCare CarePlan Consent Provenance Measure"
            " MeasureReport Questionnaire Organization Location Practitioner PractitionerRole PlanDefinition",
        }
    },
    "community-health-worker": {
        "user": {
            "crus": "Patient RelatedPerson QuestionnaireResponse Communication Consent",
            "rus": "Task Appointment",
            "rs": f"ServiceRequest Flag CarePlan CareTeam Slot Questionnaire {_DIRECTORY}",
        }
    },
    # Figures about groups, never a person: no type that says who somebody is or what somebody answered.
    "analyst": {
        "system": {
            "rs": f"Measure MeasureReport {_DIRECTORY} {_KNOWLEDGE}",
        }
    },
    "patient": {
        "patient": {
            "rs": "Patient Observation ServiceRequest Task Appointment CarePlan Goal Communication Consent",
            "crs": "QuestionnaireResponse",
        },
        "user": {
            "rs": f"Questionnaire {_DIRECTORY}",
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
