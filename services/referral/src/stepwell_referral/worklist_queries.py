"""What coordinators see of open referrals, read in one call for each list: a page by its key, and never all of it.

What is open has a timer, so every list begins at the timers; what has ended is never looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from stepwell_shared.canonical import code_system
from stepwell_shared.database.functions import INDEXED_PLAN
from stepwell_shared.database.pool import Database

from stepwell_referral.rules.transitions import WAITING

COUNTED_MAX = 1000
# BSeR: the first appointment is made.
SCHEDULED = "5.1.1"
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

_HEAD = f"""LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
#variable_conflict use_column
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);"""
_ROW = (
    "task_id text, rank integer, at timestamptz, state text, step integer, due_at timestamptz, "
    "promised_by timestamptz, keepable boolean, version integer, body bytea, person bytea"
)
_PAGE = "sort_in text, rank_in integer, at_in timestamptz, id_in text, most_in integer"
_WAITING = ", ".join(f"'{status}'" for status in WAITING)
_URGENCY = "CASE t.p_priority WHEN 'stat' THEN 0 WHEN 'asap' THEN 1 WHEN 'urgent' THEN 2 ELSE 3 END"
_OPEN_TASK = "t.tenant = tenant_in AND t.id = r.task_id AND t.body IS NOT NULL"
_AT_OWNERS = "(owners_in IS NULL OR t.p_owner IN (SELECT unnest(owners_in)))"
# What stands beside referrals has no owner: it belongs where its person was referred to.
_OF_PERSON_AT_OWNERS = """(owners_in IS NULL OR t.p_owner IN (SELECT unnest(owners_in)) OR EXISTS (
      SELECT 1 FROM fhir_task AS o WHERE o.tenant = tenant_in AND o.p_patient = t.p_patient
        AND o.p_owner IN (SELECT unnest(owners_in))))"""
_BOOKED = f"""EXISTS (SELECT 1 FROM fhir_task_index AS b WHERE b.tenant = tenant_in AND b.id = t.id
      AND b.parameter = 'business-status' AND b.code = '{SCHEDULED}')"""
_PERSON = """LEFT JOIN fhir_patient AS p ON p.tenant = tenant_in AND p.id = substr(t.p_patient, 9)"""


def _conditions(predicate: str, owners: str) -> str:
    return f"r.tenant = tenant_in AND {predicate} AND {owners}"


def _list(name: str, more: str, source: str, due: str) -> str:
    """A function that returns one page of a list, sorted by urgency, by what is due, or by who asked first."""
    return f"""CREATE OR REPLACE FUNCTION {name}(tenant_in text, owners_in text[], {more}{_PAGE})
RETURNS TABLE ({_ROW})
{_HEAD}
  RETURN QUERY SELECT f.id, f.rank, f.at, f.state, f.step, f.due_at, f.promised_by, f.keepable,
      t.version, t.body, p.body
    FROM (
      SELECT s.* FROM (
        SELECT t.id, CASE sort_in WHEN 'urgency' THEN {_URGENCY} ELSE 0 END AS rank,
          coalesce(CASE sort_in WHEN 'due' THEN {due} ELSE t.p_authored_on_low END, 'epoch') AS at,
          r.state, r.step, r.due_at, r.promised_by, r.keepable
        FROM {source}
      ) AS s
      WHERE (s.rank, s.at, s.id) > (rank_in, at_in, id_in)
      ORDER BY s.rank, s.at, s.id LIMIT most_in
    ) AS f
    JOIN fhir_task AS t ON t.tenant = tenant_in AND t.id = f.id
    {_PERSON}
    ORDER BY f.rank, f.at, f.id;
