"""SQL functions around delivery: the state that readers see, catching up by number, operators' acts, and retention."""

from stepwell_shared.events.function_style import AS_TENANT, STYLE

# How the subscriptions of some tenants stand; `subscriptions_in` names some, NULL means all. `oldest` is when the
# oldest event was recorded that is still owed.
STANDING = f"""CREATE OR REPLACE FUNCTION subscription_standing(
  tenants_in text[], subscriptions_in text[]
) RETURNS TABLE (
  tenant text, subscription_id text, topic text, endpoint text, content text, internal boolean, status text,
  next_event_number bigint, attempts integer, next_attempt_at timestamptz, last_error text, oldest timestamptz,
  waiting bigint, parked bigint, actor text
) {STYLE} AS $function$
#variable_conflict use_column
DECLARE tenant_in text;
BEGIN
  FOREACH tenant_in IN ARRAY tenants_in LOOP
    {AS_TENANT}
    RETURN QUERY SELECT s.tenant, s.subscription_id, s.topic, s.endpoint, s.content, s.internal,
        CASE WHEN s.ends_at <= clock_timestamp() THEN 'off' ELSE s.status END,
        s.next_event_number, s.attempts, s.next_attempt_at, s.last_error,
        CASE WHEN s.status <> 'off' THEN least(
          (SELECT o.recorded FROM outbox AS o WHERE o.tenant = s.tenant AND o.topic = s.topic
             AND (o.transaction, o.position) > (s.cursor_transaction, s.cursor_position)
           ORDER BY o.transaction, o.position LIMIT 1),
          (SELECT min(e.recorded) FROM subscription_event AS e WHERE e.tenant = s.tenant
             AND e.subscription_id = s.subscription_id AND e.status = 'waiting')) END,
        (SELECT count(*) FROM subscription_event AS e WHERE e.tenant = s.tenant
           AND e.subscription_id = s.subscription_id AND e.status = 'waiting'),
        (SELECT count(*) FROM subscription_event AS e WHERE e.tenant = s.tenant
           AND e.subscription_id = s.subscription_id AND e.status = 'parked'),
        s.actor
      FROM subscription_state AS s
      WHERE s.tenant = tenant_in AND (subscriptions_in IS NULL OR s.subscription_id = ANY (subscriptions_in))
      ORDER BY s.subscription_id;
  END LOOP;
END $function$"""

# How many events lie ahead of each subscription that is behind, counted up to a limit.
BACKLOG = f"""CREATE OR REPLACE FUNCTION subscription_backlog(
  tenants_in text[], most_in bigint
) RETURNS TABLE (tenant text, subscription_id text, ahead bigint) {STYLE} AS $function$
#variable_conflict use_column
DECLARE tenant_in text;
BEGIN
  FOREACH tenant_in IN ARRAY tenants_in LOOP
    {AS_TENANT}
    RETURN QUERY SELECT s.tenant, s.subscription_id, n.ahead FROM subscription_state AS s CROSS JOIN LATERAL (
        SELECT count(*) AS ahead FROM (
          SELECT FROM outbox AS o WHERE o.tenant = s.tenant AND o.topic = s.topic
            AND (o.transaction, o.position) > (s.cursor_transaction, s.cursor_position)
          ORDER BY o.transaction, o.position LIMIT most_in) AS counted) AS n
      WHERE s.tenant = tenant_in AND s.status <> 'off' AND n.ahead > 0;
  END LOOP;
END $function$"""

# Events of one subscription by number, whatever became of them, with what they carry.
NUMBERED_EVENTS = f"""CREATE OR REPLACE FUNCTION numbered_events(
  tenant_in text, subscription_in text, since_in bigint, until_in bigint, limit_in integer
) RETURNS TABLE (event_number bigint, recorded timestamptz, payload bytea, subject text) {STYLE} AS $function$
#variable_conflict use_column
BEGIN
  {AS_TENANT}
  RETURN QUERY SELECT e.event_number, e.recorded, o.payload, e.subject FROM subscription_event AS e
    JOIN outbox AS o ON o.tenant = e.tenant AND o.position = e.outbox_position
    WHERE e.tenant = tenant_in AND e.subscription_id = subscription_in
      AND e.event_number BETWEEN since_in AND until_in
    ORDER BY e.event_number LIMIT limit_in;
END $function$"""

# The subscriptions of somebody who is told under Consents alone.
SUBSCRIPTIONS_OF = f"""CREATE OR REPLACE FUNCTION subscriptions_of(
  tenant_in text, actor_in text
) RETURNS TABLE (subscription_id text) {STYLE} AS $function$
#variable_conflict use_column
BEGIN
  {AS_TENANT}
  RETURN QUERY SELECT s.subscription_id FROM subscription_state AS s
    WHERE s.tenant = tenant_in AND s.actor = actor_in ORDER BY s.subscription_id;
END $function$"""

