"""Trajectories in measurement's OpenAPI document: the address, what it takes and answers."""

from typing import Any

from stepwell_shared.openapi.operation import refusals

from stepwell_measurement.data import words

PATH = "/measurement/trajectory/{patient}"
TAG = "Trajectories"

Json = dict[str, Any]


def documented() -> Json:
    """Paths and tag, to be put beside those of FHIR."""
    about = "One person's way on each measure, as data or as a picture; see docs/trajectories.md"
    patient = _parameter("patient", "path", {"type": "string"}, "The id of the Patient.", required=True)
    item = {"parameters": [patient], "get": _trajectory()}
    return {"paths": {PATH: item}, "tags": [{"name": TAG, "description": about}]}


def _trajectory() -> Json:
    report = {"type": "object", "required": ["patient", "language", "trajectories"]}
    answer = {
        "description": "Scores and what follows from them; each instrument of which the token reaches every score.",
        "content": {"application/json": {"schema": report}, "image/svg+xml": {"schema": {"type": "string"}}},
    }
    return {
        "operationId": "trajectory",
        "summary": "Whether one person is getting better, with the words that the person reads",
        "tags": [TAG],
        "parameters": [
            _parameter("_format", "query", {"enum": ["json", "svg"]}, "As Accept, and before it."),
            _parameter("language", "query", {"enum": list(words.languages())}, "As Accept-Language, and before it."),
        ],
        "responses": {"200": answer, **refusals("400", "401", "403", "404", "405", "406", "410", "414", "431", "503")},
    }


def _parameter(name: str, place: str, schema: Json, text: str, *, required: bool = False) -> Json:
    return {"name": name, "in": place, "required": required, "description": text, "schema": schema}
