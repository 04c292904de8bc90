"""Trajectories and dashboards in measurement's OpenAPI document: their addresses, what they take and answer."""

from typing import Any

from stepwell_shared.openapi.operation import FORM, refusals

from stepwell_measurement.data import words
from stepwell_measurement.data.dashboard_words import languages
from stepwell_measurement.data.measures import measures

PATH, DASHBOARD = "/measurement/trajectory/{patient}", "/measurement/dashboard"
TAG, DASHBOARDS = "Trajectories", "Dashboards"
SUGGESTIONS = "/measurement/suggestions/{tenant}"
MINUTES = (
    "id",
    "version",
    "said",
    "done",
    "decided",
    "standing",
    "measure",
    "language",
    "suggestion",
    "public",
    "csrf",
)
FILE = {"type": "string", "format": "binary"}
ID = {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}
# In a query nothing stands for what was left blank in a form.
ID_OR_BLANK = {"type": "string", "pattern": "^([A-Za-z0-9.-]{1,64})?$"}
MONTH_OR_BLANK = {"type": "string", "pattern": "^(2[0-9]{3}-(0[1-9]|1[0-2]))?$"}
PART_OR_BLANK = {"type": "string", "pattern": "^(2[0-9]{3}-(Q[1-4]|0[1-9]|1[0-2]))?$"}
QUARTER_OR_BLANK = {"type": "string", "pattern": "^(2[0-9]{3}-Q[1-4])?$"}

Json = dict[str, Any]


def documented() -> Json:
    """Paths and tag, to be put beside those of FHIR."""
    about = "One person's way on each measure, as data or as a picture; see docs/trajectories.md"
    patient = _parameter("patient", "path", {"type": "string"}, "The id of the Patient.", required=True)
    item = {"parameters": [patient], "get": _trajectory()}
    figures = "Figures about groups, as pages that read on paper and without colour; see docs/dashboards.md"
    tags = [{"name": TAG, "description": about}, {"name": DASHBOARDS, "description": figures}]
    return {"paths": {PATH: item, **_dashboards()}, "tags": tags}


def _dashboards() -> Json:
    since = _parameter(
        "since",
        "query",
        MONTH_OR_BLANK,
        "The month in which something changed: the ones before it set the limits of the charts.",
    )
    practice = _parameter("practice", "path", ID, "The id of the practice's Organization.", required=True)
    measure = _parameter("measure", "path", {"enum": list(measures())}, "The id of the Measure.", required=True)
    tenant = _parameter("tenant", "path", ID, "The tenant that publishes its figures.", required=True)
    quarter = _parameter("quarter", "query", QUARTER_OR_BLANK, "Such as 2026-Q3; without it the last one that is over.")
    of_practice = _parameter("practice", "query", ID_OR_BLANK, "The id of a practice's Organization: its own report.")
    format_ = _parameter("_format", "query", {"enum": ["html", "pdf"]}, "As Accept, and before it.")
    report = "The figures of a quarter beside the one before, with what was done, as a page or as PDF"
    region = "Access, waits, outcomes, equity, bottlenecks and effects of changes, of all practices together"
    sent = "What partner organisations have sent of a quarter, added up, and whose figures are awaited or late"
    part = _parameter("part", "query", PART_OR_BLANK, "A quarter or month; without it the last one that is due.")
    public = "What a tenant publishes, without a token: large groups alone, and no practice by name"
    return {
        DASHBOARD: {"get": _page("dashboard", region, [since])},
        f"{DASHBOARD}/practices/{{practice}}": {
            "parameters": [practice],
            "get": _page("dashboard-practice", "A practice's figures beside those of the region", []),
        },
        f"{DASHBOARD}/measures/{{measure}}": {
            "parameters": [measure],
            "get": _page("dashboard-measure", "What a figure counts, by which source, and for whom it is what", []),
        },
        f"{DASHBOARD}/report": {"get": _with_pdf(_page("dashboard-report", report, [quarter, of_practice, format_]))},
        f"{DASHBOARD}/organisations": {"get": _page("dashboard-organisations", sent, [part])},
        f"{DASHBOARD}/public/{{tenant}}": {
            "parameters": [tenant],
            "get": {**_page("dashboard-public", public, []), "security": []},
        },
        f"{DASHBOARD}/sign-in": {"post": _sign_in()},
        **_said(tenant),
    }


