"""What the database of a service consists of: every table, and the SQL functions that go with them.

Only what makes or examines a database loads it: a serving process has no use for SQLAlchemy, a fifth of its memory.
"""

from importlib import import_module
from typing import Any

import sqlalchemy
from sqlmodel import SQLModel

from stepwell_shared.auth.audit import AUDIT_TABLE
from stepwell_shared.auth.audit_chain import SEAL_FUNCTION
from stepwell_shared.auth.tables import AssertionSeen, Audit, AuditSeal, Client, IssuerKeySet, Tenant
from stepwell_shared.events.functions import event_functions
from stepwell_shared.events.tables import Outbox, ReceivedEvent, SubscriptionEvent, SubscriptionState
from stepwell_shared.export.functions import export_functions
from stepwell_shared.export.tables import TABLES as EXPORT_TABLES
from stepwell_shared.fhir.idempotency import functions as idempotency_functions
from stepwell_shared.fhir.schema import declare_tables, function_statements
from stepwell_shared.fhir.table_names import IDEMPOTENCY_TABLE
from stepwell_shared.fhir.tables import IdempotencyKey, SearchShape
from stepwell_shared.runtime import Runtime, Service

SHARED_TABLES: tuple[type[SQLModel], ...] = (
    Tenant,
    Client,
    AssertionSeen,
    IssuerKeySet,
    Audit,
    AuditSeal,
    Outbox,
    SubscriptionState,
    SubscriptionEvent,
    ReceivedEvent,
    IdempotencyKey,
    SearchShape,
    *EXPORT_TABLES,
)
# Tables that effects of a unit of work may go to.
EFFECT_TABLES = (AUDIT_TABLE, "outbox", "subscription_state", IDEMPOTENCY_TABLE)


def metadata_of(service: Service) -> sqlalchemy.MetaData:
    """Every table of this service's database."""
    metadata = sqlalchemy.MetaData()
    for model in (*SHARED_TABLES, *_own(service, "TABLES")):
        model.__table__.to_metadata(metadata)
    declare_tables(service.resources(Runtime()), metadata)
    return metadata


def functions_of(service: Service) -> list[str]:
    """The SQL functions of this service's database, each one statement."""
    effects = [*EFFECT_TABLES, *(str(model.__tablename__) for model in _own(service, "TABLES"))]
    derived = function_statements(service.resources(Runtime()), metadata_of(service), effects, AUDIT_TABLE)
    return [
        *derived,
        SEAL_FUNCTION,
        *idempotency_functions(),
        *event_functions(),
        *export_functions(),
        *_own(service, "FUNCTIONS"),
    ]


def _own(service: Service, name: str) -> tuple[Any, ...]:
    """The tables or functions that a service declares beside those that all have."""
    return tuple(getattr(import_module(service.schema), name)) if service.schema else ()
