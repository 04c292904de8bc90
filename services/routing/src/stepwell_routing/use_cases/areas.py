"""How deprived and how rural the area is where somebody lives, as far as their Patient carries it.

Which extensions say so is data; the value is the code that the site's own index gives the area, never an address.
"""

import re
from collections.abc import Mapping
from typing import Any

from stepwell_routing.data.simulating import area_extensions
from stepwell_routing.rules.evidence import Evidence

NOT_RECORDED = "not-recorded"
RURAL, NOT_RURAL = "rural", "not-rural"
# A code of a class, and nothing that could be a name or an address.
_CLASS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,23}")


def area_strata(patient: Mapping[str, Any], evidence: Evidence | None = None) -> dict[str, str]:
    """The strata of an area by dimension; what people said of where they live stands in for rurality alone."""
    found = {dimension: _said(patient, urls) for dimension, urls in area_extensions().items()}
    said = None if evidence is None else evidence.values.get("rural")
    if found.get("rurality") == NOT_RECORDED and said is not None:
        found["rurality"] = RURAL if said.value is True else NOT_RURAL
    return found


def _said(patient: Mapping[str, Any], urls: frozenset[str]) -> str:
    extensions = [*patient.get("extension", ())]
    extensions += [each for address in patient.get("address", ()) for each in address.get("extension", ())]
    for extension in extensions:
        if extension.get("url") in urls:
            values = [value for name, value in extension.items() if name.startswith("value")]
            value = next(iter(values), None)
            text = str(value.get("code", "")) if isinstance(value, Mapping) else str(value)
            if value is not None and _CLASS.fullmatch(text):
                return text
    return NOT_RECORDED