# Numbers that were not sent, with the reason.
UNSENT_EVENTS = f"""CREATE OR REPLACE FUNCTION unsent_events(
  tenant_in text, subscription_in text, status_in text, limit_in integer
) RETURNS TABLE (
  event_number bigint, focus text, recorded timestamptz, status text, attempts integer, next_attempt_at timestamptz,
  reason text
) {STYLE} AS $function$
#variable_conflict use_column
BEGIN
  {AS_TENANT}
  RETURN QUERY SELECT e.event_number, e.focus, e.recorded, e.status, e.attempts, e.next_attempt_at, e.reason
    FROM subscription_event AS e
    WHERE e.tenant = tenant_in AND e.subscription_id = subscription_in AND e.status = status_in
    ORDER BY e.event_number LIMIT limit_in;
END $function$"""

# Parked numbers (NULL: all) become `waiting`, to be sent again now, or `skipped`, never to be sent. What waits anyhow
# is due at once too when it is sent again.
RESOLVE_PARKED = f"""CREATE OR REPLACE FUNCTION resolve_parked(
  tenant_in text, subscription_in text, number_in bigint[], status_in text, reason_in text
) RETURNS integer {STYLE} AS $function$
DECLARE resolved integer;
BEGIN
  {AS_TENANT}
  UPDATE subscription_event AS e SET status = status_in, next_attempt_at = clock_timestamp(),
      attempts = CASE WHEN status_in = 'waiting' THEN 0 ELSE e.attempts END,
      reason = CASE WHEN status_in = 'waiting' THEN e.reason ELSE reason_in END
    WHERE e.tenant = tenant_in AND e.subscription_id = subscription_in AND e.status = 'parked'
      AND (number_in IS NULL OR e.event_number = ANY (number_in));
  GET DIAGNOSTICS resolved = ROW_COUNT;
  IF status_in = 'waiting' THEN
    UPDATE subscription_event AS e SET next_attempt_at = clock_timestamp()
      WHERE e.tenant = tenant_in AND e.subscription_id = subscription_in AND e.status = 'waiting';
    UPDATE subscription_state AS s SET next_attempt_at = clock_timestamp()
      WHERE s.tenant = tenant_in AND s.subscription_id = subscription_in;
  END IF;
  RETURN resolved;
END $function$"""

# Subscriptions whose resource may not say how they stand. Those that have ended are switched off first; one that
# somebody else holds is left for the next time, so that no tenant waits for another's.
OUTDATED = f"""CREATE OR REPLACE FUNCTION outdated_subscriptions(
  tenants_in text[]
) RETURNS TABLE (tenant text, subscription_id text, status text, last_error text) {STYLE} AS $function$
#variable_conflict use_column
DECLARE tenant_in text;
BEGIN
  FOREACH tenant_in IN ARRAY tenants_in LOOP
    {AS_TENANT}
    UPDATE subscription_state AS s SET status = 'off', resource_outdated = true
      FROM (
        SELECT u.subscription_id FROM subscription_state AS u
        WHERE u.tenant = tenant_in AND u.status <> 'off' AND u.ends_at <= clock_timestamp() FOR UPDATE SKIP LOCKED
      ) AS ended
      WHERE s.tenant = tenant_in AND s.subscription_id = ended.subscription_id;
    RETURN QUERY SELECT s.tenant, s.subscription_id, s.status, s.last_error FROM subscription_state AS s
      WHERE s.tenant = tenant_in AND s.resource_outdated;
  END LOOP;
END $function$"""

SHOWN = f"""CREATE OR REPLACE FUNCTION subscription_shown(
  tenant_in text, subscription_in text, status_in text
) RETURNS void {STYLE} AS $function$
BEGIN
  {AS_TENANT}
  UPDATE subscription_state AS s SET resource_outdated = false
    FROM (
      SELECT u.subscription_id FROM subscription_state AS u
      WHERE u.tenant = tenant_in AND u.subscription_id = subscription_in FOR UPDATE SKIP LOCKED
    ) AS free
    WHERE s.tenant = tenant_in AND s.subscription_id = free.subscription_id AND s.status = status_in;
END $function$"""

# Subscribers outside the deployment that have not answered for so long are switched off: their events may go then.
GIVE_UP = f"""CREATE OR REPLACE FUNCTION give_up_subscriptions(
  tenant_in text, after_seconds_in float8, reason_in text
) RETURNS TABLE (subscription_id text) {STYLE} AS $function$
#variable_conflict use_column
BEGIN
  {AS_TENANT}
  RETURN QUERY UPDATE subscription_state AS s SET status = 'off', last_error = reason_in, resource_outdated = true
    FROM subscription_standing(ARRAY[tenant_in], NULL) AS t
    WHERE s.tenant = tenant_in AND s.subscription_id = t.subscription_id AND NOT s.internal
      AND s.status IN ('requested', 'error') AND s.attempts > 0
      AND t.oldest < clock_timestamp() - make_interval(secs => after_seconds_in)
    RETURNING s.subscription_id;
END $function$"""