def _page(operation_id: str, summary: str, parameters: list[Json]) -> Json:
    language = _parameter("language", "query", {"enum": list(languages())}, "As Accept-Language, and before it.")
    return {
        "operationId": operation_id,
        "summary": summary,
        "tags": [DASHBOARDS],
        "parameters": [*parameters, language],
        "responses": {
            "200": {"description": "The page.", "content": {"text/html": {"schema": {"type": "string"}}}},
            **refusals("400", "401", "403", "404", "405", "406", "410", "414", "422", "431", "503"),
        },
    }


def _said(tenant: Json) -> Json:
    """Suggestions and minutes: pages with a form."""
    suggestion = _parameter(
        "suggestion", "query", {"type": "string"}, "The suggestion that a new decision answers, if there is one."
    )
    sent = _parameter("sent", "query", {"enum": ["yes"]}, "That the last form was taken.")
    public = "A form on which everybody can suggest something without a token; nothing is kept of who does"
    parameter = _parameter("parameter", "query", {"type": "string"}, "The cut-off; without it what was tried last.")
    policy = _parameter("policy", "query", {"type": "string"}, "The id of its PlanDefinition.")
    format_ = _parameter("_format", "query", {"enum": ["html", "pdf"]}, "As Accept, and before it.")
    review = "What other values of a cut-off were seen to do: by numbers, capacity and outcome near it"
    found = {
        f"{DASHBOARD}/thresholds": {"get": _with_pdf(_page("thresholds", review, [policy, parameter, format_]))},
        f"{DASHBOARD}/suggestions": {
            "get": _page("suggestions", "What was suggested, for whoever may change every MeasureReport", []),
            "post": _form(
                "suggestion-sort", "Says how a suggestion stands, or erases it", ("id", "status", "csrf"), "409"
            ),
        },
        f"{DASHBOARD}/minutes": {
            "get": _page("minutes", "Decisions of the board: what was said, and what was done", [suggestion]),
            "post": _form("minutes-record", "Records a decision, or a new version of one", MINUTES, "409"),
        },
    }
    asked = {**_page("suggest", public, [sent]), "security": []}
    answered = {**_form("suggest-send", "Sends a suggestion", ("text", "form"), "429"), "security": []}
    return {**found, SUGGESTIONS: {"parameters": [tenant], "get": asked, "post": answered}}


def _form(operation_id: str, summary: str, fields: tuple[str, ...], more: str) -> Json:
    """A form that its page sends; the answer leads back to the page."""
    page = _page(operation_id, summary, [])
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in fields}}
    responses = {
        "303": {"description": "It was taken: Location is the page."},
        **{status: said for status, said in page["responses"].items() if status != "200"},
        **refusals("413", more),
    }
    return {**page, "requestBody": {"content": {FORM: {"schema": schema}}}, "responses": responses}


def _with_pdf(operation: Json) -> Json:
    """The page can be had as a file as well."""
    content = {**operation["responses"]["200"]["content"], "application/pdf": {"schema": FILE}}
    shown = {"description": "The page, or the file.", "content": content}
    return {**operation, "responses": {**operation["responses"], "200": shown}}


def _sign_in() -> Json:
    properties = {"link": {"type": "string", "format": "uri"}, "expires": {"type": "string", "format": "date-time"}}
    answer = {"type": "object", "required": list(properties), "properties": properties}
    return {
        "operationId": "dashboard-sign-in",
        "summary": "A link that opens the dashboards in a browser with this token's rights; good once, for minutes",
        "tags": [DASHBOARDS],
        "responses": {
            "200": {"description": "The link.", "content": {"application/json": {"schema": answer}}},
            **refusals("400", "401", "403", "405", "413", "414", "422", "431", "503"),
        },
    }


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
