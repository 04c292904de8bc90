"""JSON Patch (RFC 6902) on stored bodies: refusals first, then every operation, then what must never get lost."""

from typing import Any

import orjson
import pytest
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.patch import JSON_PATCH, patched
from stepwell_shared.fhir.patch.json_patch import OPERATIONS_MAX, apply_json_patch
from stepwell_shared.fhir.patch.json_tree import decode, same

Operation = dict[str, Any]


def apply(document: Any, *operations: Operation) -> Any:
    return apply_json_patch(document, list(operations))


def refused(document: Any, *operations: Any) -> FhirError:
    with pytest.raises(FhirError) as caught:
        apply_json_patch(document, list(operations))
    return caught.value


def patient(**members: Any) -> bytes:
    return orjson.dumps({"resourceType": "Patient", "id": "p1", "meta": {"versionId": "1"}, **members})


def after(body: bytes, *operations: Operation) -> Any:
    result, parsed = patched(body, orjson.dumps(list(operations)), JSON_PATCH)
    assert orjson.loads(result) == parsed
    return parsed


@pytest.mark.parametrize(
    "operation",
    [
        "remove /a",
        {"op": "spill", "path": "/a"},
        {"op": ["add"], "path": "/a", "value": 1},
        {"path": "/a", "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/a~2", "value": 1},
        {"op": "add", "path": 7, "value": 1},
        {"op": "add", "path": "/a"},
        {"op": "test", "path": "/a"},
        {"op": "move", "path": "/a"},
        {"op": "copy", "from": "b", "path": "/a"},
    ],
)
def test_what_is_no_operation_is_refused_as_malformed(operation: Any) -> None:
    assert refused({"a": 1}, operation).status == 400


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/b"},
        {"op": "remove", "path": "/list/3"},
        {"op": "remove", "path": "/list/-"},
        {"op": "remove", "path": "/list/00"},
        {"op": "replace", "path": "/b", "value": 1},
        {"op": "replace", "path": "/list/3", "value": 1},
        {"op": "add", "path": "/list/4", "value": 1},
        {"op": "add", "path": "/list/-1", "value": 1},
        {"op": "add", "path": "/b/c", "value": 1},
        {"op": "add", "path": "/a/c", "value": 1},
        {"op": "copy", "from": "/b", "path": "/c"},
        {"op": "move", "from": "/object", "path": "/object/x"},
        {"op": "test", "path": "/b", "value": None},
        {"op": "test", "path": "/a", "value": True},
        {"op": "test", "path": "/a", "value": "1"},
        {"op": "test", "path": "/object", "value": {"x": 1, "y": 2}},
    ],
)
def test_what_does_not_fit_the_document_is_refused_as_unprocessable(operation: Operation) -> None:
    document = {"a": 1, "list": [1, 2, 3], "object": {"x": 1}}
    assert refused(document, operation).status == 422


def test_a_patch_that_is_no_list_is_malformed() -> None:
    with pytest.raises(FhirError) as caught:
        apply_json_patch({}, {"op": "add", "path": "/a", "value": 1})
    assert caught.value.status == 400


def test_a_patch_is_bounded_in_length_growth_and_depth() -> None:
    many = [{"op": "test", "path": "", "value": {}}] * (OPERATIONS_MAX + 1)
    assert refused({}, *many).status == 400
    doubling = [{"op": "copy", "from": "/a", "path": "/a/-"}] * 40
    assert refused({"a": [1]}, *doubling).status == 422
    nested: Any = 1
    for _ in range(100):
        nested = [nested]
    assert refused({}, {"op": "add", "path": "/a", "value": nested}).status == 400


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "/b", "value": 2}, {"a": 1, "b": 2, "list": [1, 2, 3]}),
        ({"op": "add", "path": "/list/1", "value": 9}, {"a": 1, "list": [1, 9, 2, 3]}),
        ({"op": "add", "path": "/list/3", "value": 9}, {"a": 1, "list": [1, 2, 3, 9]}),
        ({"op": "add", "path": "/list/-", "value": 9}, {"a": 1, "list": [1, 2, 3, 9]}),
        ({"op": "add", "path": "/a", "value": 9}, {"a": 9, "list": [1, 2, 3]}),
        ({"op": "add", "path": "/x~1y~0z", "value": 9}, {"a": 1, "list": [1, 2, 3], "x/y~z": 9}),
        ({"op": "add", "path": "", "value": {}}, {}),
        ({"op": "remove", "path": "/list/0"}, {"a": 1, "list": [2, 3]}),
        ({"op": "replace", "path": "/list/2", "value": 9}, {"a": 1, "list": [1, 2, 9]}),
        ({"op": "replace", "path": "/a", "value": None}, {"a": None, "list": [1, 2, 3]}),
        ({"op": "move", "from": "/list/0", "path": "/list/2"}, {"a": 1, "list": [2, 3, 1]}),
        ({"op": "move", "from": "/a", "path": "/b"}, {"b": 1, "list": [1, 2, 3]}),
        ({"op": "copy", "from": "/list", "path": "/b"}, {"a": 1, "list": [1, 2, 3], "b": [1, 2, 3]}),
        ({"op": "test", "path": "/list", "value": [1, 2, 3]}, {"a": 1, "list": [1, 2, 3]}),
    ],
)
def test_i8_json_patch_applies_every_operation(operation: Operation, expected: Any) -> None:
    assert apply({"a": 1, "list": [1, 2, 3]}, operation) == expected