# Subscribers outside the deployment that do not answer and are more than so many events behind are switched off.
SHED = f"""CREATE OR REPLACE FUNCTION shed_subscriptions(
  tenant_in text, most_in bigint, reason_in text
) RETURNS TABLE (subscription_id text) {STYLE} AS $function$
#variable_conflict use_column
BEGIN
  {AS_TENANT}
  RETURN QUERY UPDATE subscription_state AS s SET status = 'off', last_error = reason_in, resource_outdated = true
    WHERE s.tenant = tenant_in AND NOT s.internal AND s.status IN ('requested', 'error') AND s.attempts > 0
      AND EXISTS (SELECT FROM outbox AS o WHERE o.tenant = s.tenant AND o.topic = s.topic
        AND (o.transaction, o.position) > (s.cursor_transaction, s.cursor_position)
        ORDER BY o.transaction, o.position OFFSET most_in LIMIT 1)
    RETURNING s.subscription_id;
END $function$"""

# Removes old events that every subscription has behind it, and old numbers that were sent or skipped; one replica at
# a time, a limited number of each topic and subscription. What waits or is parked stays.
SWEEP = f"""CREATE OR REPLACE FUNCTION sweep_events(
  tenant_in text, keep_seconds_in float8, limit_in integer
) RETURNS integer {STYLE} AS $function$
DECLARE
  cutoff timestamptz := clock_timestamp() - make_interval(secs => keep_seconds_in);
  topic_now text := '';
  subscription_now text;
  behind_transaction xid8;
  behind_position bigint;
  removed integer;
  removed_total integer := 0;
BEGIN
  {AS_TENANT}
  IF NOT pg_try_advisory_xact_lock(hashtextextended('stepwell sweep ' || tenant_in, 0)) THEN RETURN 0; END IF;
  LOOP
    SELECT min(o.topic) INTO topic_now FROM outbox AS o WHERE o.tenant = tenant_in AND o.topic > topic_now;
    EXIT WHEN topic_now IS NULL;
    SELECT s.cursor_transaction, s.cursor_position INTO behind_transaction, behind_position
      FROM subscription_state AS s WHERE s.tenant = tenant_in AND s.topic = topic_now AND s.status <> 'off'
      ORDER BY s.cursor_transaction, s.cursor_position LIMIT 1;
    IF NOT FOUND THEN
      behind_transaction := pg_snapshot_xmin(pg_current_snapshot());
      behind_position := 0;
    END IF;
    DELETE FROM outbox AS o USING (
      SELECT p.position, p.recorded FROM outbox AS p
      WHERE p.tenant = tenant_in AND p.topic = topic_now
        AND (p.transaction, p.position) <= (behind_transaction, behind_position)
        AND NOT EXISTS (SELECT FROM subscription_event AS e WHERE e.tenant = tenant_in
          AND e.outbox_position = p.position AND e.status IN ('waiting', 'parked'))
      ORDER BY p.transaction, p.position LIMIT limit_in
    ) AS oldest
    WHERE o.tenant = tenant_in AND o.position = oldest.position AND oldest.recorded < cutoff;
    GET DIAGNOSTICS removed = ROW_COUNT;
    removed_total := removed_total + removed;
  END LOOP;
  FOR subscription_now IN SELECT s.subscription_id FROM subscription_state AS s WHERE s.tenant = tenant_in LOOP
    DELETE FROM subscription_event AS e USING (
      SELECT f.event_number, f.recorded FROM subscription_event AS f
      WHERE f.tenant = tenant_in AND f.subscription_id = subscription_now AND f.status IN ('sent', 'skipped')
      ORDER BY f.event_number LIMIT limit_in
    ) AS oldest
    WHERE e.tenant = tenant_in AND e.subscription_id = subscription_now AND e.event_number = oldest.event_number
      AND oldest.recorded < cutoff;
    GET DIAGNOSTICS removed = ROW_COUNT;
    removed_total := removed_total + removed;
  END LOOP;
  RETURN removed_total;
END $function$"""

UPKEEP_FUNCTIONS = (
    *(STANDING, BACKLOG, NUMBERED_EVENTS, SUBSCRIPTIONS_OF, UNSENT_EVENTS, RESOLVE_PARKED),
    *(OUTDATED, SHOWN, GIVE_UP, SHED, SWEEP),
)
