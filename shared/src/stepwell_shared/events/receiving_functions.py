"""SQL functions of the receiving side: which numbers of a subscription came, which were refused, which never came."""

from stepwell_shared.events.function_style import AS_TENANT, STYLE

# What the receiver already knows: the numbers among these that it handled, with their focus and time, and
# the highest number that it ever saw (0 for none) as the row whose focus is null.
KNOWN_EVENTS = f"""CREATE OR REPLACE FUNCTION known_events(
  tenant_in text, subscription_in text, number_in bigint[]
) RETURNS TABLE (event_number bigint, focus text, recorded timestamptz) {STYLE} AS $function$
#variable_conflict use_column
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT coalesce(max(r.event_number), 0), NULL::text, NULL::timestamptz FROM received_event AS r
    WHERE r.tenant = tenant_in AND r.subscription = subscription_in;
  RETURN QUERY SELECT k.event_number, k.focus, k.recorded FROM unnest(number_in) AS u(number)
    CROSS JOIN LATERAL (
      SELECT r.event_number, r.focus, r.recorded FROM received_event AS r
      WHERE r.tenant = tenant_in AND r.subscription = subscription_in AND r.event_number = u.number
        AND r.status = 'received' OFFSET 0 -- one look-up a number, never all that ever came
    ) AS k;
END $function$"""

# Numbers with what became of them. One that is missing or waits is only news while nothing is known of it.
RECORD_EVENTS = f"""CREATE OR REPLACE FUNCTION record_events(
  tenant_in text, subscription_in text, number_in bigint[], focus_in text[], recorded_in timestamptz[],
  status_in text[]
) RETURNS void {STYLE} AS $function$
BEGIN
  {AS_TENANT}
  INSERT INTO received_event AS r (tenant, subscription, event_number, focus, recorded, status)
    SELECT tenant_in, subscription_in, u.number, coalesce(u.focus, ''), u.recorded, u.status
      FROM unnest(number_in, focus_in, recorded_in, status_in) AS u(number, focus, recorded, status)
    ON CONFLICT (tenant, subscription, event_number) DO UPDATE
      SET focus = excluded.focus, recorded = excluded.recorded, status = excluded.status, received_at = now()
      WHERE excluded.status IN ('received', 'refused')
        OR (excluded.status = 'gone' AND r.status = 'missing');
END $function$"""

# Numbers that have been missing for so long that they are not merely on their way, in order, per subscription.
MISSING_EVENTS = f"""CREATE OR REPLACE FUNCTION missing_events(
  tenants_in text[], older_than_seconds_in float8, limit_in integer
) RETURNS TABLE (tenant text, subscription text, event_number bigint) {STYLE} AS $function$
#variable_conflict use_column
DECLARE tenant_in text;
BEGIN
  FOREACH tenant_in IN ARRAY tenants_in LOOP
    {AS_TENANT}
    RETURN QUERY SELECT r.tenant, r.subscription, r.event_number FROM received_event AS r
      WHERE r.tenant = tenant_in AND r.status = 'missing'
        AND r.received_at <= clock_timestamp() - make_interval(secs => older_than_seconds_in)
      ORDER BY r.subscription, r.event_number LIMIT limit_in;
  END LOOP;
END $function$"""

# Old numbers go; the highest of each subscription stays, so that a gap is still seen, and so do the missing.
SWEEP_RECEIVED = f"""CREATE OR REPLACE FUNCTION sweep_received(
  tenant_in text, keep_seconds_in float8, limit_in integer
) RETURNS integer {STYLE} AS $function$
DECLARE
  subscription_now text := '';
  highest bigint;
  removed integer;
  removed_total integer := 0;
BEGIN
  {AS_TENANT}
  LOOP
    SELECT min(r.subscription) INTO subscription_now FROM received_event AS r
      WHERE r.tenant = tenant_in AND r.subscription > subscription_now;
    EXIT WHEN subscription_now IS NULL;
    SELECT max(r.event_number) INTO highest FROM received_event AS r
      WHERE r.tenant = tenant_in AND r.subscription = subscription_now;
    DELETE FROM received_event AS r USING (
      SELECT o.event_number, o.received_at FROM received_event AS o
      WHERE o.tenant = tenant_in AND o.subscription = subscription_now AND o.event_number < highest
        AND o.status <> 'missing'
      ORDER BY o.event_number LIMIT limit_in
    ) AS oldest
    WHERE r.tenant = tenant_in AND r.subscription = subscription_now AND r.event_number = oldest.event_number
      AND oldest.received_at < clock_timestamp() - make_interval(secs => keep_seconds_in);
    GET DIAGNOSTICS removed = ROW_COUNT;
    removed_total := removed_total + removed;
  END LOOP;
  RETURN removed_total;
END $function$"""

RECEIVING_FUNCTIONS = (KNOWN_EVENTS, RECORD_EVENTS, MISSING_EVENTS, SWEEP_RECEIVED)
