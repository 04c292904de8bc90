"""Errors as OperationOutcome: one exception type and one table from category to HTTP status and issue code.

https://hl7.org/fhir/R4/operationoutcome.html
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson


class Category(Enum):
    """What went wrong, as the client should understand it; the table below gives each its wire form."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not found"
    METHOD_NOT_ALLOWED = "method not allowed"
    NOT_ACCEPTABLE = "not acceptable"
    UNSUPPORTED_MEDIA_TYPE = "unsupported media type"
    CONFLICT = "conflict"
    DELETED = "deleted"
    PRECONDITION_FAILED = "precondition failed"
    MULTIPLE_MATCHES = "multiple matches"
    TOO_LARGE = "too large"
    URI_TOO_LONG = "URI too long"
    HEADERS_TOO_LARGE = "headers too large"
    REQUEST_TIMEOUT = "request timeout"
    BUSINESS_RULE = "business rule"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Wire:
    """How a category leaves the process: HTTP status, default issue code (R4 issue-type), log level."""

    status: int
    issue_code: str
    log_level: int


WIRE: dict[Category, Wire] = {
    Category.INVALID: Wire(400, "invalid", logging.INFO),
    Category.UNAUTHENTICATED: Wire(401, "login", logging.INFO),
    Category.FORBIDDEN: Wire(403, "forbidden", logging.WARNING),
    Category.NOT_FOUND: Wire(404, "not-found", logging.INFO),
    Category.METHOD_NOT_ALLOWED: Wire(405, "not-supported", logging.INFO),
    Category.NOT_ACCEPTABLE: Wire(406, "not-supported", logging.INFO),
    Category.UNSUPPORTED_MEDIA_TYPE: Wire(415, "not-supported", logging.INFO),
    Category.CONFLICT: Wire(409, "conflict", logging.WARNING),
    Category.DELETED: Wire(410, "deleted", logging.INFO),
    Category.PRECONDITION_FAILED: Wire(412, "conflict", logging.INFO),
    Category.MULTIPLE_MATCHES: Wire(412, "multiple-matches", logging.INFO),
    Category.TOO_LARGE: Wire(413, "too-long", logging.INFO),
    Category.URI_TOO_LONG: Wire(414, "too-long", logging.INFO),
    Category.HEADERS_TOO_LARGE: Wire(431, "too-long", logging.INFO),
    Category.REQUEST_TIMEOUT: Wire(408, "timeout", logging.INFO),
    Category.BUSINESS_RULE: Wire(422, "business-rule", logging.INFO),
    Category.THROTTLED: Wire(429, "throttled", logging.WARNING),
    Category.UNAVAILABLE: Wire(503, "transient", logging.ERROR),
    Category.TIMEOUT: Wire(504, "timeout", logging.ERROR),
    Category.FAULT: Wire(500, "exception", logging.ERROR),
}


@dataclass(frozen=True, slots=True)
class Issue:
    """One OperationOutcome.issue. Diagnostics never quote patient data; the expression says where to look.

    `code` is from the required R4 issue-type value set; `expression` is a FHIRPath such as
    `Observation.component[1].code`.
    """

    diagnostics: str
    code: str
    expression: str | None = None
    severity: str = "error"


class FhirError(Exception):
    """A request that cannot be answered as asked; `issues` say why, all at once."""

    def __init__(
        self, category: Category, issues: Sequence[Issue] | str, *, headers: dict[str, str] | None = None
    ) -> None:
        wire = WIRE[category]
        self.category = category
        self.issues = [Issue(issues, wire.issue_code)] if isinstance(issues, str) else list(issues)
        self.headers = headers or {}
        super().__init__(f"{category.value}: {'; '.join(issue.diagnostics for issue in self.issues)}")

    @property
    def status(self) -> int:
        return WIRE[self.category].status


def operation_outcome(issues: Sequence[Issue]) -> dict[str, Any]:
    """The OperationOutcome resource that carries these issues."""
    return {"resourceType": "OperationOutcome", "issue": [_issue(issue) for issue in issues]}


def outcome_bytes(issues: Sequence[Issue]) -> bytes:
    return orjson.dumps(operation_outcome(issues))


def _issue(issue: Issue) -> dict[str, Any]:
    body: dict[str, Any] = {
        "severity": issue.severity,
        "code": issue.code,
        "details": {"text": issue.diagnostics},
        "diagnostics": issue.diagnostics,
    }
    if issue.expression:
        body["expression"] = [issue.expression]
    return body
