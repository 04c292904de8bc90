"""Section 1.6 of the FHIR checklist: what went wrong has one status and one code, and every code is one of R4's."""

import ast
from pathlib import Path

import pytest
import stepwell_shared
from stepwell_shared.fhir import definitions
from stepwell_shared.fhir.outcome import WIRE, Category, FhirError, Issue, operation_outcome

ROOT = Path(stepwell_shared.__file__).parents[3]
SOURCES = sorted([*ROOT.glob("shared/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")])
VALUE_SET = definitions.element("OperationOutcome", "issue.code").codes
CODES = {code for codes in definitions.required_codes(str(VALUE_SET)).values() for code in codes}
TABLE = {
    Category.INVALID: (400, "invalid"),
    Category.UNAUTHENTICATED: (401, "login"),
    Category.FORBIDDEN: (403, "forbidden"),
    Category.NOT_FOUND: (404, "not-found"),
    Category.METHOD_NOT_ALLOWED: (405, "not-supported"),
    Category.NOT_ACCEPTABLE: (406, "not-supported"),
    Category.REQUEST_TIMEOUT: (408, "timeout"),
    Category.CONFLICT: (409, "conflict"),
    Category.DELETED: (410, "deleted"),
    Category.PRECONDITION_FAILED: (412, "conflict"),
    Category.MULTIPLE_MATCHES: (412, "multiple-matches"),
    Category.TOO_LARGE: (413, "too-long"),
    Category.URI_TOO_LONG: (414, "too-long"),
    Category.UNSUPPORTED_MEDIA_TYPE: (415, "not-supported"),
    Category.BUSINESS_RULE: (422, "business-rule"),
    Category.THROTTLED: (429, "throttled"),
    Category.HEADERS_TOO_LARGE: (431, "too-long"),
    Category.FAULT: (500, "exception"),
    Category.UNAVAILABLE: (503, "transient"),
    Category.TIMEOUT: (504, "timeout"),
}


@pytest.mark.parametrize("category", Category)
def test_1_6_every_category_has_its_status_and_code(category: Category) -> None:
    error = FhirError(category, "something")
    assert (error.status, error.issues[0].code) == TABLE[category]
    assert WIRE[category].issue_code in CODES


def test_1_6_an_issue_says_where_and_what_in_words() -> None:
    issue = Issue("is required", "required", "Patient.name")
    assert operation_outcome([issue])["issue"] == [
        {
            "severity": "error",
            "code": "required",
            "details": {"text": "is required"},
            "diagnostics": "is required",
            "expression": ["Patient.name"],
        }
    ]


def test_1_6_every_code_that_the_sources_name_is_one_of_the_required_value_set() -> None:
    named = {code: place for path in SOURCES for code, place in codes_in(path)}
    assert len(named) > 10
    assert {code: place for code, place in named.items() if code not in CODES} == {}


def codes_in(path: Path) -> list[tuple[str, str]]:
    """The codes that calls of Issue in a module name as text."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return [
        (each.args[1].value, f"{path.name}:{each.lineno}")
        for each in calls
        if isinstance(each.func, ast.Name) and each.func.id == "Issue" and len(each.args) > 1
        if isinstance(each.args[1], ast.Constant) and isinstance(each.args[1].value, str)
    ]
