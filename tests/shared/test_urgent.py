"""Which requests may be such that cannot wait, and how far a Bundle is looked into."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from stepwell_shared import urgent
from stepwell_shared.urgent import BUNDLE_BYTES_MAX, BUNDLE_RESOURCES_MAX, Urgent, brings_something, nothing_is

Resource = dict[str, Any]
BASE = "/screening/fhir"
TESTS = {"Form": lambda body: b"help" in body, "Patient/$raise": brings_something}
URGENT = Urgent(BASE, TESTS, "/screening/forms/")


def of(text: str, **members: Any) -> Resource:
    return {"resource": {"resourceType": "Form", "text": text}, **members}


def bundle(*entries: Any) -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()


def cannot_wait(method: str, path: str, body: bytes) -> bool:
    test = URGENT(method, path)
    return test is not None and test(body)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{BASE}/Form"),
        ("PUT", f"{BASE}/Form/1"),
        ("PUT", f"{BASE}/Form"),
        ("PATCH", f"{BASE}/Form/1"),
        ("PATCH", f"{BASE}/Form"),
        ("POST", f"{BASE}/Patient/p1/$raise"),
        ("POST", f"{BASE}/Patient/$raise"),
        ("POST", "/screening/forms/phq-9"),
    ],
)
def test_a_resource_cannot_wait_however_it_is_brought(method: str, path: str) -> None:
    assert cannot_wait(method, path, b"help")
    assert not cannot_wait(method, path, b"")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{BASE}/Form/1"),
        ("DELETE", f"{BASE}/Form/1"),
        ("POST", f"{BASE}/Form/_search"),
        ("POST", f"{BASE}/Form/1"),
        ("POST", f"{BASE}/Patient"),
        ("PUT", f"{BASE}/Patient/Form"),
        ("PATCH", f"{BASE}/Patient/1"),
        ("PUT", f"{BASE}/Form/1/_history"),
        ("POST", f"{BASE}/Patient/p1/$raise/more"),
        ("PUT", f"{BASE}/Patient/p1/$raise"),
        ("POST", f"{BASE}/Form/1/$raise"),
        ("POST", "/screening/worklist"),
        ("PUT", "/screening/forms/phq-9"),
        ("PUT", "/elsewhere/Form/1"),
        ("PATCH", f"{BASE}/Patient/p1/$raise"),
    ],
)
def test_at_other_addresses_everything_can(method: str, path: str) -> None:
    assert URGENT(method, path) is None
    assert nothing_is(method, path) is None


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], False),
        ([of("calm")], False),
        ([of("calm"), {"resource": {"resourceType": "Patient", "text": "help"}}], False),
        ([of("calm"), of("help")], True),
        ([{"request": {"method": "GET", "url": "Form/1"}}], False),
        ([{"request": {"method": "PATCH", "url": "Form/1"}, "resource": {"resourceType": "Binary"}}], True),
        ([{"request": {"method": "PATCH", "url": "Form?identifier=1"}}], True),
        ([{"request": {"method": "PATCH", "url": "Patient/1"}, "resource": of("")["resource"]}], False),
        ([{"request": {"method": "PATCH"}}, of("help")], True),
        ([{"request": {"method": "POST", "url": "Patient/p1/$raise"}, "resource": {"resourceType": "Basic"}}], True),
        ([{"request": {"method": "POST", "url": "Form/$count"}, **of("help")}], False),
        ([of("calm")] * BUNDLE_RESOURCES_MAX, False),
        ([of("calm")] * (BUNDLE_RESOURCES_MAX + 1), True),
        ([of("calm" + " " * BUNDLE_BYTES_MAX)], True),
        ([{"resource": {"resourceType": "Patient", "text": " " * BUNDLE_BYTES_MAX}}], False),
    ],
    ids=range(15),
)
def test_a_bundle_cannot_wait_when_a_part_cannot_or_when_it_is_too_long_to_tell(
    entries: Sequence[Resource], *, expected: bool
) -> None:
    for path in (BASE, f"{BASE}/"):
        assert cannot_wait("POST", path, bundle(*entries)) is expected


@pytest.mark.parametrize(
    "body",
    [b"", b'"Form"', b'["Form"]', b'{"Form', b'{"entry":"Form"}', bundle("Form"), bundle({"resource": "Form"}),
     bundle({"request": {"method": "PATCH"}, "resource": "Form"}), b'{"entry":' + b"[" * 5000 + b'"Form"'],
    ids=range(9),
)  # fmt: skip
def test_what_is_no_bundle_can_wait(body: bytes) -> None:
    assert not cannot_wait("POST", BASE, body)


def test_a_service_without_such_resources_looks_into_no_bundle() -> None:
    assert Urgent(BASE, {})("POST", BASE) is None


def test_most_bundles_are_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urgent, "orjson", None)
    assert not cannot_wait("POST", BASE, bundle({"resource": {"resourceType": "Patient"}}))
