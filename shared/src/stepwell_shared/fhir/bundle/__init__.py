"""Batch and transaction: several interactions in one request. https://hl7.org/fhir/R4/http.html#transaction"""

from stepwell_shared.fhir.bundle.processing import process

__all__ = ["process"]
