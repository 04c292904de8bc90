"""SQL functions of the event machinery: each is one round trip that sets its tenant itself.

`stepwell migrate` installs them after the functions derived from the tables, because the upsert of
subscription_state replaces the derived insert. A deliverer's own transactions are not flushed to disk
before they are answered: what a crash of the database forgets is sent again under the same numbers.
"""

from stepwell_shared.database.table_functions import insert_columns, insert_function
from stepwell_shared.events.bodies import READ_BODIES
from stepwell_shared.events.function_style import AS_TENANT, STYLE
from stepwell_shared.events.receiving_functions import RECEIVING_FUNCTIONS
from stepwell_shared.events.tables import SubscriptionState
from stepwell_shared.events.upkeep_functions import UPKEEP_FUNCTIONS

_MINE = "s.tenant = tenant_in AND s.subscription_id = subscription_in AND s.lease_owner = owner_in"
_AFTER_CURSOR = "(o.transaction, o.position) > (s.cursor_transaction, s.cursor_position)"
_HORIZON = "pg_snapshot_xmin(pg_current_snapshot())"
_LEASED = "clock_timestamp() + make_interval(secs => lease_seconds_in)"
_HEARTBEAT_DUE = (
    "s.heartbeat_seconds IS NOT NULL AND s.status <> 'requested' "
    "AND s.last_sent_at + make_interval(secs => s.heartbeat_seconds) <= clock_timestamp()"
)
_SERVED = "s.status <> 'off' AND (s.ends_at IS NULL OR s.ends_at > clock_timestamp())"
# The subscriber is there: whatever stopped delivery is over.
_ANSWERED = """attempts = 0, last_error = '', last_sent_at = clock_timestamp(),
      resource_outdated = s.resource_outdated OR s.status = 'error',
      status = CASE WHEN s.status = 'error' THEN 'active' ELSE s.status END"""
# Within one subject the oldest waiting event goes first; the ones behind it are not due before it is done.
_DUE_HEAD = """e.tenant = s.tenant AND e.subscription_id = s.subscription_id AND e.status = 'waiting'
        AND e.next_attempt_at <= clock_timestamp() AND NOT EXISTS (
          SELECT FROM subscription_event AS f WHERE f.tenant = e.tenant AND f.subscription_id = e.subscription_id
            AND f.status = 'waiting' AND f.subject = e.subject AND f.event_number < e.event_number)"""

# Takes the lease of up to `limit` subscriptions per tenant that have something to do and no other leaseholder.
CLAIM = f"""CREATE OR REPLACE FUNCTION claim_subscriptions(
  tenants_in text[], owner_in text, lease_seconds_in float8, limit_in integer
) RETURNS TABLE (tenant text, subscription_id text, topic text) {STYLE} AS $function$
#variable_conflict use_column
DECLARE tenant_in text;
BEGIN
  FOREACH tenant_in IN ARRAY tenants_in LOOP
    {AS_TENANT}
    RETURN QUERY UPDATE subscription_state AS u
      SET lease_owner = owner_in, lease_until = {_LEASED}
      FROM (
        SELECT s.tenant, s.subscription_id FROM subscription_state AS s
        WHERE s.tenant = tenant_in AND s.lease_until < clock_timestamp()
          AND s.next_attempt_at <= clock_timestamp() AND {_SERVED}
          AND (s.status = 'requested' OR ({_HEARTBEAT_DUE})
            OR EXISTS (SELECT FROM outbox AS o
                       WHERE o.tenant = s.tenant AND o.topic = s.topic AND {_AFTER_CURSOR})
            OR EXISTS (SELECT FROM subscription_event AS e WHERE {_DUE_HEAD}))
        ORDER BY s.next_attempt_at LIMIT limit_in FOR UPDATE SKIP LOCKED
      ) AS due
      WHERE u.tenant = due.tenant AND u.subscription_id = due.subscription_id
      RETURNING u.tenant, u.subscription_id, u.topic;
  END LOOP;
END $function$"""