END $function$"""


def _timers(predicate: str, owners: str = _AT_OWNERS) -> str:
    return f"referral_timer AS r JOIN fhir_task AS t ON {_OPEN_TASK} WHERE {_conditions(predicate, owners)}"


_OVERDUE = "r.due_at IS NOT NULL AND (r.step > 0 OR r.due_at <= now_in) AND r.state = ANY(states_in)"
_AT_RISK = f"""r.keepable IS NOT NULL AND r.state IN ({_WAITING}) AND (NOT r.keepable OR r.promised_by
        <= now_in + least(near_in, (r.promised_by - t.p_authored_on_low) * share_in))
      AND NOT {_BOOKED}"""
_UNBOOKED = f"r.keepable IS NOT NULL AND r.state = 'accepted' AND NOT {_BOOKED}"
_OF_CODE = f"""fhir_task_index AS i
    JOIN fhir_task AS t ON t.tenant = tenant_in AND t.id = i.id AND t.body IS NOT NULL
      AND t.p_status IN ('requested', 'accepted', 'in-progress', 'on-hold')
    LEFT JOIN referral_timer AS r ON r.tenant = tenant_in AND r.task_id = t.id
    WHERE i.tenant = tenant_in AND i.parameter = 'code' AND i.system = '{code_system("task")}'
      AND i.code = ANY(codes_in) AND {_OF_PERSON_AT_OWNERS}"""

READ_OVERDUE = _list("worklist_overdue", "states_in text[], now_in timestamptz, ", _timers(_OVERDUE), "r.due_at")
READ_PROMISES = _list(
    "worklist_promises", "now_in timestamptz, near_in interval, share_in float8, ", _timers(_AT_RISK), "r.promised_by"
)
READ_UNBOOKED = _list("worklist_unbooked", "", _timers(_UNBOOKED), "r.promised_by")
READ_OPEN = _list("worklist_open", "codes_in text[], ", _OF_CODE, "r.due_at")

READ_TASKS = f"""CREATE OR REPLACE FUNCTION worklist_tasks(tenant_in text, ids_in text[])
RETURNS TABLE ({_ROW})
{_HEAD}
  RETURN QUERY SELECT t.id, 0, t.p_authored_on_low, r.state, r.step, r.due_at, r.promised_by, r.keepable,
      t.version, t.body, p.body
    FROM unnest(ids_in) AS k(id)
    JOIN fhir_task AS t ON t.tenant = tenant_in AND t.id = k.id AND t.body IS NOT NULL
    LEFT JOIN referral_timer AS r ON r.tenant = tenant_in AND r.task_id = t.id
    {_PERSON};
END $function$"""

READ_QUEUE = f"""CREATE OR REPLACE FUNCTION worklist_queue(tenant_in text, owner_in text)
RETURNS TABLE (task_id text, priority text, status text, entered_at timestamptz, is_booked boolean)
{_HEAD}
  RETURN QUERY SELECT t.id, coalesce(t.p_priority, 'routine'), t.p_status,
      coalesce(first.entered_at, t.p_authored_on_low), {_BOOKED}
    FROM fhir_task AS t
    CROSS JOIN LATERAL (
      SELECT min(f.p_authored_on_low) AS entered_at FROM fhir_task AS f
      WHERE f.tenant = tenant_in AND f.p_status NOT IN ('in-progress', 'completed', 'failed') AND f.p_focus = ANY(ARRAY(
        SELECT t.p_focus UNION ALL
        SELECT i.code FROM fhir_servicerequest_index AS i WHERE i.tenant = tenant_in AND i.parameter = 'replaces'
          AND i.id = substr(t.p_focus, 16)
      ))
    ) AS first
    WHERE t.tenant = tenant_in AND t.p_owner = owner_in AND t.body IS NOT NULL AND t.p_status IN ({_WAITING});
