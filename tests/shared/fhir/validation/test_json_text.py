"""What FHIR forbids in JSON is refused with its place, and no body can crash the reader."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.validation import parse

BASE = b'{"resourceType":"Patient",'


def refusals(body: bytes) -> list[Issue]:
    with pytest.raises(FhirError) as caught:
        parse(body)
    assert caught.value.category is Category.INVALID
    return caught.value.issues


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xef\xbb\xbf{}",
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\x01"}',
        b'{"a":"\x00"}',
        b'{"a":1} {"b":2}',
        '{"a":"ä"}'.encode("latin-1"),
        '{"a":1}'.encode("utf-16"),
    ],
)
def test_broken_json_is_refused_without_quoting_it(body: bytes) -> None:
    (issue,) = refusals(body)
    assert (issue.code, issue.expression) == ("structure", None)
    assert "line" in issue.diagnostics


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"true", b"[{}]"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    assert "object" in refusals(body)[0].diagnostics


@pytest.mark.parametrize(
    ("member", "expression"),
    [
        (b'"gender":null', "Patient.gender"),
        (b'"gender":""', "Patient.gender"),
        (b'"name":[]', "Patient.name"),
        (b'"name":[ ]', "Patient.name"),
        (b'"maritalStatus":{}', "Patient.maritalStatus"),
        (b'"maritalStatus":{\n}', "Patient.maritalStatus"),
        (b'"name":[{"given":["a",""]}]', "Patient.name[0].given[1]"),
        (b'"name":[{"given":["a",null]}]', "Patient.name[0].given[1]"),
        (b'"name":[{"family":"x"},null]', "Patient.name[1]"),
        (b'"name":[{"family":"x"},{}]', "Patient.name[1]"),
        (b'"name":[{"family":"a\\u0000b"}]', "Patient.name[0].family"),
        (b'"name":[{"given":[null],"_given":[null]}]', "Patient.name[0].given[0]"),
        (b'"name":[{"given":["a",null],"_given":[{"id":"x"}]}]', "Patient.name[0].given[1]"),
        (b'"_gender":null', "Patient.gender"),
        (b'"a":[[[null]]]', "Patient.a[0][0][0]"),
    ],
)
def test_g12_null_and_emptiness_are_refused_at_their_place(member: bytes, expression: str) -> None:
    assert expression in [issue.expression for issue in refusals(BASE + member + b"}")]


def test_g12_aligned_padding_is_kept() -> None:
    body = BASE + b'"name":[{"given":["a",null],"_given":[null,{"id":"x"}]}]}'
    assert parse(body)["name"] == [{"given": ["a", None], "_given": [None, {"id": "x"}]}]


@pytest.mark.parametrize(
    ("member", "expression"),
    [
        (b'"gender":"male","gender":"male"', "Patient.gender"),
        (b'"gender":"male","gender" : "female"', "Patient.gender"),
        (b'"gender":"male","g\\u0065nder":"female"', "Patient.gender"),
        (b'"name":[{"family":"a","family":"b"}]', "Patient.name[0].family"),
        (b'"gender":"male","gender":"female","x":"\\u0022:"', "Patient.gender"),
        (b'"gender":"male","gender":"female","x":"\\u0022\\u0022"', "Patient.gender"),
        (b'"gender":"male","gender":"female","x":"\\"\\u0022:\\u003a\\u0022 :"', "Patient.gender"),
        (b'"rank":1,"rank":2,"x":"\\u0022\\u0022"', "Patient.rank"),
        (b'"resourceType":"Patient"', "Patient.resourceType"),
    ],
)
def test_g12_a_key_given_twice_is_refused_however_it_is_hidden(member: bytes, expression: str) -> None:
    assert [issue.expression for issue in refusals(BASE + member + b"}")] == [expression]


def test_everything_found_is_said_at_once() -> None:
    assert len(refusals(BASE + b'"a":null,"b":[],"c":{},"d":""}')) == 4


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' + b"[" * 1_000_000,
        b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"a":' + b"[" * 64 + b"1" + b"]" * 64 + b"}",
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b'{"s":"' + b"]}" * 100 + b'","a":' + b'[{"a":' * 40 + b"1" + b"}]" * 40 + b"}",
    ],
)
def test_great_depth_is_a_refusal_and_never_a_crash(body: bytes) -> None:
    refusals(body)


def test_the_allowed_depth_passes_and_brackets_in_strings_do_not_count() -> None:
    assert parse(b'{"a":' * 64 + b"1" + b"}" * 64)
    assert parse(b'{"s":"' + b"[{" * 500 + b'","t":[[1],[2]]}')


@given(
    st.recursive(
        st.text(min_size=1) | st.integers(-9, 9) | st.booleans(),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.text(), inner, min_size=1, max_size=3)
        ),
        max_leaves=12,
    ),
    st.sampled_from([None, 1, "\t"]),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_sound_json_in_any_spelling_reads_as_what_it_says(value: object, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps({"x": value}, indent=indent, ensure_ascii=ascii_only)
    if "\x00" in str(value) or "\\x00" in repr(value):
        return
    assert parse(text.encode()) == {"x": value}


@given(st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_no_bytes_crash_the_reader(body: bytes) -> None:
    refused = False
    try:
        parse(body)
    except FhirError as error:
        refused = error.category is Category.INVALID
    assert refused or body.lstrip()[:1] == b"{"