# The leaseholder's next events in order, beside the state of its subscription; no row at all when the lease
# is lost. `held_back` (the cursor is never beyond the horizon) says that committed events wait for an older
# transaction to end, `behind` that an earlier event of the same subject still waits.
TAKE = f"""CREATE OR REPLACE FUNCTION take_events(
  tenant_in text, subscription_in text, owner_in text, lease_seconds_in float8, limit_in integer
) RETURNS TABLE (
  topic text, endpoint text, content text, headers text, filters text, timeout_seconds integer, max_count integer,
  internal boolean, status text, cursor_transaction xid8, cursor_position bigint, next_event_number bigint,
  attempts integer, actor text, waiting_due boolean, held_back boolean, heartbeat_due boolean,
  transaction xid8, "position" bigint, subject text, focus text, payload bytea, traceparent text,
  recorded timestamptz, behind boolean
) {STYLE} AS $function$
#variable_conflict use_column
BEGIN
  {AS_TENANT}
  UPDATE subscription_state AS s SET lease_until = {_LEASED}
    WHERE {_MINE} AND s.lease_until < clock_timestamp() + make_interval(secs => lease_seconds_in / 2);
  RETURN QUERY SELECT
      s.topic, s.endpoint, s.content, s.headers, s.filters, s.timeout_seconds, s.max_count,
      s.internal, s.status, s.cursor_transaction, s.cursor_position, s.next_event_number,
      s.attempts, s.actor, s.waiting_due, s.held_back, s.heartbeat_due,
      n.transaction, n.position, n.subject, n.focus, n.payload, n.traceparent, n.recorded, n.behind
    FROM (
      SELECT s.*, EXISTS (SELECT FROM subscription_event AS e WHERE {_DUE_HEAD}) AS waiting_due,
          EXISTS (SELECT FROM outbox AS o
                  WHERE o.tenant = s.tenant AND o.topic = s.topic AND o.transaction >= {_HORIZON}) AS held_back,
          ({_HEARTBEAT_DUE}) AS heartbeat_due
        FROM subscription_state AS s WHERE {_MINE} AND {_SERVED}
        OFFSET 0 -- once, not for every event
    ) AS s LEFT JOIN LATERAL (
      SELECT o.*, EXISTS (
          SELECT FROM subscription_event AS e WHERE e.tenant = s.tenant AND e.subscription_id = s.subscription_id
            AND e.status = 'waiting' AND e.subject = o.subject) AS behind
        FROM outbox AS o
        WHERE o.tenant = s.tenant AND o.topic = s.topic AND {_AFTER_CURSOR} AND o.transaction < {_HORIZON}
        ORDER BY o.transaction, o.position LIMIT limit_in
    ) AS n ON true
    ORDER BY n.transaction, n.position;
END $function$"""