END $function$"""

READ_SERVICES = f"""CREATE OR REPLACE FUNCTION worklist_services(
  tenant_in text, owners_in text[], sort_in text, most_in integer
) RETURNS TABLE (
  owner text, waiting bigint, urgent bigint, late bigint, in_care bigint, first_asked timestamptz, services bigint
)
{_HEAD}
  RETURN QUERY SELECT s.*, count(*) OVER () FROM (
      SELECT t.p_owner AS owner, count(*) FILTER (WHERE r.state IN ({_WAITING})) AS waiting,
      count(*) FILTER (WHERE r.state IN ({_WAITING}) AND t.p_priority IN ('stat', 'asap', 'urgent')) AS urgent,
      count(*) FILTER (WHERE r.keepable IS FALSE) AS late, count(*) FILTER (WHERE r.state = 'in-progress') AS in_care,
      min(t.p_authored_on_low) FILTER (WHERE r.state IN ({_WAITING})) AS first_asked
    FROM referral_timer AS r JOIN fhir_task AS t ON {_OPEN_TASK}
    WHERE r.tenant = tenant_in AND r.due_at IS NOT NULL AND r.state IN ('in-progress', {_WAITING})
      AND t.p_owner IS NOT NULL AND {_AT_OWNERS}
      GROUP BY t.p_owner
    ) AS s
    WHERE sort_in = 'load' OR s.waiting > 0
    ORDER BY CASE sort_in WHEN 'load' THEN s.in_care WHEN 'urgency' THEN s.urgent ELSE 0 END DESC,
      CASE sort_in WHEN 'load' THEN NULL ELSE s.first_asked END, s.waiting DESC, s.owner LIMIT most_in;
END $function$"""

_AT_SERVICES = """(owners_in IS NULL OR EXISTS (SELECT 1 FROM fhir_appointment_index AS s
      WHERE s.tenant = tenant_in AND s.id = a.id AND s.parameter = 'actor'
        AND s.code IN (SELECT unnest(owners_in))))"""
READ_PRACTITIONERS = f"""CREATE OR REPLACE FUNCTION worklist_practitioners(
  tenant_in text, owners_in text[], since_in timestamptz, until_in timestamptz, most_in integer
) RETURNS TABLE (practitioner text, appointments bigint, people bigint)
{_HEAD}
  RETURN QUERY SELECT w.code, count(DISTINCT a.id), count(DISTINCT i.code)
    FROM fhir_appointment AS a
    JOIN fhir_appointment_index AS w ON w.tenant = tenant_in AND w.id = a.id AND w.parameter = 'practitioner'
    LEFT JOIN fhir_appointment_index AS i ON i.tenant = tenant_in AND i.id = a.id AND i.parameter = 'patient'
    WHERE a.tenant = tenant_in AND a.p_date_low >= since_in AND a.p_date_low < until_in AND a.body IS NOT NULL
      AND a.p_status IN ('booked', 'arrived', 'checked-in', 'fulfilled') AND {_AT_SERVICES}
    GROUP BY w.code ORDER BY 2 DESC, 1 LIMIT most_in;
END $function$"""
READ_APPOINTMENTS = f"""CREATE OR REPLACE FUNCTION worklist_unanswered(
  tenant_in text, owners_in text[], at_in timestamptz, id_in text, most_in integer
) RETURNS TABLE (appointment_id text, at timestamptz, body bytea, person bytea, task_id text)
{_HEAD}
  RETURN QUERY SELECT a.id, a.p_date_low, a.body, (
      SELECT p.body FROM fhir_appointment_index AS i
      JOIN fhir_patient AS p ON p.tenant = tenant_in AND p.id = substr(i.code, 9)
      WHERE i.tenant = tenant_in AND i.id = a.id AND i.parameter = 'patient' LIMIT 1
    ), (
      SELECT t.id FROM fhir_appointment_index AS i
      JOIN fhir_task AS t ON t.tenant = tenant_in AND t.p_patient = i.code AND t.p_owner IN (
        SELECT s.code FROM fhir_appointment_index AS s
        WHERE s.tenant = tenant_in AND s.id = a.id AND s.parameter = 'actor'
      ) AND t.p_status IN ('in-progress', {_WAITING})
      WHERE i.tenant = tenant_in AND i.id = a.id AND i.parameter = 'patient'
      ORDER BY t.p_authored_on_low DESC LIMIT 1
    )
    FROM fhir_appointment AS a
    WHERE a.tenant = tenant_in AND (a.p_date_low, a.id) > (at_in, id_in) AND a.body IS NOT NULL
      AND (a.p_status IN ('proposed', 'pending') OR (a.p_status = 'booked' AND EXISTS (
        SELECT 1 FROM fhir_appointment_index AS s WHERE s.tenant = tenant_in AND s.id = a.id
          AND s.parameter = 'part-status' AND s.code = 'needs-action'
      ))) AND {_AT_SERVICES}
    ORDER BY a.p_date_low, a.id LIMIT most_in;
