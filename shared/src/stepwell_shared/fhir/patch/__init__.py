"""Patches: a stored body and a patch give the body of the next version, with every decimal as it was written.

`patched` reads the patch by its media type; https://hl7.org/fhir/R4/http.html#patch
"""

from stepwell_shared.fhir.patch.patching import JSON_PATCH, patched

__all__ = ["JSON_PATCH", "patched"]
