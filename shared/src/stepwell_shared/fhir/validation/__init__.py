"""Validation at the door: is a request body well-formed FHIR JSON and a valid R4 resource of its type?

`parse` reads JSON strictly, `validate` finds everything wrong with a parsed resource, `check` does both. What they need
for a type, about 10 ms and 2 MB, is built with its first resource.
"""

from stepwell_shared.fhir.validation.json_text import parse
from stepwell_shared.fhir.validation.resource import check, validate

__all__ = ["check", "parse", "validate"]