END $function$"""


def _counted(name: str, source: str) -> str:
    return f"SELECT '{name}'::text, (SELECT count(*) FROM (SELECT 1 FROM {source} LIMIT {COUNTED_MAX}) AS c)"


def _coded(name: str, *codes: str) -> str:
    listed = ", ".join(f"'{code}'" for code in codes)
    return _counted(name, _OF_CODE.replace("= ANY(codes_in)", f"IN ({listed})"))


_WAITS = f"r.due_at IS NOT NULL AND r.state IN ({_WAITING})"
READ_COUNTS = f"""CREATE OR REPLACE FUNCTION worklist_counts(
  tenant_in text, owners_in text[], states_in text[], now_in timestamptz, near_in interval, share_in float8
) RETURNS TABLE (view text, people bigint)
{_HEAD}
  RETURN QUERY {_counted("queues", _timers(_WAITS))}
    UNION ALL {_counted("promises", _timers(_AT_RISK))}
    UNION ALL {_counted("overdue", _timers(_OVERDUE))}
    UNION ALL {_counted("unbooked", _timers(_UNBOOKED))}
    UNION ALL {_coded("decisions", "next-step", "urgent-contingency")}
    UNION ALL {_coded("barriers", "arrange-support")}
    UNION ALL {_coded("messages", "answer-message")}
    UNION ALL {_coded("missed", "outreach")}
    UNION ALL SELECT 'revision'::text, coalesce(
      (SELECT r.revision FROM directory_revision AS r WHERE r.tenant = tenant_in), 0);
END $function$"""

FUNCTIONS = (
    READ_OVERDUE,
    READ_PROMISES,
    READ_UNBOOKED,
    READ_OPEN,
    READ_TASKS,
    READ_QUEUE,
    READ_SERVICES,
    READ_PRACTITIONERS,
    READ_APPOINTMENTS,
    READ_COUNTS,
)


@dataclass(frozen=True, slots=True)
class After:
    """The key of a row: a page begins after it."""

    rank: int = -1
    at: datetime = BEGINNING
    id: str = ""


START = After()


class Near(NamedTuple):
    """From when a promised day is near: so long before it, but no more than this share of the whole wait."""

    before: timedelta
    share: float


class OpenRow(NamedTuple):
    """A Task of a list with its timer and the copy of its person's Patient."""

    task_id: str
    rank: int
    at: datetime
    state: str | None
    step: int | None
    due_at: datetime | None
    promised_by: datetime | None
    keepable: bool | None
    version: int
    body: bytes
    person: bytes | None

    @property
    def key(self) -> After:
        return After(self.rank, self.at, self.task_id)


class QueuedRow(NamedTuple):
    """One who waits in a queue, without their content."""

    task_id: str
    priority: str
    status: str
    entered_at: datetime
    is_booked: bool


class ServiceRow(NamedTuple):
    """How many wait for a service and are in its care; `late` are those whose longest wait cannot be kept, `services`
    how many services there are in all."""

    owner: str
    waiting: int
    urgent: int
    late: int
    in_care: int
    first_asked: datetime | None
    services: int


class PractitionerRow(NamedTuple):
    """How many appointments and people a practitioner has in a period."""

    practitioner: str
    appointments: int
    people: int


