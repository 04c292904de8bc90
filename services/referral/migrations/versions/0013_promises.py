"""What was promised to those who wait, beside their timers; appointments by their date"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0013_promises'
down_revision = '0012_booking'
branch_labels = None
depends_on = None

# Its parameters are others now.
TIMER_FUNCTION = 'insert_referral_timer(text, text[], text[], integer[], timestamptz[])'
FUNCTIONS = (
    'insert_referral_timer(text, text[], text[], integer[], timestamptz[], timestamptz[], boolean[])',
    'worklist_overdue(text, text[], text[], timestamptz, text, integer, timestamptz, text, integer)',
    'worklist_promises(text, text[], timestamptz, interval, float8, text, integer, timestamptz, text, integer)',
    'worklist_unbooked(text, text[], text, integer, timestamptz, text, integer)',
    'worklist_open(text, text[], text[], text, integer, timestamptz, text, integer)',
    'worklist_tasks(text, text[])',
    'worklist_queue(text, text)',
    'worklist_services(text, text[], text, integer)',
    'worklist_practitioners(text, text[], timestamptz, timestamptz, integer)',
    'worklist_unanswered(text, text[], timestamptz, text, integer)',
    'worklist_counts(text, text[], text[], timestamptz, interval, float8)',
)

# Who waits already was told what their Task says. Row-level security shows one tenant at a time.
PROMISES_OF_THOSE_WHO_WAIT = """DO $block$
DECLARE each text;
BEGIN
  FOR each IN SELECT id FROM tenant LOOP
    PERFORM set_config('stepwell.tenant', each, true);
    UPDATE referral_timer AS r SET (promised_by, keepable) = (
      SELECT CASE WHEN max(p.part #>> '{valueDuration,value}') FILTER (WHERE p.part ->> 'url' = 'upper') IS NOT NULL
          THEN max((p.part ->> 'valueDateTime')::timestamptz) FILTER (WHERE p.part ->> 'url' = 'computed-at')
            + make_interval(secs => 86400 * max((p.part #>> '{valueDuration,value}')::float8)
              FILTER (WHERE p.part ->> 'url' = 'upper'))
        END,
        bool_or((p.part ->> 'valueBoolean')::boolean) FILTER (WHERE p.part ->> 'url' = 'keepable')
      FROM fhir_task AS t,
        jsonb_path_query(convert_from(t.body, 'UTF8')::jsonb,
          '$.extension[*] ? (@.url == "https://stepwell.health/fhir/StructureDefinition/wait-promise").extension[*]'
        ) AS p(part)
      WHERE t.tenant = each AND t.id = r.task_id AND t.body IS NOT NULL
    )
    WHERE r.tenant = each AND r.state IN ('requested', 'received', 'accepted', 'on-hold');
  END LOOP;
END $block$"""


def upgrade() -> None:
    op.add_column('referral_timer', sa.Column('promised_by', postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column('referral_timer', sa.Column('keepable', sa.Boolean(), nullable=True))
    op.create_index('referral_timer_promise', 'referral_timer', ['tenant', 'promised_by', 'task_id'], unique=False, postgresql_where=sa.text('keepable IS NOT NULL'))
    op.create_index('fhir_appointment_date', 'fhir_appointment', ['tenant', 'p_date_low', 'id'], unique=False)
    op.execute(f'DROP FUNCTION IF EXISTS {TIMER_FUNCTION}')
    op.execute(PROMISES_OF_THOSE_WHO_WAIT)


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f'DROP FUNCTION IF EXISTS {function}')
    op.drop_index('fhir_appointment_date', table_name='fhir_appointment')
    op.drop_index('referral_timer_promise', table_name='referral_timer', postgresql_where=sa.text('keepable IS NOT NULL'))
    op.drop_column('referral_timer', 'keepable')
    op.drop_column('referral_timer', 'promised_by')
