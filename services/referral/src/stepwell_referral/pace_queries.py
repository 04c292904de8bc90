"""What the pace of a service is reckoned from, read in one call each: its calendar, attendance, arrivals and promises.

All of it is about a service: nothing that is counted here says who somebody is.
"""

from datetime import datetime
from typing import NamedTuple

from stepwell_shared.database.functions import INDEXED_PLAN
from stepwell_shared.database.pool import Database

_HEAD = f"""LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY"""

READ_CALENDAR = f"""CREATE OR REPLACE FUNCTION read_calendar(
  tenant_in text, service_in text, since_in timestamptz, until_in timestamptz
) RETURNS TABLE (body bytea, taken bigint)
{_HEAD} SELECT s.body, (
      SELECT count(*) FROM slot_claim AS c WHERE c.tenant = tenant_in AND c.slot_id = s.id
        AND (c.held_until IS NULL OR c.held_until > since_in)
    )
    FROM fhir_schedule_index AS i
    JOIN fhir_slot AS s ON s.tenant = tenant_in AND s.p_schedule = 'Schedule/' || i.id
    WHERE i.tenant = tenant_in AND i.parameter = 'actor' AND i.code = service_in AND i.system = ''
      AND s.p_start_low >= since_in AND s.p_start_low < until_in AND s.body IS NOT NULL
      AND s.p_status IN ('free', 'busy', 'busy-tentative');
END $function$"""

READ_ATTENDANCE = f"""CREATE OR REPLACE FUNCTION read_attendance(
  tenant_in text, service_in text, since_in timestamptz
) RETURNS TABLE (status text, appointments bigint)
{_HEAD} SELECT a.p_status, count(*)
    FROM fhir_appointment_index AS i
    JOIN fhir_appointment AS a ON a.tenant = tenant_in AND a.id = i.id
    WHERE i.tenant = tenant_in AND i.parameter = 'actor' AND i.code = service_in AND i.system = ''
      AND a.p_status IN ('arrived', 'fulfilled', 'noshow') AND a.p_date_low >= since_in GROUP BY a.p_status;
END $function$"""

READ_ARRIVALS = f"""CREATE OR REPLACE FUNCTION read_arrivals(tenant_in text, owner_in text, since_in timestamptz)
RETURNS TABLE (priority text, people bigint, gone bigint, first timestamptz)
{_HEAD} SELECT coalesce(t.p_priority, 'routine'), count(*) FILTER (WHERE t.p_authored_on_low >= since_in),
      count(*) FILTER (WHERE t.p_status = 'cancelled' AND t.last_updated >= since_in), min(t.p_authored_on_low)
    FROM fhir_task AS t WHERE t.tenant = tenant_in AND t.p_owner = owner_in AND t.body IS NOT NULL
      AND t.p_status <> 'draft' GROUP BY 1;
END $function$"""

READ_PROMISES = f"""CREATE OR REPLACE FUNCTION read_promises(tenant_in text, owner_in text, most_in integer)
RETURNS TABLE (priority text, told bytea, begun_at timestamptz, ended_at timestamptz)
{_HEAD} SELECT coalesce(t.p_priority, 'routine'), told.body, begun.at, ended.at
    FROM (
      SELECT f.id, f.p_priority FROM fhir_task AS f
      WHERE f.tenant = tenant_in AND f.p_owner = owner_in AND f.p_status <> 'draft' AND f.body IS NOT NULL
      ORDER BY f.p_authored_on_low DESC LIMIT most_in
    ) AS t
    CROSS JOIN LATERAL (
      SELECT v.body FROM fhir_version AS v WHERE v.tenant = tenant_in AND v.resource_type = 'Task' AND v.id = t.id
        AND convert_from(v.body, 'UTF8')::jsonb ->> 'status' <> 'draft' ORDER BY v.version LIMIT 1
    ) AS told
    LEFT JOIN LATERAL (
      SELECT v.last_updated AS at FROM fhir_version AS v
      WHERE v.tenant = tenant_in AND v.resource_type = 'Task' AND v.id = t.id
        AND convert_from(v.body, 'UTF8')::jsonb ->> 'status' = 'in-progress' ORDER BY v.version LIMIT 1
    ) AS begun ON true
    LEFT JOIN LATERAL (
      SELECT v.last_updated AS at FROM fhir_version AS v
      WHERE v.tenant = tenant_in AND v.resource_type = 'Task' AND v.id = t.id
        AND convert_from(v.body, 'UTF8')::jsonb ->> 'status' IN ('cancelled', 'rejected', 'failed', 'entered-in-error')
      ORDER BY v.version LIMIT 1
    ) AS ended ON true;
END $function$"""

FUNCTIONS = (READ_CALENDAR, READ_ATTENDANCE, READ_ARRIVALS, READ_PROMISES)


class Arrivals(NamedTuple):
    """By FHIR request priority: how many came since, how many of them or of others left, and when the first came."""

    people: int
    gone: int
    first: datetime | None


class Promised(NamedTuple):
    """A referral as the person was first told of it, when care began, and when it ended otherwise."""

    priority: str
    told: bytes
    begun_at: datetime | None
    ended_at: datetime | None


async def calendar_of(
    database: Database, tenant: str, service: str, since: datetime, until: datetime
) -> list[tuple[bytes, int]]:
    """The slots of a service's calendars in a period, and how many places of each are taken."""
    rows = await database.fetch("SELECT * FROM read_calendar($1, $2, $3, $4)", tenant, service, since, until)
    return [(row["body"], row["taken"]) for row in rows]


async def attendance_of(database: Database, tenant: str, service: str, since: datetime) -> tuple[int, int]:
    """How many appointments of a service were attended and missed since."""
    rows = await database.fetch("SELECT * FROM read_attendance($1, $2, $3)", tenant, service, since)
    counts = {row["status"]: row["appointments"] for row in rows}
    return counts.get("arrived", 0) + counts.get("fulfilled", 0), counts.get("noshow", 0)


async def arrivals_of(database: Database, tenant: str, owner: str, since: datetime) -> dict[str, Arrivals]:
    """Who came to a service, by FHIR request priority."""
    rows = await database.fetch("SELECT * FROM read_arrivals($1, $2, $3)", tenant, owner, since)
    return {row["priority"]: Arrivals(row["people"], row["gone"], row["first"]) for row in rows}


async def promises_of(database: Database, tenant: str, owner: str, most: int) -> list[Promised]:
    """The newest referrals of a service that are no drafts, with what people were told."""
    rows = await database.fetch("SELECT * FROM read_promises($1, $2, $3)", tenant, owner, most)
    return [Promised(row["priority"], row["told"], row["begun_at"], row["ended_at"]) for row in rows]
