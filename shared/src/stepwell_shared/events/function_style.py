"""What all SQL functions of the event machinery have in common: how they are planned, and for whom they act."""

# Delivery follows its indexes, in their order: a plan cached while the tables were empty must not read or
# sort the whole backlog for every batch. A step that is switched off but needed all the same looks costly
# enough to be compiled before PostgreSQL 18, which would take half a second a batch.
STYLE = (
    "LANGUAGE plpgsql SET enable_seqscan TO off SET enable_bitmapscan TO off SET enable_sort TO off "
    "SET enable_hashjoin TO off SET enable_mergejoin TO off SET jit TO off SET plan_cache_mode TO force_generic_plan"
)
AS_TENANT = "PERFORM set_config('stepwell.tenant', tenant_in, true), set_config('synchronous_commit', 'off', true);"