def test_a_copy_is_independent_of_its_source() -> None:
    copy = {"op": "copy", "from": "/a", "path": "/b"}
    assert apply({"a": {"x": 1}}, copy, {"op": "add", "path": "/b/y", "value": 2}) == {
        "a": {"x": 1},
        "b": {"x": 1, "y": 2},
    }
    put = {"op": "add", "path": "/a/-", "value": []}
    assert apply({"a": []}, put, put, {"op": "add", "path": "/a/0/-", "value": 1}) == {"a": [[1], []]}


def test_numbers_are_compared_by_value_and_truth_is_no_number() -> None:
    assert same(decode(b"72.50"), decode(b"72.5"))
    assert same(decode(b'{"a":1,"b":[1.0]}'), decode(b'{"b":[1],"a":1}'))
    assert not same(True, 1)
    assert not same([0], [False])


class TestResource:
    @pytest.mark.parametrize(
        "patch",
        [
            b"",
            b"{}",
            b"[",
            b'[{"op":"remove","path":"/name","path":"/gender"}]',
            b'[{"op":"add","path":"/contact","value":[{"id":"a","id":"b"}]}]',
            b'[],"more":[]',
            b'[{"op":"add","path":"/active","value":' + b"9" * 5000 + b"}]",
            b'[{"op":"add","path":"/active","value":1e99999999999999999999}]',
            b'[{"op":"add","path":"/active","value":"\\ud800"}]',
            b"[" * 100_000,
        ],
    )
    def test_g12_what_is_no_strict_json_is_refused(self, patch: bytes) -> None:
        with pytest.raises(FhirError) as caught:
            patched(patient(gender="male"), patch, JSON_PATCH)
        assert caught.value.status == 400

    @pytest.mark.parametrize(
        "operation",
        [
            {"op": "replace", "path": "/id", "value": "p2"},
            {"op": "remove", "path": "/id"},
            {"op": "replace", "path": "/resourceType", "value": "Observation"},
            {"op": "remove", "path": ""},
            {"op": "replace", "path": "", "value": []},
            {"op": "replace", "path": "", "value": {"resourceType": "Patient"}},
        ],
    )
    def test_i8_identity_cannot_be_patched(self, operation: Operation) -> None:
        with pytest.raises(FhirError) as caught:
            after(patient(), operation)
        assert caught.value.status == 400

    def test_i8_a_result_that_is_not_valid_is_refused_with_its_place(self) -> None:
        with pytest.raises(FhirError) as caught:
            after(patient(), {"op": "add", "path": "/gender", "value": "unheard-of"})
        assert caught.value.status == 400
        assert caught.value.issues[0].expression == "Patient.gender"

    def test_g12_decimals_and_dates_keep_their_precision(self) -> None:
        body = (
            b'{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"x"},'
            b'"effectiveDateTime":"2026-11-21T20:54:00.100+01:00","valueQuantity":{"value":72.50}}'
        )
        patch = b'[{"op":"add","path":"/component","value":[{"code":{"text":"y"},"valueQuantity":{"value":1.000}}]}]'
        result, _ = patched(body, patch, JSON_PATCH)
        assert b'"value":72.50}' in result
        assert b'"value":1.000}' in result
        assert b"2026-11-21T20:54:00.100+01:00" in result


class TestNarrative:
    DIV = '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'

    def text(self, status: str) -> dict[str, str]:
        return {"status": status, "div": self.DIV}

    def test_i8_a_narrative_of_a_person_is_not_left_beside_changed_data(self) -> None:
        body = patient(text=self.text("additional"), gender="female")
        change = {"op": "replace", "path": "/gender", "value": "male"}
        with pytest.raises(FhirError) as caught:
            after(body, change)
        assert (caught.value.status, caught.value.issues[0].expression) == (422, "Patient.text")
        assert "text" not in after(body, change, {"op": "remove", "path": "/text"})
        rewritten = {"op": "replace", "path": "/text/div", "value": self.DIV.replace("x</", "y</")}
        assert after(body, change, rewritten)["text"]["div"].endswith("y</div>")

    def test_i8_a_generated_narrative_goes_when_data_change_and_stays_otherwise(self) -> None:
        body = patient(text=self.text("generated"), gender="female")
        assert "text" not in after(body, {"op": "replace", "path": "/gender", "value": "male"})
        tag = {"op": "add", "path": "/meta/tag", "value": [{"code": "x"}]}
        assert after(body, tag)["text"] == self.text("generated")