# Moves the cursor and writes down the numbers, together, if the lease and the cursor are still as they were
# when the events were taken. The first success after failures makes what waits due at once.
SETTLE = f"""CREATE OR REPLACE FUNCTION settle_events(
  tenant_in text, subscription_in text, owner_in text, from_transaction_in xid8, from_position_in bigint,
  to_transaction_in xid8, to_position_in bigint, attempts_in integer, number_in bigint[], position_in bigint[],
  subject_in text[], focus_in text[], recorded_in timestamptz[], status_in text[], tried_in integer[],
  delay_seconds_in float8[], reason_in text[]
) RETURNS boolean {STYLE} AS $function$
DECLARE failures integer;
BEGIN
  {AS_TENANT}
  SELECT s.attempts INTO failures FROM subscription_state AS s WHERE {_MINE}
    AND s.cursor_transaction = from_transaction_in AND s.cursor_position = from_position_in FOR UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE subscription_state AS s SET
      cursor_transaction = to_transaction_in, cursor_position = to_position_in,
      next_event_number = s.next_event_number + cardinality(number_in), attempts = attempts_in, last_error = '',
      last_sent_at = CASE WHEN 'sent' = ANY (status_in) THEN clock_timestamp() ELSE s.last_sent_at END,
      resource_outdated = s.resource_outdated OR (s.status = 'error' AND attempts_in = 0),
      status = CASE WHEN s.status = 'error' AND attempts_in = 0 THEN 'active' ELSE s.status END
    WHERE {_MINE};
  INSERT INTO subscription_event (tenant, subscription_id, event_number, outbox_position, subject, focus, recorded,
                                  status, attempts, next_attempt_at, reason)
    SELECT tenant_in, subscription_in, u.number, u.position, u.subject, u.focus, u.recorded, u.status, u.tried,
           clock_timestamp() + make_interval(secs => u.delay_seconds), u.reason
      FROM unnest(number_in, position_in, subject_in, focus_in, recorded_in, status_in, tried_in, delay_seconds_in,
                  reason_in)
        AS u(number, position, subject, focus, recorded, status, tried, delay_seconds, reason);
  IF failures > 0 AND attempts_in = 0 THEN
    UPDATE subscription_event AS e SET next_attempt_at = clock_timestamp()
      WHERE e.tenant = tenant_in AND e.subscription_id = subscription_in AND e.status = 'waiting'
        AND e.event_number <> ALL (number_in);
  END IF;
  RETURN true;
END $function$"""

# The waiting events that are due, the oldest of each subject, with what is to be sent.
WAITING = f"""CREATE OR REPLACE FUNCTION waiting_events(
  tenant_in text, subscription_in text, owner_in text, limit_in integer
) RETURNS TABLE (
  event_number bigint, tried integer, "position" bigint, subject text, focus text, payload bytea, traceparent text,
  recorded timestamptz
) {STYLE} AS $function$
#variable_conflict use_column
BEGIN
  {AS_TENANT}
  RETURN QUERY SELECT e.event_number, e.attempts, o.position, o.subject, o.focus, o.payload, o.traceparent, o.recorded
    FROM subscription_state AS s
    JOIN subscription_event AS e ON {_DUE_HEAD}
    JOIN outbox AS o ON o.tenant = e.tenant AND o.position = e.outbox_position
    WHERE {_MINE}
    ORDER BY e.event_number LIMIT limit_in;
END $function$"""

SETTLE_WAITING = f"""CREATE OR REPLACE FUNCTION settle_waiting(
  tenant_in text, subscription_in text, owner_in text, number_in bigint, status_in text, tried_in integer,
  delay_seconds_in float8, reason_in text
) RETURNS boolean {STYLE} AS $function$
BEGIN
  {AS_TENANT}
  UPDATE subscription_event AS e SET status = status_in, attempts = tried_in, reason = reason_in,
      next_attempt_at = clock_timestamp() + make_interval(secs => delay_seconds_in)
    FROM subscription_state AS s
    WHERE {_MINE} AND e.tenant = s.tenant AND e.subscription_id = s.subscription_id AND e.event_number = number_in
      AND e.status = 'waiting';
  IF NOT FOUND THEN RETURN false; END IF;
  IF status_in = 'sent' THEN
    UPDATE subscription_state AS s SET {_ANSWERED} WHERE {_MINE};
  END IF;
  RETURN true;
END $function$"""

# A heartbeat was answered.
HEARTBEAT = f"""CREATE OR REPLACE FUNCTION heartbeat_answered(
  tenant_in text, subscription_in text, owner_in text
) RETURNS boolean {STYLE} AS $function$
BEGIN
  {AS_TENANT}
  UPDATE subscription_state AS s SET {_ANSWERED} WHERE {_MINE};
  RETURN FOUND;
END $function$"""

# The subscription as a whole: activated by its handshake, or failing and due again later.
ACTIVATE = f"""CREATE OR REPLACE FUNCTION activate_subscription(
  tenant_in text, subscription_in text, owner_in text
) RETURNS boolean {STYLE} AS $function$
BEGIN
  {AS_TENANT}
  UPDATE subscription_state AS s SET status = 'active', attempts = 0, last_error = '',
      last_sent_at = clock_timestamp(), resource_outdated = true
    WHERE {_MINE} AND s.status = 'requested';
  RETURN FOUND;
END $function$"""

