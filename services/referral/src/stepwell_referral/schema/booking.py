"""How claims of places, reminders and the pace of each service are kept.

A place is one row, and its key is the lock: two people never get one place, and nobody gets two places of a slot.
"""

from datetime import datetime
from typing import ClassVar

import sqlalchemy
from sqlalchemy import Column, Index, Integer, text
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import lease_column, moment_column, text_column
from stepwell_shared.database.functions import INDEXED_PLAN, VERSION_CONFLICT
from stepwell_shared.database.leases import claim_function
from stepwell_shared.database.table_functions import array_parameters, insert_columns, timer_function, unnested

from stepwell_referral.booking_tables import GIVEN_BACK
from stepwell_referral.rules.transitions import WAITING


class SlotClaim(SQLModel, table=True):
    """One place of a slot, numbered from 1, and the Appointment that has it. With `held_until` it is held until then
    by the clock, whatever becomes of the process that wrote it; without, it is booked."""

    __tablename__: ClassVar[str] = "slot_claim"
    __table_args__ = (
        Index("slot_claim_person", "tenant", "slot_id", "person", unique=True),
        Index("slot_claim_appointment", "tenant", "appointment_id"),
        Index("slot_claim_held", "tenant", "held_until", postgresql_where=text("held_until IS NOT NULL")),
    )

    tenant: str = Field(sa_column=text_column(key=True))
    slot_id: str = Field(sa_column=text_column(key=True))
    place: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    appointment_id: str = Field(sa_column=text_column())
    person: str = Field(sa_column=text_column())
    held_until: datetime | None = Field(sa_column=moment_column(optional=True))
    lease_until: datetime = Field(sa_column=lease_column())


class AppointmentTimer(SQLModel, table=True):
    """When somebody is reminded of an Appointment next; `step` counts the reminders before. Without `due_at` none is
    left."""

    __tablename__: ClassVar[str] = "appointment_timer"
    __table_args__ = (Index("appointment_timer_due", "tenant", "due_at", postgresql_where=text("due_at IS NOT NULL")),)

    tenant: str = Field(sa_column=text_column(key=True))
    appointment_id: str = Field(sa_column=text_column(key=True))
    step: int = Field(sa_column=Column(Integer, nullable=False))
    due_at: datetime | None = Field(sa_column=moment_column(optional=True))
    lease_until: datetime = Field(sa_column=lease_column())


class ServicePace(SQLModel, table=True):
    """The figures that waits at a service are reckoned from (JSON), and when they are reckoned anew."""

    __tablename__: ClassVar[str] = "service_pace"
    __table_args__ = (Index("service_pace_due", "tenant", "due_at", postgresql_where=text("due_at IS NOT NULL")),)

    tenant: str = Field(sa_column=text_column(key=True))
    service_id: str = Field(sa_column=text_column(key=True))
    figures: str | None = Field(sa_column=text_column(optional=True))
    due_at: datetime | None = Field(sa_column=moment_column(optional=True))
    lease_until: datetime = Field(sa_column=lease_column())


def _table(model: type[SQLModel]) -> sqlalchemy.Table:
    return model.metadata.tables[str(model.__tablename__)]


def _claim_places() -> str:
    """The batch function of claims, in place of the plain one: what is given back is free before others take it."""
    columns = insert_columns(_table(SlotClaim))
    return f"""CREATE OR REPLACE FUNCTION insert_slot_claim({array_parameters(columns)}) RETURNS void
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
DECLARE wanted integer; taken integer; back record;
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  FOR back IN SELECT u.slot_id, u.appointment_id FROM {unnested(columns)} WHERE u.place = {GIVEN_BACK} LOOP
    DELETE FROM slot_claim AS c
      WHERE c.tenant = tenant_in AND c.slot_id = back.slot_id AND c.appointment_id = back.appointment_id;
  END LOOP;
  SELECT count(*) INTO wanted FROM {unnested(columns)} WHERE u.place <> {GIVEN_BACK};
  INSERT INTO slot_claim AS c (tenant, slot_id, place, appointment_id, person, held_until)
    SELECT tenant_in, u.slot_id, u.place, u.appointment_id, u.person, u.held_until FROM {unnested(columns)}
    WHERE u.place <> {GIVEN_BACK}
    ON CONFLICT (tenant, slot_id, place) DO UPDATE SET held_until = excluded.held_until, lease_until = '-infinity'
      WHERE c.appointment_id = excluded.appointment_id;
  GET DIAGNOSTICS taken = ROW_COUNT;
  IF taken < wanted THEN
    RAISE EXCEPTION 'a place is taken' USING ERRCODE = '{VERSION_CONFLICT}';
  END IF;
END $function$"""


