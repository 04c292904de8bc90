"""Tables of the event machinery: what was announced, to whom it goes, how far each subscriber is, what came in."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Column, Identity, Index, Integer, LargeBinary, text
from sqlmodel import Field, SQLModel

from stepwell_shared.database.columns import lease_column, moment_column, text_column
from stepwell_shared.database.transaction_id import Xid8


def _number(name: str, *, key: bool = False, default: str | None = None) -> Column[int]:
    server_default = None if default is None else text(default)
    return Column(name, BigInteger, primary_key=key, autoincrement=False, nullable=False, server_default=server_default)


class Outbox(SQLModel, table=True):
    """One event, committed with the write that caused it. It has no number: each subscription counts its own."""

    __tablename__ = "outbox"
    __table_args__ = (Index("outbox_order", "tenant", "topic", "transaction", "position"),)

    tenant: str = Field(sa_column=text_column(key=True))
    position: int = Field(sa_column=Column("position", BigInteger, Identity(always=True), primary_key=True))
    transaction: int = Field(
        sa_column=Column("transaction", Xid8, nullable=False, server_default=text("pg_current_xact_id()"))
    )
    topic: str = Field(sa_column=text_column())
    subject: str = Field(sa_column=text_column())
    focus: str = Field(sa_column=text_column())
    payload: bytes = Field(sa_column=Column("payload", LargeBinary, nullable=False))
    traceparent: str | None = Field(sa_column=text_column(optional=True))
    recorded: datetime = Field(sa_column=moment_column())


class SubscriptionState(SQLModel, table=True):
    """What a Subscription asks for, how far it has been served, and which replica serves it now.

    Columns without a server default come from the Subscription resource; the others belong to delivery.
    The cursor starts at the oldest transaction that still ran when the subscription was made, so that
    nothing that commits afterwards is missed. `headers` is secret.
    """

    __tablename__ = "subscription_state"

    tenant: str = Field(sa_column=text_column(key=True))
    subscription_id: str = Field(sa_column=text_column(key=True))
    topic: str = Field(sa_column=text_column())
    endpoint: str = Field(sa_column=text_column())
    content: str = Field(sa_column=text_column())
    headers: str = Field(sa_column=text_column())
    filters: str = Field(sa_column=text_column())
    timeout_seconds: int | None = Field(sa_column=Column("timeout_seconds", Integer, nullable=True))
    max_count: int | None = Field(sa_column=Column("max_count", Integer, nullable=True))
    heartbeat_seconds: int | None = Field(sa_column=Column("heartbeat_seconds", Integer, nullable=True))
    internal: bool = Field(sa_column=Column("internal", Boolean, nullable=False))
    status: str = Field(sa_column=text_column())
    ends_at: datetime | None = Field(sa_column=moment_column(optional=True))
    # who is told under Consents alone: the Organization or RelatedPerson whose client made it, empty for anybody else
    actor: str = Field(sa_column=text_column())
    cursor_transaction: int = Field(
        sa_column=Column(
            "cursor_transaction",
            Xid8,
            nullable=False,
            server_default=text("pg_snapshot_xmin(pg_current_snapshot())"),
        )
    )
    cursor_position: int = Field(sa_column=_number("cursor_position", default="0"))
    next_event_number: int = Field(sa_column=_number("next_event_number", default="1"))
    lease_owner: str = Field(sa_column=text_column(default="''"))
    lease_until: datetime = Field(sa_column=lease_column())
    attempts: int = Field(sa_column=Column("attempts", Integer, nullable=False, server_default=text("0")))
    next_attempt_at: datetime = Field(sa_column=moment_column(default="now()"))
    last_error: str = Field(sa_column=text_column(default="''"))
    last_sent_at: datetime = Field(sa_column=moment_column(default="now()"))
    # true until the Subscription resource has been compared with this row and says the same
    resource_outdated: bool = Field(
        sa_column=Column("resource_outdated", Boolean, nullable=False, server_default=text("true"))
    )


class SubscriptionEvent(SQLModel, table=True):
    """One number of one subscription: sent, waiting for its next attempt, parked with the reason, or skipped."""

    __tablename__ = "subscription_event"
    __table_args__ = (
        Index(
            "subscription_event_waiting",
            "tenant",
            "subscription_id",
            "subject",
            "event_number",
            postgresql_where=text("status = 'waiting'"),
        ),
        Index(
            "subscription_event_parked",
            *("tenant", "subscription_id", "event_number"),
            postgresql_where=text("status = 'parked'"),
        ),
        # outbox rows that somebody still needs
        Index(
            "subscription_event_owed",
            *("tenant", "outbox_position"),
            postgresql_where=text("status IN ('waiting', 'parked')"),
        ),
    )

    tenant: str = Field(sa_column=text_column(key=True))
    subscription_id: str = Field(sa_column=text_column(key=True))
    event_number: int = Field(sa_column=_number("event_number", key=True))
    outbox_position: int = Field(sa_column=_number("outbox_position"))
    subject: str = Field(sa_column=text_column())
    focus: str = Field(sa_column=text_column())
    recorded: datetime = Field(sa_column=moment_column())
    status: str = Field(sa_column=text_column())
    attempts: int = Field(sa_column=Column("attempts", Integer, nullable=False))
    next_attempt_at: datetime = Field(sa_column=moment_column())
    reason: str = Field(sa_column=text_column())


class ReceivedEvent(SQLModel, table=True):
    """One number of a subscription that we receive.

    It is received; refused by us for good; waiting, because it failed here and its sender comes again; missing,
    because a later number came first; or gone, because its sender does not have it any more.
    """

    __tablename__ = "received_event"
    __table_args__ = (
        Index(
            "received_event_missing",
            *("tenant", "subscription", "event_number"),
            postgresql_where=text("status = 'missing'"),
        ),
    )

    tenant: str = Field(sa_column=text_column(key=True))
    subscription: str = Field(sa_column=text_column(key=True))
    event_number: int = Field(sa_column=_number("event_number", key=True))
    focus: str = Field(sa_column=text_column())
    recorded: datetime | None = Field(sa_column=moment_column(optional=True))
    status: str = Field(sa_column=text_column())
    received_at: datetime = Field(sa_column=moment_column(default="now()"))
