"""From answers to resources: SDC's `$extract` by observation, by definition and by template, in one walk.

https://hl7.org/fhir/uv/sdc/extraction.html. Nothing is stored: the result is a transaction for whoever asked.
"""

from stepwell_screening.rules.extraction.session import ENTRIES_MAX, Extracted
from stepwell_screening.rules.extraction.structure import Element, Structure
from stepwell_screening.rules.extraction.walk import extract

__all__ = ["ENTRIES_MAX", "Element", "Extracted", "Structure", "extract"]
