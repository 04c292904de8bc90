"""The life of each version that a tenant publishes, step by step: the record of who put which policy in force, when."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import Database


class PolicyStep(NamedTuple):
    """One row as it is read; `stored_version` is the version under which the PlanDefinition is stored now."""

    pathway: str
    site: str
    number: int
    life: str
    url: str
    version: str
    plan_definition_id: str
    at: datetime
    stored_version: int


def policy_step_effect(step: PolicyStep, by: str) -> Effect:
    """The row that takes the next number; a commit in which it is taken already raises WriteConflictError."""
    *kept, _ = step
    return Effect("policy_step", (*kept, by))


def policy_step_reader(database: Database) -> Coalescer[list[PolicyStep]]:
    """Reads the steps of a tenant in order, one call for all who ask at once; the group is (), the key the tenant."""

    async def fetch(_: tuple[str, ...], tenants: Sequence[str]) -> Mapping[str, list[PolicyStep]]:
        return {
            tenant: [PolicyStep(*row) for row in await database.fetch("SELECT * FROM read_publications($1)", tenant)]
            for tenant in tenants
        }

    return Coalescer(fetch)