class AppointmentRow(NamedTuple):
    """An Appointment that waits for an answer, and the referral that it is for."""

    appointment_id: str
    at: datetime
    body: bytes
    person: bytes | None
    task_id: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose referrals are asked for: a tenant's, of these owners (`HealthcareService/...`) or of all (None); sorted by
    `urgency`, `due` or `waiting`, after a row, so many."""

    tenant: str
    owners: Sequence[str] | None = None
    sort: str = "urgency"
    after: After = START
    most: int = 50


async def overdue(database: Database, asked: Asked, states: Sequence[str], now: datetime) -> list[OpenRow]:
    """Tasks that have stayed longer in their state than they may, or of which somebody was told already."""
    return await _rows(database, "worklist_overdue", asked, list(states), now)


async def promises_at_risk(database: Database, asked: Asked, now: datetime, near: Near) -> list[OpenRow]:
    """Those who wait without an appointment, whose longest wait cannot be kept or whose promised day is near or
    past."""
    return await _rows(database, "worklist_promises", asked, now, *near)


async def unbooked(database: Database, asked: Asked) -> list[OpenRow]:
    """Referrals that a place has accepted and that have no appointment."""
    return await _rows(database, "worklist_unbooked", asked)


async def open_of(database: Database, asked: Asked, codes: Sequence[str]) -> list[OpenRow]:
    """Open Tasks of these codes of ours, which stand beside referrals."""
    return await _rows(database, "worklist_open", asked, list(codes))


async def tasks_of(database: Database, tenant: str, ids: Sequence[str]) -> dict[str, OpenRow]:
    """Tasks by id."""
    rows = await database.fetch("SELECT * FROM worklist_tasks($1, $2)", tenant, list(ids))
    return {row["task_id"]: OpenRow(*row) for row in rows}


async def queued_at(database: Database, tenant: str, owner: str) -> list[QueuedRow]:
    """Everybody who waits at a service."""
    rows = await database.fetch("SELECT * FROM worklist_queue($1, $2)", tenant, owner)
    return [QueuedRow(*row) for row in rows]


async def services_of(
    database: Database, tenant: str, owners: Sequence[str] | None, sort: str, most: int
) -> list[ServiceRow]:
    """Services for which somebody waits, by `waiting` or `urgency`; with `load` those that care for most people."""
    rows = await database.fetch("SELECT * FROM worklist_services($1, $2, $3, $4)", tenant, owners, sort, most)
    return [ServiceRow(*row) for row in rows]


async def practitioners_of(
    database: Database, tenant: str, owners: Sequence[str] | None, since: datetime, until: datetime, most: int
) -> list[PractitionerRow]:
    """Who has appointments in a period, those with the most first."""
    statement = "SELECT * FROM worklist_practitioners($1, $2, $3, $4, $5)"
    return [PractitionerRow(*row) for row in await database.fetch(statement, tenant, owners, since, until, most)]


async def unanswered_appointments(database: Database, asked: Asked, now: datetime) -> list[AppointmentRow]:
    """Appointments to come that nobody has confirmed, the next one first."""
    statement = "SELECT * FROM worklist_unanswered($1, $2, $3, $4, $5)"
    at = max(asked.after.at, now)
    rows = await database.fetch(statement, asked.tenant, asked.owners, at, asked.after.id, asked.most)
    return [AppointmentRow(*row) for row in rows]


async def counts_of(
    database: Database, tenant: str, owners: Sequence[str] | None, states: Sequence[str], now: datetime, near: Near
) -> dict[str, int]:
    """How much is in each list, up to COUNTED_MAX; `revision` is that of the directory."""
    statement = "SELECT * FROM worklist_counts($1, $2, $3, $4, $5, $6)"
    rows = await database.fetch(statement, tenant, owners, list(states), now, *near)
    return {row["view"]: row["people"] for row in rows}


async def _rows(database: Database, function: str, asked: Asked, *more: object) -> list[OpenRow]:
    after = asked.after
    given = (asked.tenant, asked.owners, *more, asked.sort, after.rank, after.at, after.id, asked.most)
    places = ", ".join(f"${number}" for number in range(1, len(given) + 1))
    return [OpenRow(*row) for row in await database.fetch(f"SELECT * FROM {function}({places})", *given)]
