"""Each invariant agrees with the official FHIRPath expression on a sample that keeps it and one that breaks it."""

import re
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models
from stepwell_shared.fhir import definitions
from stepwell_shared.fhir.validation import validate
from stepwell_shared.fhir.validation.invariants import INVARIANTS, OVERRIDES
from stepwell_shared.fhir.validation.shape import shape

from tests.shared.fhir.validation.invariant_samples import SAMPLES, UCUM

# Invariants of error severity that no function implements, and why that is right.
ELSEWHERE = {
    "dom-2": "checked with the contained resources (contained.py)",
    "dom-3": "checked with the contained resources (contained.py)",
    "dom-4": "checked with the contained resources (contained.py)",
    "dom-5": "checked with the contained resources (contained.py)",
    "ref-1": "checked with the contained resources (contained.py)",
    "ppc-2": "defect of R4: compares a system 'something' and can never fail",
    "ppc-3": "defect of R4: compares a system 'something' and can never fail",
    "ppc-4": "defect of R4: compares a system 'something' and can never fail",
    "ppc-5": "defect of R4: compares a system 'something' and can never fail",
}
# Expressions that the FHIRPath engine cannot evaluate: our samples alone decide.
NO_ORACLE = {
    "ctm-1": "resolve() needs a server",
    "txt-1": "htmlChecks() is a function of the validator",
    "txt-2": "htmlChecks() is a function of the validator",
}
# What the FHIRPath engine lacks, in words that it has.
SPELLINGS = {
    ".hasValue()": ".exists()",
    "Appointment.": "",
    "is Boolean": "is boolean",
    "low <= high": "low.value <= high.value",
}


def embed(path: str, node: object) -> dict[str, Any]:
    """A resource that holds the node at the path, with nothing else in it."""
    resource_type, *steps = path.split(".")
    value: Any = node
    here = [resource_type]
    for step in steps:
        content = shape(here[-1]).properties[step].content
        here.append(content or step)
    for parent, step in reversed(list(zip(here, steps, strict=False))):
        value = {step: [value] if shape(parent).properties[step].element.repeats else value}
    return {"resourceType": resource_type, **value}


def official(key: str, path: str, resource: dict[str, Any]) -> bool:
    """What the expression of R4 says about every node at the path."""
    expression = re.sub(r"\.trace\('\w+'\)", "", definitions.invariant(key).expression)
    for official_text, engine_text in SPELLINGS.items():
        expression = expression.replace(official_text, engine_text)
    context = re.sub(r"\.(value|onset|due|occurrence|probability)[A-Z]\w+", r".\1", path)
    result = fhirpathpy.evaluate(
        resource, f"{context}.all({expression})", {"resource": resource, "ucum": UCUM}, models["r4"]
    )
    return result != [False]


@pytest.mark.parametrize("key", sorted(INVARIANTS))
def test_a_broken_invariant_is_an_issue_of_its_key_at_its_place(key: str) -> None:
    path, _, breaking = SAMPLES[key]
    resource = embed(path, breaking)
    issues = [each for each in validate(resource, resource["resourceType"]) if each.code == "invariant"]
    assert any(each.diagnostics.split(" ")[1] == f"{key.partition(':')[0]}:" for each in issues), issues


@pytest.mark.parametrize("key", sorted(INVARIANTS))
def test_a_kept_invariant_is_no_issue(key: str) -> None:
    path, keeping, _ = SAMPLES[key]
    resource = embed(path, keeping)
    assert not [each for each in validate(resource, resource["resourceType"]) if f" {key}:" in each.diagnostics]


@pytest.mark.parametrize("key", sorted(INVARIANTS.keys() - NO_ORACLE.keys()))
def test_function_and_official_expression_agree(key: str) -> None:
    path, keeping, breaking = SAMPLES[key]
    for node in (keeping, breaking):
        assert INVARIANTS[key](node) is official(key, path, embed(path, node))


def test_every_invariant_is_implemented_or_excused() -> None:
    errors = {key for key in definitions.invariant_keys() if definitions.invariant(key).severity == "error"}
    assert errors - INVARIANTS.keys() == ELSEWHERE.keys()
    assert INVARIANTS.keys() | OVERRIDES.keys() <= errors


def test_only_recommendations_are_left_out() -> None:
    left_out = set(definitions.invariant_keys()) - INVARIANTS.keys() - ELSEWHERE.keys()
    assert all(definitions.invariant(key).severity == "warning" for key in left_out)


@pytest.mark.parametrize(
    ("key", "node", "holds"),
    [
        ("app-4", {"status": "noshow", "cancelationReason": {"text": "x"}}, True),
        ("que-12", {"enableWhen": [{}, {}]}, False),
        ("per-1", {"start": "2026-11-21T10:00:00Z", "end": "2026-11-21"}, True),
        ("per-1", {"start": "2026-11-22T10:00:00Z", "end": "2026-11-21"}, False),
        ("per-1", {"start": "2016-12-31T23:59:60Z", "end": "2017-01-01T00:00:00Z"}, True),
        ("rng-2", {"low": {"value": 90, "unit": "min"}, "high": {"value": 2, "unit": "h"}}, True),
        ("tim-9", {"offset": 5, "when": ["HS", "C"]}, False),
    ],
)
def test_where_the_expression_of_r4_is_defective_its_text_is_followed(key: str, node: Any, holds: bool) -> None:
    assert key in OVERRIDES
    assert INVARIANTS[key](node) is holds
