"""The REST interactions as functions of (engine, request): no web framework, no database driver.

One module for each family of verbs; https://hl7.org/fhir/R4/http.html
"""

from stepwell_shared.fhir.interactions.creating import create, free_place
from stepwell_shared.fhir.interactions.deleting import delete
from stepwell_shared.fhir.interactions.engine import Engine, built, change_of
from stepwell_shared.fhir.interactions.everywhere import search_types
from stepwell_shared.fhir.interactions.histories import HISTORY_SYSTEM, history
from stepwell_shared.fhir.interactions.matching import criteria_of, match_of
from stepwell_shared.fhir.interactions.operating import operate
from stepwell_shared.fhir.interactions.patching import patch
from stepwell_shared.fhir.interactions.reach import require_reach, visible
from stepwell_shared.fhir.interactions.reading import read, vread
from stepwell_shared.fhir.interactions.searching import search
from stepwell_shared.fhir.interactions.translating import translated
from stepwell_shared.fhir.interactions.updating import update
from stepwell_shared.fhir.interactions.validating import OPERATION as VALIDATE
from stepwell_shared.fhir.interactions.validating import validate
from stepwell_shared.fhir.interactions.writing import WRITE_ATTEMPTS_MAX, complete, contended, next_version

__all__ = [
    "HISTORY_SYSTEM",
    "VALIDATE",
    "WRITE_ATTEMPTS_MAX",
    "Engine",
    "built",
    "change_of",
    "complete",
    "contended",
    "create",
    "criteria_of",
    "delete",
    "free_place",
    "history",
    "match_of",
    "next_version",
    "operate",
    "patch",
    "read",
    "require_reach",
    "search",
    "search_types",
    "translated",
    "update",
    "validate",
    "visible",
    "vread",
]
