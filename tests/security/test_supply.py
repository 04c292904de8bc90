"""The check of what services consist of finds what it must: wrong licences, loose versions, known vulnerabilities."""

import tomllib
from typing import Any

import pytest

from tests.external.supply_chain import (
    DATA,
    LOCK,
    Package,
    affected,
    audit_faults,
    is_allowed,
    licence_faults,
    packages_of,
    pins,
    unpinned,
)

RULES: dict[str, Any] = tomllib.loads((DATA / "licences.toml").read_text(encoding="utf-8"))
ALLOWED = {"MIT", "Apache-2.0", "PSF-2.0"}


@pytest.mark.parametrize(
    ("expression", "is_fine"),
    [
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("(GPL-3.0-only OR MIT) AND (Apache-2.0 OR AGPL-3.0-only)", True),
        ("(GPL-3.0-only AND MIT) OR AGPL-3.0-only", False),
        ("(MIT)", True),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_a_licence_is_allowed_when_one_side_of_each_or_is(expression: str, is_fine: bool) -> None:
    assert is_allowed(expression, ALLOWED) is is_fine


def test_a_package_without_a_licence_or_with_another_is_a_fault() -> None:
    found = [
        Package("a", "1", ("MIT",)),
        Package("b", "1"),
        Package("c", "1", ("SSPL-1.0",)),
        Package("d", "1", ("LGPL-3.0-only",)),
        Package("fpdf2", "1", ("LGPL-3.0-only",)),
        Package("protobuf", "1"),
    ]
    faults = list(licence_faults(found, RULES))
    assert [each.split()[0] for each in faults] == ["b", "c", "d"]
    assert len(list(licence_faults([Package("protobuf", "1", ("BSD-3-Clause",))], RULES))) == 1


def test_what_is_not_at_the_version_of_the_lock_is_a_fault() -> None:
    pinned = pins("a==1 \\\n    --hash=sha256:00\nb==2\nc==3 ; x \\\n    --hash=sha256:00\n")
    assert pinned == {"a": "1", "c": "3"}
    found = [Package("a", "1"), Package("b", "2"), Package("c", "4"), Package("stepwell-shared", "0.1.0")]
    assert [each.split()[0] for each in unpinned(found, pinned)] == ["b", "c"]
    assert len(pins(LOCK.read_text(encoding="utf-8"))) > 50


def test_a_list_is_read_in_each_way_that_it_names_licences() -> None:
    bill = {
        "components": [
            {"name": "A_b.c", "version": "1", "licenses": [{"expression": "MIT OR ISC"}]},
            {"name": "d", "version": "2", "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "other"}}]},
            {"name": "e", "version": "3"},
        ]
    }
    assert packages_of(bill) == [
        Package("a-b-c", "1", ("MIT OR ISC",)),
        Package("d", "2", ("MIT", "other")),
        Package("e", "3"),
    ]


@pytest.mark.parametrize(
    ("version", "is_about"),
    [("0.9", False), ("1.0", True), ("1.4.9", True), ("1.5", False), ("2.0", True), ("2.3", False)],
)
def test_an_advisory_is_about_the_versions_between_its_events(version: str, is_about: bool) -> None:
    events = [{"introduced": "1.0"}, {"fixed": "1.5"}, {"introduced": "2.0"}, {"last_affected": "2.2"}]
    advisory = {
        "id": "X-1",
        "affected": [{"package": {"name": "Some_Package"}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}],
    }
    assert affected(Package("some-package", version), advisory) is is_about
    assert not affected(Package("other", version), advisory)
    assert not affected(Package("some-package", version), {**advisory, "withdrawn": "2026-01-01"})
    listed = {"affected": [{"package": {"name": "some-package"}, "versions": [version]}]}
    assert affected(Package("some-package", version), listed)


def test_what_could_not_be_looked_up_is_not_called_safe() -> None:
    fine = {"name": "a", "version": "1", "vulns": []}
    skipped = {"name": "b", "skip_reason": "not found"}
    bad = {"name": "c", "version": "2", "vulns": [{"id": "X-1", "fix_versions": ["3"]}]}
    assert list(audit_faults({"dependencies": [fine]}, 1)) == []
    assert len(list(audit_faults({"dependencies": [fine]}, 2))) == 1
    assert [each.split()[0] for each in audit_faults({"dependencies": [skipped, bad]}, 2)] == ["b:", "c"]