def _keep_figures() -> str:
    """The batch function of figures: without figures those that are there stay, and are due at the earlier time. What
    was asked for while figures were reckoned stays due."""
    columns = insert_columns(_table(ServicePace))
    return f"""CREATE OR REPLACE FUNCTION insert_service_pace({array_parameters(columns)}) RETURNS void
LANGUAGE plpgsql AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  INSERT INTO service_pace AS p (tenant, service_id, figures, due_at)
    SELECT tenant_in, u.service_id, max(u.figures), min(u.due_at) FROM {unnested(columns)} GROUP BY u.service_id
    ON CONFLICT (tenant, service_id) DO UPDATE SET
      figures = coalesce(excluded.figures, p.figures), lease_until = '-infinity',
      due_at = CASE WHEN excluded.figures IS NULL OR p.due_at > (excluded.figures::jsonb ->> 'reckoned_at')::timestamptz
        THEN least(p.due_at, excluded.due_at) ELSE excluded.due_at END;
END $function$"""


READ_CLAIMS = f"""CREATE OR REPLACE FUNCTION read_slot_claims(tenant_in text, slot_in text[])
RETURNS TABLE (slot_id text, place integer, appointment_id text, person text, held_until timestamptz)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT c.slot_id, c.place, c.appointment_id, c.person, c.held_until
    FROM slot_claim AS c WHERE c.tenant = tenant_in AND c.slot_id = ANY(slot_in) ORDER BY c.slot_id, c.place;
END $function$"""
READ_QUEUE = f"""CREATE OR REPLACE FUNCTION read_queue(tenant_in text, owner_in text)
RETURNS TABLE (body bytea, entered_at timestamptz)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT t.body, coalesce(first.entered_at, t.p_authored_on_low)
    FROM fhir_task AS t
    CROSS JOIN LATERAL (
      SELECT min(f.p_authored_on_low) AS entered_at FROM fhir_task AS f
      WHERE f.tenant = tenant_in AND f.p_status NOT IN ('in-progress', 'completed', 'failed') AND f.p_focus = ANY(ARRAY(
        SELECT t.p_focus UNION ALL
        SELECT i.code FROM fhir_servicerequest_index AS i WHERE i.tenant = tenant_in AND i.parameter = 'replaces'
          AND i.id = substr(t.p_focus, 16)
      ))
    ) AS first
    WHERE t.tenant = tenant_in AND t.p_owner = owner_in AND t.body IS NOT NULL
      AND t.p_status IN ({", ".join(f"'{status}'" for status in WAITING)});
END $function$"""
READ_BEGUN = f"""CREATE OR REPLACE FUNCTION read_begun(tenant_in text, owner_in text, since_in timestamptz)
RETURNS TABLE (entered_at timestamptz)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT t.p_authored_on_low FROM fhir_task AS t
    WHERE t.tenant = tenant_in AND t.p_owner = owner_in AND t.p_status IN ('in-progress', 'completed')
      AND t.p_authored_on_low > since_in;
END $function$"""
READ_PACES = f"""CREATE OR REPLACE FUNCTION read_service_paces(tenant_in text)
RETURNS TABLE (service_id text, figures text)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT p.service_id, p.figures FROM service_pace AS p
    WHERE p.tenant = tenant_in AND p.figures IS NOT NULL;
END $function$"""

TABLES = (SlotClaim, AppointmentTimer, ServicePace)
FUNCTIONS = (
    _claim_places(),
    timer_function(_table(AppointmentTimer), "appointment_id"),
    _keep_figures(),
    READ_CLAIMS,
    READ_QUEUE,
    READ_BEGUN,
    READ_PACES,
    claim_function(
        "claim_lapsed_holds",
        table="slot_claim",
        key="appointment_id",
        due="held_until",
        columns="tenant text, slot_id text, appointment_id text",
    ),
    claim_function(
        "claim_appointment_timers",
        table="appointment_timer",
        key="appointment_id",
        due="due_at",
        columns="tenant text, appointment_id text, step integer",
    ),
    claim_function(
        "claim_service_paces",
        table="service_pace",
        key="service_id",
        due="due_at",
        columns="tenant text, service_id text",
    ),
)
