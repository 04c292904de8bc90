"""Validation at the door: is a request body well-formed FHIR JSON and a valid R4 resource of its type?

`parse` reads JSON strictly, `validate` finds everything wrong with a parsed resource, `check` does both; `prepare`
builds what they need for a type ahead of the first request.
"""

from stepwell_shared.fhir.validation.json_text import parse
from stepwell_shared.fhir.validation.resource import check, prepare, validate

__all__ = ["check", "parse", "prepare", "validate"]
