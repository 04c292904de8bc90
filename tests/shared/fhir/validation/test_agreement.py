"""The gate never vouches for what the exact walk would refuse, and neither crashes on any JSON."""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_shared.fhir.definitions import served_types
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.validation import check, validate
from stepwell_shared.fhir.validation.exact import walk
from stepwell_shared.fhir.validation.resource import is_certainly_valid

from tests.shared.fhir.validation.invariant_samples import SAMPLES as INVARIANT_SAMPLES
from tests.shared.fhir.validation.samples import SAMPLES, official_examples

EXAMPLES = [*SAMPLES, *official_examples()]
ODDITIES: list[Any] = [
    None, "", " ", "x", "x ", "2026-02-30", "2026-02-28", "2026-11-21T20:54:00Z", "Patient/p1", "Practitioner/p1", "#x",
    "#", "urn:uuid:1", "http://a.example/Patient/1", "Patient?x=y", "final", "\u00a0", "a\nb", 0, 1, 3, -1, 1.0, 2.5,
    2**31, True, False, [], {}, [None], ["x"], [{}], {"text": "x"}, {"reference": "Patient/p1"}, {"id": "x"},
    {"url": "urn:x", "valueString": "x"}, [{"url": "urn:x"}], {"resourceType": "Basic"}, {"code": "x"},
    {"start": "2026", "end": "2025"},
]  # fmt: skip
NAMES = [
    "id", "extension", "modifierExtension", "_status", "status", "resourceType", "contained", "value", "valueString",
    "valueQuantity", "_valueString", "text", "code", "system", "reference", "comparator", "item", "answer", "zzz",
]  # fmt: skip


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON tree."""
    found: list[tuple[Any, Any]] = []
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in children:
        found += [(node, key), *places(value)]
    return found


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    resource: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(EXAMPLES)))
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(places(resource)))
        change = draw(st.sampled_from(("replace", "remove", "add", "wrap")))
        if change == "replace" and key != "resourceType":
            container[key] = copy.deepcopy(draw(st.sampled_from(ODDITIES)))
        elif change == "remove" and key != "resourceType":
            del container[key]
        elif change == "wrap":
            container[key] = [container[key]] if key != "resourceType" else container[key]
        elif change == "add" and isinstance(container, dict):
            name = draw(st.sampled_from(NAMES))
            if name != "resourceType" or container is not resource:
                container[name] = copy.deepcopy(draw(st.sampled_from(ODDITIES)))
    return resource


@given(damaged())
@settings(max_examples=750, deadline=None)
def test_what_the_gate_vouches_for_the_walk_finds_nothing_wrong_with(resource: dict[str, Any]) -> None:
    issues = walk(resource)
    assert not (is_certainly_valid(resource, resource["resourceType"]) and issues)


@given(damaged())
@settings(max_examples=300, deadline=None)
def test_check_answers_every_damaged_resource_with_itself_or_a_refusal(resource: dict[str, Any]) -> None:
    body = orjson.dumps(resource)
    try:
        assert check(body, resource["resourceType"]) == orjson.loads(body)
    except FhirError as error:
        refusal = error
        assert refusal.category is Category.INVALID
        assert refusal.issues


def test_most_examples_pass_the_gate() -> None:
    vouched = sum(is_certainly_valid(each, each["resourceType"]) for each in EXAMPLES)
    assert vouched / len(EXAMPLES) > 0.75


@pytest.mark.parametrize("key", sorted(INVARIANT_SAMPLES))
def test_the_gate_does_not_vouch_for_a_broken_invariant(key: str) -> None:
    path, _, breaking = INVARIANT_SAMPLES[key]
    if path in served_types():
        assert not is_certainly_valid({"resourceType": path, **breaking}, path)


@pytest.mark.parametrize("resource", EXAMPLES, ids=lambda each: f"{each['resourceType']}-{each.get('id', '')}")
def test_a_valid_example_passes(resource: dict[str, Any]) -> None:
    assert validate(resource, resource["resourceType"]) == []
    assert check(orjson.dumps(resource), resource["resourceType"]) == resource


def test_every_served_type_has_an_example_or_a_sample() -> None:
    without = set(served_types()) - {each["resourceType"] for each in EXAMPLES}
    assert without == set()
