"""What the store keeps of a resource for search."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from stepwell_shared.fhir import definitions, indexing
from stepwell_shared.fhir.body import may_have
from stepwell_shared.fhir.identifiers import new_id
from stepwell_shared.fhir.indexing import columns_of, localiser, numbers_of, rows_of, search_values
from stepwell_shared.fhir.parameters import SearchParameter, Storage, search_parameter
from stepwell_shared.fhir.paths import UnsupportedPathError
from stepwell_shared.fhir.registry import ServedType, served

from tests.support.engine import BASE_URL, ROUTING_URL

localise = localiser([BASE_URL, f"{ROUTING_URL}/"])


def names(parameters: list[SearchParameter]) -> list[str]:
    return [parameter.name for parameter in parameters]


class TestDeclarations:
    @pytest.mark.parametrize("name", ["nonsense", "code-value-quantity", "combo-code", "_text"])
    def test_a_parameter_that_cannot_be_kept_is_refused_at_start(self, name: str) -> None:
        with pytest.raises((ValueError, KeyError)):
            served("Observation", [name])

    def test_a_parameter_twice_is_refused(self) -> None:
        with pytest.raises(ValueError, match="twice"):
            served("Patient", ["gender", "gender"])

    @pytest.mark.parametrize(
        ("resource_type", "name"), [("Patient", "identifier"), ("Observation", "category"), ("Patient", "_tag")]
    )
    def test_what_is_kept_in_rows_is_in_no_composite_index(self, resource_type: str, name: str) -> None:
        with pytest.raises(ValueError, match="rows"):
            served(resource_type, [] if name[0] == "_" else [name], indexes=((name,),))

    def test_a_concept_that_does_not_repeat_is_in_columns_where_an_index_names_it(self) -> None:
        kept = served("Observation", ["code", "method", "date"], indexes=(("code", "-date"),))
        storages = {name: kept.parameters[name].storage for name in ("code", "method", "date")}
        assert storages == {"code": Storage.CODED, "method": Storage.ROWS, "date": Storage.DATE_COLUMNS}

    def test_a_subject_is_the_patient_only_where_both_read_the_same_element(self) -> None:
        index = (("patient",),)
        assert served("Flag", ["patient", "subject"], indexes=index).parameters["subject"].patient_column == "p_patient"
        assert served("Flag", ["subject"]).parameters["subject"].patient_column == ""
        kept = served("Provenance", ["patient", "target"])
        assert {each.patient_column for each in kept.parameters.values()} == {""}

    def test_single_values_are_columns_and_the_others_rows(self) -> None:
        kept = served("Patient", ["gender", "birthdate", "identifier", "family"])
        assert names(kept.columns) == ["gender", "birthdate"]
        assert names(kept.rows) == ["identifier", "family", "_profile", "_security", "_source", "_tag"]
        assert kept.parameters["birthdate"].storage is Storage.DATE_COLUMNS


class TestLocalising:
    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            ("Patient/1", "Patient/1"),
            ("Patient/1/_history/2", "Patient/1"),
            (f"{BASE_URL}/Patient/1", "Patient/1"),
            (f"{ROUTING_URL}/Task/1/_history/2", "Task/1"),
            (BASE_URL.replace("https", "http") + "/Patient/1", "Patient/1"),
            (BASE_URL.replace("https", "ftp") + "/Patient/1", BASE_URL.replace("https", "ftp") + "/Patient/1"),
            (f"{BASE_URL}x/Patient/1", f"{BASE_URL}x/Patient/1"),
            (f"{BASE_URL.upper()}/Patient/1", f"{BASE_URL.upper()}/Patient/1"),
            ("https://elsewhere.org/Patient/1/_history/2", "https://elsewhere.org/Patient/1/_history/2"),
            ("urn:uuid:1", "urn:uuid:1"),
        ],
    )
    def test_only_our_own_addresses_become_relative(self, address: str, expected: str) -> None:
        assert localise(address) == expected


class TestIndexing:
    @pytest.fixture
    def kept(self) -> ServedType:
        return served("Task", ["status", "period", "owner", "code", "focus"])

    def test_a_deletion_keeps_nothing(self, kept: ServedType) -> None:
        assert columns_of(kept, None, localise) == (None,) * 5

    def test_absent_values_are_empty(self, kept: ServedType) -> None:
        assert columns_of(kept, {"resourceType": "Task"}, localise) == (None,) * 5
        assert rows_of(kept, {"resourceType": "Task"}, localise, (None,) * 5) == []

    def test_values_stand_in_their_columns_and_rows_without_repeats(self, kept: ServedType) -> None:
        coding = {"system": "urn:s", "code": "c"}
        task = {
            "resourceType": "Task",
            "status": "ready",
            "executionPeriod": {"start": "2026-01-01", "end": "2026-01-01"},
            "owner": {"reference": f"{BASE_URL}/Practitioner/1"},
            "focus": {"reference": "#contained"},
            "code": {"coding": [coding, coding, {"code": "d"}]},
        }
        day = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
        assert columns_of(kept, task, localise) == ("ready", *day, "Practitioner/1", None)
        assert rows_of(kept, task, localise, columns_of(kept, task, localise)) == [
            ("code", "urn:s", "c", None),
            ("code", "", "d", None),
        ]


def official_examples() -> list[dict[str, Any]]:
    lines = (Path(__file__).parent / "validation" / "official_examples.jsonl").read_bytes().splitlines()
    return [orjson.loads(line) for line in lines]


def test_what_is_passed_over_has_no_value_in_any_official_example() -> None:
    passed_over = 0
    for resource in official_examples():
        name = resource["resourceType"]
        if name not in definitions.served_types():
            continue
        known = [each for each in definitions.search_parameters(name) if each not in {"_id", "_lastUpdated"}]
        kept = ServedType(name, frozenset(), parameters_of(name, known))
        indexed = kept.indexed(resource)
        read = {*(each.name for _, each in indexed.columns), *(each.name for each in indexed.rows + indexed.numbers)}
        for parameter in kept.parameters.values():
            if parameter.name not in read and parameter.storage not in {Storage.ANY_OF, Storage.ALL_OF}:
                assert parameter.extract(resource) == [], (name, parameter.name)
                passed_over += 1
    assert passed_over > 500


def test_what_spares_work_changes_no_row_of_any_official_example(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(resource: dict[str, Any], *, with_identifiers: bool) -> list[indexing.Row]:
        known = definitions.search_parameters(resource["resourceType"])
        kept = ServedType("", frozenset(), parameters_of(resource["resourceType"], known))
        columns, found, numbers = search_values(kept, resource, localise, with_identifiers=with_identifiers)
        assert columns == columns_of(kept, resource, localise)
        assert numbers == numbers_of(kept, resource)
        return found

    examples = [each for each in official_examples() if each["resourceType"] in definitions.served_types()]
    spared = [rows(each, with_identifiers=may_have(orjson.dumps(each), b"identifier")) for each in examples]
    monkeypatch.setattr(indexing, "_REMEMBERED_MAX", -1)
    assert spared == [rows(each, with_identifiers=True) for each in examples]
    assert any(name.endswith(":identifier") for found in spared for name, *_ in found)


def test_a_parameter_that_reads_absence_is_never_passed_over() -> None:
    kept = served("Patient", ["deceased", "name"])
    assert [each.name for each in kept.indexed({"resourceType": "Patient"}).rows] == ["deceased"]


def parameters_of(name: str, known: Iterable[str]) -> dict[str, SearchParameter]:
    """The parameters of a type that can be indexed."""
    found = {}
    for each in known:
        try:
            found[each] = search_parameter(name, each)
        except (UnsupportedPathError, KeyError):
            continue
    return found


class TestConcepts:
    @pytest.fixture
    def kept(self) -> ServedType:
        return served("Observation", ["code"], indexes=(("code",),))

    @pytest.mark.parametrize(
        ("concept", "columns", "rows"),
        [
            (None, (None, None, None), []),
            ({"coding": [{"system": "urn:s", "code": "c"}]}, ("c", "urn:s", None), []),
            ({"coding": [{"code": "c", "display": "C É"}], "text": "Words"}, ("c", "", "\nc e\nwords"), []),
            ({"text": "Words"}, (None, None, None), [("code", "", "", "\nwords")]),
            ({"coding": [{"system": "urn:s"}]}, (None, None, None), []),
            ({"coding": [{"code": "c"}, {"display": "no code"}]}, ("c", "", None), []),
            (
                {"coding": [{"system": "urn:s", "code": "c"}, {"code": "d"}]},
                (None, None, None),
                [("code", "urn:s", "c", None), ("code", "", "d", None)],
            ),
        ],
    )
    def test_one_coding_stands_in_columns_and_anything_else_in_rows(
        self, kept: ServedType, concept: object, columns: tuple[object, ...], rows: list[object]
    ) -> None:
        resource = {"resourceType": "Observation", **({"code": concept} if concept else {})}
        assert columns_of(kept, resource, localise) == columns
        assert rows_of(kept, resource, localise, columns) == rows


def test_new_ids_are_uuids_of_version_7_in_the_order_of_time() -> None:
    found = [new_id() for _ in range(200)]
    assert len(set(found)) == 200
    for each in found:
        assert (each[14], each[19] in "89ab", len(each)) == ("7", True, 36)
    assert [each[:13] for each in found] == sorted(each[:13] for each in found)
