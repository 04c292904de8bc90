"""Whatever is sent as a patch: it applies, or it is refused as FHIR; nothing else ever comes out."""

from contextlib import suppress
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.patch import JSON_PATCH, patched
from stepwell_shared.fhir.patch.json_patch import apply_json_patch
from stepwell_shared.fhir.patch.json_tree import same
from stepwell_shared.fhir.patch.path_text import read_path

PATIENT = orjson.dumps({
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "name": [{"use": "official", "given": ["A", "B"]}, {"text": "x"}],
    "birthDate": "1980",
    "_birthDate": {"id": "b"},
    "contact": [{"name": {"text": "y"}}],
})  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
TOKENS = st.sampled_from(["", "name", "given", "0", "1", "2", "-", "use", "id", "active", "~0", "~1", "a/b", "00"])
POINTERS = st.lists(TOKENS, max_size=4).map(lambda tokens: "".join(f"/{token}" for token in tokens))
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]), "path": POINTERS},
    optional={"from": POINTERS, "value": JSON},
)
STEPS = st.sampled_from([
    "Patient", "name", "name[0]", "given", "given[1]", "first()", "last()", "where(use = 'official')", "birthDate",
    "extension", "id", "contact", "value", "ofType(string)", "where(", "[0]", "$this", "'", "resourceType", "contained",
])  # fmt: skip
PATHS = st.lists(STEPS, min_size=1, max_size=4).map(".".join)
VALUES = st.sampled_from([
    {"valueString": "x"}, {"valueCode": "male"}, {"valueHumanName": {"text": "x"}}, {"valueDate": "1981"},
    {"part": [{"name": "gender", "valueCode": "male"}]}, {"resource": {"resourceType": "Patient", "id": "c"}},
    {"valueExtension": {}}, {"_valueString": {"id": "x"}}, {},
])  # fmt: skip


@given(st.lists(OPERATIONS, max_size=4))
@settings(max_examples=200, deadline=None)
def test_a_json_patch_gives_a_valid_resource_or_a_refusal(operations: list[dict[str, Any]]) -> None:
    with suppress(FhirError):
        body, _ = patched(PATIENT, orjson.dumps(operations), JSON_PATCH)
        assert validation.check(body, "Patient")["id"] == "p1"


@given(JSON, JSON)
@settings(max_examples=150, deadline=None)
def test_what_is_added_is_there_and_what_is_removed_is_gone(document: Any, value: Any) -> None:
    there = [{"op": "add", "path": "/x", "value": value}, {"op": "test", "path": "/x", "value": value}]
    gone = [*there, {"op": "remove", "path": "/x"}]
    before = {"y": document}
    assert same(apply_json_patch({"y": document}, there), {**before, "x": value})
    assert same(apply_json_patch({"y": document}, gone), before)


@given(
    st.sampled_from(["add", "insert", "delete", "replace", "move"]),
    PATHS,
    VALUES,
    st.integers(-1, 3),
    st.integers(-1, 3),
)
@settings(max_examples=400, deadline=None)
def test_a_fhirpath_patch_gives_a_valid_resource_or_a_refusal(
    type_: str, path: str, value: dict[str, Any], source: int, destination: int
) -> None:
    parts: dict[str, list[dict[str, Any]]] = {
        "add": [{"name": "name", "valueString": path.rpartition(".")[2]}, {"name": "value", **value}],
        "insert": [{"name": "index", "valueInteger": source}, {"name": "value", **value}],
        "delete": [],
        "replace": [{"name": "value", **value}],
        "move": [{"name": "source", "valueInteger": source}, {"name": "destination", "valueInteger": destination}],
    }
    given_parts = [{"name": "type", "valueCode": type_}, {"name": "path", "valueString": path}, *parts[type_]]
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": given_parts}]}
    with suppress(FhirError):
        body, _ = patched(PATIENT, orjson.dumps(parameters), "application/fhir+json")
        assert validation.check(body, "Patient")["id"] == "p1"


@given(st.text(alphabet="Patient.name[0]where(u='a')$@`|%& \n1-T:and", max_size=30))
@settings(max_examples=250, deadline=None)
def test_any_text_is_a_path_or_is_refused(text: str) -> None:
    with suppress(FhirError):
        assert read_path(text)
