"""Builds what a request says of its own end.

https://hl7.org/fhir/R4/extension-request-statusreason.html
"""

from typing import Any

from stepwell_shared.canonical import code_system

STATUS_REASON = "http://hl7.org/fhir/StructureDefinition/request-statusReason"


def given_reason() -> dict[str, Any]:
    """Why a request is completed while its step goes on: what it asked for has been given."""
    coding = {"system": code_system("request-status-reason"), "code": "given"}
    return {"url": STATUS_REASON, "valueCodeableConcept": {"coding": [coding]}}
