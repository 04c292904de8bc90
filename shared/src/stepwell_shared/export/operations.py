"""`$export` as the registry declares it: on the service, on Patient and on one Group."""

from functools import partial

from stepwell_shared.export.exports import Exports
from stepwell_shared.export.kickoff import kick_off
from stepwell_shared.export.recipe import Level
from stepwell_shared.fhir.registry import Operation

_DEFINED = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"
_DEFINITIONS: dict[Level, str] = {
    "system": f"{_DEFINED}/export",
    "patient": f"{_DEFINED}/patient-export",
    "group": f"{_DEFINED}/group-export",
}
_WHOSE: dict[Level, str] = {
    "system": "Everything that the token's system/ scopes reach",
    "patient": "What all patients have, with the Provenance of it",
    "group": "What the patients of the group have, with the Provenance of it",
}
PARAMETERS = {
    "_outputFormat": "application/fhir+ndjson, which is what there is",
    "_since": "an instant: only what was changed since, with what was deleted; best an export's transactionTime",
    "_type": "names of resource types, with commas between them; without it all that the token may export",
    "_typeFilter": "a search such as Observation?status=final that resources of a type must match; repeats are or",
    "_elements": "names of elements; what is mandatory stays, and the rest is tagged as left out",
}


def export_operation(exports: Exports, level: Level) -> Operation:
    """The operation at one of its three addresses."""
    return Operation(
        "export",
        partial(kick_off, exports, level),
        None,
        f"{_WHOSE[level]}, as it stands now, in files of one resource a line. The answer names in Content-Location"
        " where its status is told; see docs/export.md.",
        instance=level == "group",
        affects_state=False,
        definition=_DEFINITIONS[level],
        is_asynchronous=True,
        parameters=PARAMETERS,
    )
