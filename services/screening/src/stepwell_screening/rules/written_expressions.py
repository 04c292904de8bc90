"""The expressions of a Questionnaire before it is published: what cannot be run here is refused with its place.

SDC 4.0, "Using expressions" (https://hl7.org/fhir/uv/sdc/expressions.html): names that nothing declares, a name that is
declared twice on one element, and values that are calculated from themselves are errors.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stepwell_screening.rules.circles import in_circles
from stepwell_screening.rules.constraints import CONSTRAINT
from stepwell_screening.rules.expressions import FHIRPATH, SDC, SYSTEMS, VARIABLE
from stepwell_screening.rules.fhirpath import ExpressionError, compile_path
from stepwell_screening.rules.finding import Finding

JsonObject = Mapping[str, Any]
CALCULATED = f"{SDC}calculatedExpression"
LAUNCH_CONTEXT = f"{SDC}launchContext"
POPULATION_CONTEXT = f"{SDC}itemPopulationContext"
QUERY = "application/x-fhir-query"
# What is always there: https://hl7.org/fhir/uv/sdc/expressions.html#fhirpath-supplements
ALWAYS = frozenset({"resource", "rootResource", "context", "questionnaire", "qitem", *SYSTEMS})
# Where a query may stand in place of FHIRPath: what it finds comes with a request to fill the form in.
QUERIES = frozenset({VARIABLE, POPULATION_CONTEXT, f"{SDC}candidateExpression", f"{SDC}answerExpression"})
EXPRESSIONS_MAX = 100
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'")


@dataclass(frozen=True, slots=True)
class _Written:
    """One expression: the extension that holds it, its text and language, its name if it has one, and its place."""

    url: str
    source: object
    language: object
    name: str | None
    path: str


def check_expressions(questionnaire: JsonObject) -> list[Finding]:
    """Every fault in the expressions of a structurally valid Questionnaire."""
    findings: list[Finding] = []
    launched = frozenset(_launched(questionnaire))
    calculated: dict[str, set[str]] = {}
    places: dict[str, str] = {}

    def visit(element: JsonObject, path: str, known: frozenset[str], links: Mapping[str, frozenset[str]]) -> None:
        written = list(_written(element, path))
        if len(written) > EXPRESSIONS_MAX:
            text = f"An element has at most {EXPRESSIONS_MAX} expressions."
            findings.append(Finding("too-long", text, f"{path}.extension"))
            written = []
        declared = {each.name for each in written if each.url in {VARIABLE, POPULATION_CONTEXT} and each.name}
        known, links = known | declared, {**links, **_variable_links(written, links)}
        findings.extend(_check_names(written, path))
        for each in written:
            findings.extend(_check_source(each, known))
            if each.url == CALCULATED:
                calculated[element["linkId"]] = set(_links(each, links))
                places[element["linkId"]] = each.path
                if "initial" in element:
                    text = "A calculated item has no initial value."
                    findings.append(Finding("business-rule", text, f"{path}.initial"))
        for index, item in enumerate(element.get("item", ())):
            visit(item, f"{path}.item[{index}]", known, links)

    visit(questionnaire, "Questionnaire", ALWAYS | launched, {})
    return [*findings, *_check_circles(calculated, places)]


def _written(element: JsonObject, path: str) -> Iterator[_Written]:
    """The expressions that an element carries in extensions, those inside a constraint included."""
    for index, extension in enumerate(element.get("extension", ())):
        place, url = f"{path}.extension[{index}]", str(extension.get("url"))
        expression = extension.get("valueExpression")
        if isinstance(expression, Mapping):
            name = expression.get("name")
            source, language = expression.get("expression"), expression.get("language")
            yield _Written(url, source, language, None if name is None else str(name), place)
        elif url == CONSTRAINT:
            for part in extension.get("extension", ()):
                if part.get("url") == "expression":
                    yield _Written(url, part.get("valueString"), FHIRPATH, None, place)


def _check_names(written: list[_Written], path: str) -> Iterator[Finding]:
    variables = [each for each in written if each.url == VARIABLE]
    names = Counter(each.name for each in variables)
    for each in variables:
        if each.name is None:
            yield Finding("required", "A variable has a name.", each.path)
        elif names[each.name] > 1:
            yield Finding("duplicate", f"The name {each.name} is declared twice here.", each.path)
    circular = in_circles({each.name: _names(each) for each in variables if each.name is not None})
    if circular:
        yield Finding(
            "business-rule", f"The variables {', '.join(sorted(circular))} need each other in a circle.", path
        )


def _check_source(each: _Written, known: frozenset[str]) -> Iterator[Finding]:
    if each.language == QUERY and each.url in QUERIES:
        return
    if each.language != FHIRPATH or not isinstance(each.source, str):
        yield Finding("not-supported", f"Only expressions in {FHIRPATH} are evaluated here.", each.path)
        return
    try:
        used = compile_path(each.source).names
    except (ExpressionError, RecursionError) as error:
        words = str(error) if isinstance(error, ExpressionError) else "it is nested too deep"
        yield Finding("not-supported", f"This expression cannot be run here: {words}", each.path)
        return
    unknown = sorted(name for name in used - known if not name.startswith(("vs-", "ext-")))
    if unknown:
        yield Finding("not-found", f"Nothing here declares %{', %'.join(unknown)}.", each.path)


def _check_circles(calculated: Mapping[str, set[str]], places: Mapping[str, str]) -> Iterator[Finding]:
    for link_id in sorted(in_circles(calculated)):
        yield Finding("business-rule", "This value is calculated from itself.", places[link_id])


def _launched(questionnaire: JsonObject) -> Iterator[str]:
    for extension in questionnaire.get("extension", ()):
        if extension.get("url") == LAUNCH_CONTEXT:
            for part in extension.get("extension", ()):
                if part.get("url") == "name":
                    yield str(part.get("valueCoding", {}).get("code") or part.get("valueId"))


def _variable_links(written: list[_Written], above: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """The linkIds behind each variable of one element, those of the variables that it uses included."""
    found = {each.name: each for each in written if each.url == VARIABLE and each.name is not None}
    links: dict[str, frozenset[str]] = {}
    for _ in found:
        links.update({name: _links(each, {**above, **links}) for name, each in found.items()})
    return links


def _links(each: _Written, variables: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Every quoted text of an expression that looks for linkIds, and those behind the variables that it uses.

    What starts from the Questionnaire, and from nothing else, looks at the form and not at its answers.
    """
    text = each.source if isinstance(each.source, str) else ""
    looks_at_form = _names(each) <= {"questionnaire", "qitem"} and text.lstrip().startswith("%")
    quoted = _QUOTED.findall(text) if "linkId" in text and not looks_at_form else []
    behind = [variables.get(name, frozenset()) for name in _names(each)]
    return frozenset(quoted).union(*behind)


def _names(each: _Written) -> frozenset[str]:
    try:
        return compile_path(each.source).names if isinstance(each.source, str) else frozenset()
    except (ExpressionError, RecursionError):
        return frozenset()
