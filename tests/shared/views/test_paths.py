"""Promises of the paths that views use: what each finds, and what is refused before anything is looked at."""

from decimal import Decimal
from typing import Any

import pytest
from stepwell_shared.views.paths import compiled
from stepwell_shared.views.values import Scope, ViewError

PERSON: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "gender": "female",
    "birthDate": "1970-06",
    "name": [{"use": "official", "family": "Fa", "given": ["G1", "G2"]}, {"family": "Fb", "given": ["G3"]}],
    "extension": [
        {"url": "https://x.org/a", "valueCode": "F"},
        {"url": "https://x.org/b", "extension": [{"url": "c"}]},
    ],
    "link": [{"other": {"reference": "Patient/p1"}}, {"other": {"reference": "Patient/p2/_history/3"}}],
    "managingOrganization": {"reference": "https://here.example/fhir/Organization/o1"},
    "deceasedBoolean": False,
    "contained": [{"resourceType": "Organization", "id": "c1"}, {"resourceType": "Patient", "id": "c2"}],
    "multipleBirthInteger": 2,
}
SCORE: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o1",
    "valueQuantity": {"value": Decimal("72.50"), "unit": "kg"},
    "effectiveDateTime": "2026-11-20",
    "component": [{"valueInteger": 3}, {"valueString": "x"}],
}
FOUND = [
    ("id", ["p1"]),
    ("Patient.name.given", ["G1", "G2", "G3"]),
    ("Observation.name", []),
    ("name[1].family", ["Fb"]),
    ("name[7].family", []),
    ("name.where(use = 'official').given.first()", ["G1"]),
    ("name.where(use != 'official').family", []),
    ("name.given.last()", ["G3"]),
    ("name.given.count()", [3]),
    ("name.exists()", [True]),
    ("name.exists(family = 'Fb')", [True]),
    ("photo.empty()", [True]),
    ("photo.exists().not()", [True]),
    ("name.given.join(', ')", ["G1, G2, G3"]),
    ("name.given.join()", ["G1G2G3"]),
    ("deceased", [False]),
    ("deceased.ofType(boolean)", [False]),
    ("deceased.ofType(dateTime)", []),
    ("multipleBirth.ofType(integer) + 1", [3]),
    ("contained.ofType(Patient).id", ["c2"]),
    ("extension('https://x.org/a').value.ofType(code)", ["F"]),
    ("extension('https://x.org/b').extension('c').url", ["c"]),
    ("getResourceKey()", ["Patient/p1"]),
    ("link.other.getReferenceKey()", ["Patient/p1", "Patient/p2"]),
    ("link.other.getReferenceKey(Observation)", []),
    ("getResourceKey() = link.other.getReferenceKey(Patient).first()", [True]),
    ("managingOrganization.getReferenceKey(Organization)", ["Organization/o1"]),
    ("birthDate.lowBoundary()", ["1970-06-01"]),
    ("birthDate.highBoundary()", ["1970-06-30"]),
    ("birthDate.substring(0, 4)", ["1970"]),
    ("gender = 'female' and active", [True]),
    ("gender = 'male' or photo.exists()", [False]),
    ("photo.title = 'x'", []),
    ("photo.title = 'x' or active", [True]),
    ("active xor true", [False]),
    ("gender.startsWith('fe')", [True]),
    ("%known & '!'", ["yes!"]),
    ("%rowIndex", [4]),
    ("$this.id", ["p1"]),
    ("{}", []),
    ("'it\\'s' ", ["it's"]),
    ("@2026-11-20 > birthDate", [True]),
    ("-2 * 3", [-6]),
    ("7 / 2", [Decimal("3.5")]),
    ("1 / 0", []),
]
NO_PATH = (
    *("", "@@", "name.", "name..family", "name(", "name[", "name.nothing()", "name.where()", "a = ", "'open", "a | b"),
    *("name.repeat(x)", "resolve()", "(" * 70 + "a" + ")" * 70, "x" * 5000),
)


def found(path: str, resource: Any = PERSON) -> list[Any]:
    return compiled(path)([resource], Scope({"known": "yes"}, 4, ("https://here.example/fhir/",)))


@pytest.mark.parametrize("path", NO_PATH)
def test_what_is_no_path_of_a_view_is_refused(path: str) -> None:
    with pytest.raises(ViewError):
        compiled(path)


@pytest.mark.parametrize(("path", "expected"), FOUND)
def test_a_path_finds(path: str, expected: list[Any]) -> None:
    assert found(path) == expected


def test_a_reference_elsewhere_is_no_key_of_ours() -> None:
    person = {"subject": {"reference": "https://ehr.example/Patient/p1"}}
    assert found("subject.getReferenceKey(Patient)", person) == ["https://ehr.example/Patient/p1"]


def test_decimals_keep_their_digits() -> None:
    assert [str(each) for each in found("value.ofType(Quantity).value", SCORE)] == ["72.50"]
    assert found("value.ofType(Quantity).value.lowBoundary()", SCORE) == [Decimal("72.495")]
    assert found("effective.ofType(dateTime).highBoundary()", SCORE) == ["2026-11-20T23:59:59.999-12:00"]
    assert found("component.value", SCORE) == [3, "x"]


def test_what_has_no_one_meaning_is_an_error_and_not_a_guess() -> None:
    for path in (
        "name.family = 'Fa' and true and name",
        "name.given > 'a'",
        "name + 1",
        "gender < 3",
        "name.where(family)",
    ):
        with pytest.raises(ViewError):
            found(path)
