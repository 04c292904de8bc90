"""What is copied of a synthetic region is what the product's builders make, row by row."""

from datetime import datetime
from typing import Any

import msgspec
import pytest
from stepwell_measurement.care_tables import COUNTED
from stepwell_shared.cli.demo.region import Region
from stepwell_shared.fhir.interactions import built

from tests.bench.population import LARGE, columns_by_table
from tests.bench.population_load import URLS, offline_runtime
from tests.bench.population_rows import CARE, COUNTED_BESIDE, OBSERVATIONS, PeopleRows, Rows

PEOPLE = 60
OBSERVATION_TABLES = ("fhir_observation", "fhir_observation_index", "fhir_observation_number", "fhir_version")
_resource = msgspec.json.Decoder(dict[str, Any])


def _maker(**more: Any) -> PeopleRows:
    return PeopleRows(Region(1, PEOPLE), LARGE, offline_runtime(tuple(URLS.items())), URLS, **more)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return _maker().rows(range(PEOPLE))


def test_rows_that_are_filled_in_are_those_of_their_resource(rows: Rows) -> None:
    engine = offline_runtime(tuple(URLS.items())).engine
    index: dict[str, list[Any]] = {}
    for _, id_, *row in rows["fhir_observation_index"]:
        index.setdefault(str(id_), []).append(tuple(row))
    numbers: dict[str, list[Any]] = {}
    for _, id_, *row in rows["fhir_observation_number"]:
        numbers.setdefault(str(id_), []).append(tuple(row))
    assert len(rows["fhir_observation"]) > 6 * PEOPLE
    for _, id_, _, moment, body, *columns in rows["fhir_observation"]:
        assert isinstance(moment, datetime)
        assert isinstance(body, bytes)
        resource = _resource.decode(body)
        del resource["meta"]["versionId"], resource["meta"]["lastUpdated"]
        change = built(engine, resource, moment)
        assert (change.stored.id, change.stored.body) == (id_, body)
        assert tuple(columns) == tuple(change.columns)
        assert index[str(id_)] == [tuple(row) for row in change.rows]
        assert numbers[str(id_)] == [tuple(row) for row in change.numbers]


def test_what_differs_is_filled_in_everywhere(rows: Rows) -> None:
    text = repr([rows[table] for table in OBSERVATION_TABLES])
    assert "9-place-of-" not in text
    assert "1987" not in text


def test_every_row_has_a_value_for_every_column(rows: Rows) -> None:
    for table, found in rows.items():
        columns = [*columns_by_table()[table], *COUNTED_BESIDE.get(table, ())]
        assert all(len(row) == len(columns) for row in found), table


def test_parts_give_the_same_rows_as_the_whole(rows: Rows) -> None:
    observations = _maker(parts=frozenset({OBSERVATIONS})).rows(range(PEOPLE))
    care = _maker(parts=frozenset({CARE})).rows(range(PEOPLE))
    assert {**observations, **care} == rows
    assert not observations.keys() & care.keys()


def test_without_history_the_current_rows_are_the_same(rows: Rows) -> None:
    short = _maker(whole=False).rows(range(PEOPLE))
    left_out = {"fhir_version", "fhir_observation_index", "fhir_observation_number", "care_fact"}
    assert short == {table: found for table, found in rows.items() if table not in left_out}


def test_everybody_is_counted(rows: Rows) -> None:
    assert len(rows["care_person"]) == PEOPLE
    assert all(rows[table] for table in COUNTED)
