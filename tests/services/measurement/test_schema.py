"""What the running service says of its tables without loading them is what they are."""

import pytest
from stepwell_measurement.care_tables import COUNTED
from stepwell_measurement.schema import TABLES
from stepwell_measurement.schema.care import table_of
from stepwell_shared.database.table_functions import insert_columns


@pytest.mark.parametrize("name", COUNTED)
def test_rows_are_counted_in_the_order_of_the_declared_columns(name: str) -> None:
    (table,) = (table_of(model) for model in TABLES if model.__tablename__ == name)
    assert COUNTED[name] == tuple(column.name for column in insert_columns(table))
