"""The SQL behind the store, as it is derived from every service's tables."""

import pytest
from stepwell_shared.fhir.store_functions import (
    insert_version_function,
    read_function,
    recorded_read_function,
    update_version_function,
)
from stepwell_shared.fhir.table_names import VERSION_TABLE, current_table
from stepwell_shared.installed import service_named
from stepwell_shared.schema import metadata_of
from stepwell_shared.settings import SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_every_function_sets_the_tenant_before_anything_else(service: str) -> None:
    metadata = metadata_of(service_named(service))
    versions, records = metadata.tables[VERSION_TABLE], metadata.tables["audit"]
    table = metadata.tables[current_table("Subscription")]
    for function in (
        insert_version_function(table, versions, "Subscription"),
        update_version_function(table, versions, "Subscription"),
        read_function(table.name),
        recorded_read_function(table.name, records),
    ):
        body = function.partition("BEGIN")[2]
        assert body.strip().startswith("PERFORM set_config('stepwell.tenant', tenant_in, true);")


@pytest.mark.parametrize("service", SERVICES)
def test_what_reads_by_ids_is_planned_once_and_not_for_each_number_of_ids(service: str) -> None:
    metadata = metadata_of(service_named(service))
    table = metadata.tables[current_table("Subscription")]
    for function in (read_function(table.name), recorded_read_function(table.name, metadata.tables["audit"])):
        assert "SET plan_cache_mode TO force_generic_plan" in function.partition("AS $function$")[0]