BACK_OFF = f"""CREATE OR REPLACE FUNCTION back_off_subscription(
  tenant_in text, subscription_in text, owner_in text, status_in text, delay_seconds_in float8, error_in text
) RETURNS boolean {STYLE} AS $function$
BEGIN
  {AS_TENANT}
  UPDATE subscription_state AS s SET
      attempts = s.attempts + 1, last_error = error_in, lease_owner = '', lease_until = '-infinity',
      resource_outdated = s.resource_outdated OR s.status NOT IN ('off', status_in),
      status = CASE WHEN s.status = 'off' THEN 'off' ELSE status_in END,
      next_attempt_at = clock_timestamp() + make_interval(secs => delay_seconds_in)
    WHERE {_MINE};
  RETURN FOUND;
END $function$"""

RENEW = f"""CREATE OR REPLACE FUNCTION renew_lease(
  tenant_in text, subscription_in text, owner_in text, lease_seconds_in float8
) RETURNS boolean {STYLE} AS $function$
BEGIN
  {AS_TENANT}
  UPDATE subscription_state AS s SET lease_until = {_LEASED} WHERE {_MINE};
  RETURN FOUND;
END $function$"""

RELEASE = f"""CREATE OR REPLACE FUNCTION release_lease(
  tenant_in text, subscription_in text, owner_in text
) RETURNS boolean {STYLE} AS $function$
BEGIN
  {AS_TENANT}
  UPDATE subscription_state AS s SET lease_owner = '', lease_until = '-infinity' WHERE {_MINE};
  RETURN FOUND;
END $function$"""


def upsert_subscription_function() -> str:
    """`insert_subscription_state` for updates too: what the resource says is replaced, its progress is kept.

    Whatever stopped delivery is forgotten, because the client has just said what it wants. A subscription that
    was off begins anew: what happened meanwhile is not sent, and what was still owed is parked.
    """
    table = SubscriptionState.metadata.tables["subscription_state"]
    kept = {"subscription_id", "actor"}  # whoever made it is told as before, though somebody else changes it
    names = [column.name for column in insert_columns(table) if column.name not in kept]
    resumed = "subscription_state.status = 'off' AND excluded.status <> 'off'"
    replaced = ", ".join(f"{name} = excluded.{name}" for name in names)
    conflict = f"""
    ON CONFLICT (tenant, subscription_id) DO UPDATE SET {replaced}, attempts = 0, next_attempt_at = now(),
      last_error = '', resource_outdated = true,
      cursor_transaction = CASE WHEN {resumed} THEN excluded.cursor_transaction
                                ELSE subscription_state.cursor_transaction END,
      cursor_position = CASE WHEN {resumed} THEN 0 ELSE subscription_state.cursor_position END;"""
    park = f"""
  UPDATE subscription_event AS e SET status = 'parked', reason = 'the subscription was off'
    FROM unnest(subscription_id_in, status_in) AS excluded(subscription_id, status), subscription_state
    WHERE subscription_state.tenant = tenant_in AND subscription_state.subscription_id = excluded.subscription_id
      AND {resumed} AND e.tenant = tenant_in AND e.subscription_id = excluded.subscription_id
      AND e.status = 'waiting';
  INSERT"""
    head, _, tail = insert_function(table).rpartition(";\nEND")
    return f"{head.replace('  INSERT', park.lstrip(), 1)}{conflict}\nEND{tail}"


def event_functions() -> list[str]:
    """Every statement to install, in order, after the tables and their derived functions."""
    return [
        upsert_subscription_function(),
        *(CLAIM, TAKE, SETTLE, WAITING, SETTLE_WAITING, HEARTBEAT, ACTIVATE, BACK_OFF, RENEW, RELEASE),
        READ_BODIES,
        *UPKEEP_FUNCTIONS,
        *RECEIVING_FUNCTIONS,
    ]
