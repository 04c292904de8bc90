"""Profiles: what an implementation guide asks of a resource beyond R4 itself. $validate checks them.

`find` gives a profile by its canonical, `findings` says where a resource does not keep to it.
https://hl7.org/fhir/R4/profiling.html
"""

from stepwell_shared.fhir.validation.profiles.definitions import BASE, Profile, find, known
from stepwell_shared.fhir.validation.profiles.walk import findings

__all__ = ["BASE", "Profile", "find", "findings", "known"]
