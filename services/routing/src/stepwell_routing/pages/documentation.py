"""The pages for staff in routing's OpenAPI document: addresses, what they take and answer."""

from typing import Any

from stepwell_shared.openapi.operation import refusals

TAG = "Pages"

Json = dict[str, Any]


def documented() -> Json:
    """Paths and tag, to be put beside those of FHIR."""
    figures = [
        _parameter("cohort", {"enum": ["recorded", "synthetic"]}, "Whom the policy is tried on; docs/simulation.md."),
        _parameter("seed", {"type": "integer", "minimum": 0}, "Of the synthetic people."),
        _parameter("people", {"type": "integer", "minimum": 1, "maximum": 100_000}, "How many at most."),
    ]
    policy, review = _in_path("id", "The id of the PlanDefinition."), _in_path("list", "The id of the List.")
    simulated = "What a stored policy would do with many people: unsafe first, plots with a table beside each"
    watched = "Whether equally ill people are offered the same: what differs first, then every interval"
    listed = "People whom the team reviews together, with why, since when and by when"
    sheet = "What reviewers need to know of one person, open safety first"
    return {
        "paths": {
            "/routing/policies/{id}/simulation": _page("simulation-page", simulated, [policy], figures),
            "/routing/policies/{id}/equity": _page("equity-page", watched, [policy], figures),
            "/routing/reviews/{list}": _page("case-reviews-page", listed, [review], []),
            "/routing/reviews/{list}/{task}": _page(
                "case-review-page", sheet, [review, _in_path("task", "The id of the Task of the review.")], []
            ),
        },
        "tags": [{"name": TAG, "description": "Pages for staff, readable and fit to print, for bearers of a token"}],
    }


def _page(operation_id: str, summary: str, in_path: list[Json], in_query: list[Json]) -> Json:
    return {
        "parameters": in_path,
        "get": {
            "operationId": operation_id,
            "summary": summary,
            "tags": [TAG],
            **({"parameters": in_query} if in_query else {}),
            "responses": {
                "200": {"description": "The page.", "content": {"text/html": {"schema": {"type": "string"}}}},
                **refusals("400", "401", "403", "404", "405", "410", "414", "422", "431", "503"),
            },
        },
    }


def _in_path(name: str, text: str) -> Json:
    schema = {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _parameter(name: str, schema: Json, text: str) -> Json:
    return {"name": name, "in": "query", "description": text, "schema": schema}
