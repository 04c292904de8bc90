"""Promises of the tables: the same rows in each form, whole or not at all, and the views that ship."""

import csv
import re
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson
import pytest
from stepwell_shared.canonical import code_system, extension_url
from stepwell_shared.views.definition import view_of
from stepwell_shared.views.running import rows_of
from stepwell_shared.views.shipped import shipped_views
from stepwell_shared.views.writing import Format, write

VIEW = view_of(
    {
        "name": "all",
        "resource": "Patient",
        "select": [
            {
                "column": [
                    {"name": "id", "path": "id", "type": "id"},
                    {"name": "active", "path": "active", "type": "boolean"},
                    {"name": "births", "path": "multipleBirth.ofType(integer)", "type": "integer"},
                    {"name": "weight", "path": "extension.value.ofType(decimal)", "type": "decimal"},
                    {"name": "families", "path": "name.family", "type": "string", "collection": True},
                    {"name": "birth", "path": "birthDate", "type": "date"},
                ]
            }
        ],
    }
)
ROWS = [("p1", True, 2, Decimal("72.50"), ["a", 'b"c,\nd'], "1970-06"), ("p2", None, None, None, [], None)]
IDENTIFYING = re.compile(r"\b(name|telecom|address|identifier|photo|contact|birthDate(?!\.substring))\b")


def table_of(path: Path) -> tuple[list[str], list[str], list[Any]]:
    """Names, types and rows of a Parquet file. What DuckDB is made of must not be frozen before the tests run."""
    duckdb = import_module("duckdb")
    with duckdb.connect() as connection:
        found = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
        return [each[0] for each in found.description], [str(each[1]) for each in found.description], found.fetchall()


def test_a_table_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def failing() -> Any:
        yield ROWS[0]
        raise OSError("disk full")

    for kind in Format:
        with pytest.raises(OSError, match="disk full"):
            write(VIEW, failing(), tmp_path / f"t.{kind}", kind)
    assert list(tmp_path.iterdir()) == []


def test_csv_has_empty_fields_for_no_value_and_json_for_lists(tmp_path: Path) -> None:
    assert write(VIEW, ROWS, tmp_path / "t.csv", Format.CSV) == 2
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        header, first, second = list(csv.reader(file))
    assert header == ["id", "active", "births", "weight", "families", "birth"]
    assert first == ["p1", "true", "2", "72.50", '["a","b\\"c,\\nd"]', "1970-06"]
    assert second == ["p2", "", "", "", "[]", ""]


def test_ndjson_keeps_decimals_as_they_are_written(tmp_path: Path) -> None:
    assert write(VIEW, ROWS, tmp_path / "t.ndjson", Format.NDJSON) == 2
    first, second = (tmp_path / "t.ndjson").read_bytes().splitlines()
    assert b'"weight":72.50' in first
    assert orjson.loads(second)["active"] is None


def test_parquet_has_types_and_says_the_same(tmp_path: Path) -> None:
    place = tmp_path / "it's.parquet"
    assert write(VIEW, ROWS, place, Format.PARQUET) == 2
    assert [each.name for each in tmp_path.iterdir()] == [place.name]
    _, kinds, rows = table_of(place)
    assert rows == [("p1", True, 2, 72.5, ["a", 'b"c,\nd'], "1970-06"), ("p2", None, None, None, [], None)]
    assert kinds == ["VARCHAR", "BOOLEAN", "BIGINT", "DOUBLE", "VARCHAR[]", "VARCHAR"]


def test_an_empty_table_has_its_columns(tmp_path: Path) -> None:
    assert write(VIEW, [], tmp_path / "t.parquet", Format.PARQUET) == 0
    assert table_of(tmp_path / "t.parquet")[0] == [column.name for column in VIEW.columns]


def test_no_view_that_ships_shows_who_somebody_is() -> None:
    assert shipped_views().keys() == {"patients", "referrals", "scores", "tier_assignments", "trajectories", "waits"}
    for definition in shipped_views().values():
        for select in definition["select"]:
            for column in select["column"]:
                assert not IDENTIFYING.search(column["path"]), column


def coding(name: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": code_system(name), "code": code}]}


TASK = {
    "resourceType": "Task",
    "id": "t1",
    "status": "requested",
    "code": coding("task", "tier-referral"),
    "for": {"reference": "https://here.example/screening/fhir/Patient/p1"},
    "focus": {"reference": "ServiceRequest/s1"},
    "authoredOn": "2026-11-20T09:00:00Z",
    "restriction": {"period": {"end": "2026-12-20T09:00:00Z"}},
    "extension": [
        {
            "url": extension_url("wait-promise"),
            "extension": [
                {"url": "median", "valueDuration": {"value": 14, "unit": "days"}},
                {"url": "keepable", "valueBoolean": True},
            ],
        }
    ],
}
TRAJECTORY = {
    "resourceType": "Observation",
    "id": "r1",
    "status": "final",
    "category": [{"coding": [{"code": "survey"}]}],
    "code": coding("reliable-change", "phq-9-reliable-change"),
    "subject": {"reference": "Patient/p1"},
    "valueCodeableConcept": coding("reliable-change", "reliable-improvement"),
    "component": [
        {"code": coding("reliable-change", "change"), "valueQuantity": {"value": -9}},
        {"code": coding("trajectory", "standing"), "valueCodeableConcept": coding("trajectory", "improving")},
        {"code": coding("trajectory", "recovery"), "valueBoolean": True},
    ],
}
SCORE = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "category": [{"coding": [{"code": "survey"}]}],
    "code": {"coding": [{"system": "http://loinc.org", "code": "44261-6"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2026-11-20T09:00:00Z",
    "valueQuantity": {"value": 12, "unit": "{score}"},
    "interpretation": [coding("band", "phq-9-moderate")],
    "derivedFrom": [{"reference": "QuestionnaireResponse/q1"}],
}
ASSIGNMENT = {
    "resourceType": "ServiceRequest",
    "id": "s1",
    "status": "active",
    "intent": "proposal",
    "category": [coding("tier", "tier-2")],
    "instantiatesCanonical": ["https://stepwell.health/fhir/PlanDefinition/stepped-care|1.0.0"],
    "subject": {"reference": "https://here.example/screening/fhir/Patient/p1"},
    "occurrencePeriod": {"end": "2026-12-20T09:00:00Z"},
    "reasonCode": [coding("rule", "FLOOR-PHQ9-T2")],
}
PERSON = {
    "resourceType": "Patient",
    "id": "p1",
    "name": [{"family": "Secret"}],
    "birthDate": "1970-06-05",
    "communication": [{"language": {"coding": [{"code": "de"}]}, "preferred": True}],
}
SHOWN: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = [
    ("patients", PERSON, {"patient": "Patient/p1", "birth_year": "1970", "language": "de", "deceased": False}),
    ("scores", SCORE, {"patient": "Patient/p1", "code": "44261-6", "value": 12, "band": "phq-9-moderate"}),
    ("scores", TRAJECTORY, None),
    ("trajectories", SCORE, None),
    (
        "trajectories",
        TRAJECTORY,
        {"measure": "phq-9-reliable-change", "change": -9, "standing": "improving", "recovery": True, "relapse": None},
    ),
    (
        "tier_assignments",
        ASSIGNMENT,
        {"patient": "Patient/p1", "tier": "tier-2", "step": None, "first_rule": "FLOOR-PHQ9-T2", "intent": "proposal"},
    ),
    ("referrals", TASK, {"patient": "Patient/p1", "assignment": "ServiceRequest/s1", "status": "requested"}),
    ("referrals", TASK | {"code": coding("task", "safety-review")}, None),
    ("waits", TASK, {"median_days": 14, "keepable": True, "promised_by": "2026-12-20T09:00:00Z", "upper_days": None}),
]


@pytest.mark.parametrize(("name", "resource", "expected"), SHOWN)
def test_a_view_that_ships_shows(name: str, resource: dict[str, Any], expected: dict[str, Any] | None) -> None:
    view = view_of(shipped_views()[name])
    rows = rows_of(view, bases=["https://here.example/screening/fhir"])(resource)
    names = [column.name for column in view.columns]
    found = [dict(zip(names, row, strict=True)) for row in rows]
    assert len(found) == (0 if expected is None else 1)
    for each in found:
        assert each.items() >= (expected or {}).items()
